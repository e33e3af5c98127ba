"""The least that anything costs which keeps sessions alive: the pings of a fleet, and nothing else.

A processor that sleeps between two pings takes many times as long for one as a busy one does (on the machine of
``docs/design/performance.md`` 12 µs for an echo without a pause, 680 µs for one a second), so a share of a core says
little by itself. What is measured here needs the same wake-ups and does no work: for each worker a process that sends
a ping and takes the answer, as a client does, and one that passes both on, as a relay does. The server is not counted.
"""

from __future__ import annotations

import multiprocessing
import random
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess

from gauges import threads

_PING = bytes(60)  # about what an encrypted ping of whatsmeow is on the wire
_FORKS = multiprocessing.get_context("fork")


def least_share(workers: int, pings_per_second: float, seconds: float) -> float:
    """Return the per cent of a core that the pings of a fleet take, without encryption, parsing or any other work.

    Args:
        workers: Among how many pairs of processes they are divided.
        pings_per_second: Of all together.
        seconds: How long to look.
    """
    with ExitStack() as stack:
        pids = [pid for _ in range(workers) for pid in stack.enter_context(_worker(pings_per_second / workers))]
        before = {pid: _spent(pid) for pid in pids}
        began = time.monotonic()
        time.sleep(seconds)
        span = time.monotonic() - began
        return sum(100 * (_spent(pid) - spent) / span for pid, spent in before.items())


@contextmanager
def _worker(pings_per_second: float) -> Iterator[list[int]]:
    with ExitStack() as stack:
        client, inside = _connection(stack)
        outside, server = _connection(stack)
        counted = [_process(_send, client, pings_per_second), _process(_pass_on, inside, outside)]
        processes = [*counted, _process(_answer, server)]
        for each in processes:
            each.start()
        try:
            yield [each.pid for each in counted if each.pid is not None]
        finally:
            for each in processes:
                each.kill()
                each.join()


def _process(work: object, *arguments: object) -> BaseProcess:
    return _FORKS.Process(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]


def _connection(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = stack.enter_context(socket.create_connection(listening.getsockname()))
        other = stack.enter_context(listening.accept()[0])
    for each in (one, other):
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one, other


def _send(client: socket.socket, pings_per_second: float) -> None:
    while True:
        time.sleep(random.uniform(0.5, 1.5) / pings_per_second)
        client.sendall(_PING)
        client.recv(4096)


def _pass_on(inside: socket.socket, outside: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(inside, selectors.EVENT_READ, outside)
        selector.register(outside, selectors.EVENT_READ, inside)
        while True:
            for key, _ in selector.select():
                key.data.sendall(key.fileobj.recv(4096))  # type: ignore[union-attr]


def _answer(server: socket.socket) -> None:
    while True:
        server.sendall(server.recv(4096))


def _spent(pid: int) -> float:
    return sum(seconds for _, seconds in threads(pid).values())
