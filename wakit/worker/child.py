"""A worker process: how it is born, and how it dies with its parent.

It was forked by the fork server (:mod:`wakit.worker.forkserver`), which has loaded everything but the Go library.

The order of birth is the point: the endpoint comes first, in a launch order or in a word to get ready for one; then the
environment that Go reads when it is loaded, then the library, then the endpoint's key over the library's own, and only
then the hello and the first client (:mod:`wakit.worker.service`).

It dies with its parent by three means, since no single one is sure: the kernel's parent-death signal, a look at the
parent's pid for the case that it died before that was set, and the end of the socket.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import traceback
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from wakit import coredumps, process
from wakit.core.declaration import Endpoint
from wakit.errors import EndpointError, WakitError, WorkerError
from wakit.redact import scrub
from wakit.whatsapp.loopback import loopback_address, replace_noise_root, trust_only
from wakit.worker.exits import ExitCode
from wakit.worker.messages import (
    PROTOCOL,
    CannotStart,
    FrameError,
    FrameSplitter,
    Launch,
    Prepare,
    ToWorker,
    decode_to_worker,
    encode,
)
from wakit.worker.service import Channel, Service
from wakit.worker.tasks import leave

if TYPE_CHECKING:
    from wakit.whatsapp.neonize_client import NeonizeClient

_CHUNK: Final = 1 << 16


def work(channel: socket.socket, parent: int) -> NoReturn:
    """Be a worker; never returns.

    Args:
        channel: The worker's end of the socket to the host.
        parent: The host's pid.
    """
    _die_with(parent)
    os.umask(0o077)
    _set_limits()
    code = ExitCode.BUG
    try:
        code = _work(channel)
    except BaseException:  # noqa: BLE001 - the process ends here, and its last words must be said
        traceback.print_exc()
    leave(code)


def _work(channel: socket.socket) -> ExitCode:
    channel.set_inheritable(False)
    orders = _Orders(channel)
    try:
        first = orders.next()
        prepared = _loaded(first.endpoint) if isinstance(first, Prepare) else None
        order = _launch(orders.next() if isinstance(first, Prepare) else first)
    except FrameError:
        return ExitCode.BROKEN_FRAME
    library = prepared or _loaded(order.launch.endpoint)
    if isinstance(first, Prepare) and first.endpoint != order.launch.endpoint:
        library = WorkerError("The worker was prepared for another endpoint", why="it cannot be changed any more")
    if isinstance(library, WakitError):
        at_fault = isinstance(library, EndpointError)
        channel.sendall(encode(CannotStart(what=library.what, why=library.why, hint=library.hint, endpoint=at_fault)))
        return ExitCode.CANNOT_START
    return asyncio.run(_serve(order, library, Channel(channel, orders.splitter, orders.bodies)))


async def _serve(order: Launch, library: type[NeonizeClient], channel: Channel) -> ExitCode:
    # Leaves from inside the loop: asyncio's own way out joins threads that never return.
    leave(await Service(order.launch, library, channel, heartbeat=order.heartbeat).run())


def _die_with(parent: int) -> None:
    """Ask the kernel to be killed with the parent; it may already be gone, and then nobody would be told."""
    if not process.die_with(parent, signal.SIGKILL):
        leave(ExitCode.PARENT_GONE)


def _set_limits() -> None:
    """Allow as many files as the system lets us, and no core dump: it would hold the keys of every session aboard."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a session takes about eight
    coredumps.forbid()


class _Orders:
    """What the host sends before there is a loop that reads it.

    Attributes:
        splitter: Holds what came of the next frame.
        bodies: Frames that came along with those that were asked for.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.splitter = FrameSplitter()
        self.bodies: list[bytes] = []

    def next(self) -> ToWorker:
        """Wait for the next order; the process ends here if nobody is left to give one."""
        while not self.bodies:
            data = self._channel.recv(_CHUNK)
            if not data:
                leave(ExitCode.PARENT_GONE)
            self.bodies += self.splitter.feed(data)
        return decode_to_worker(self.bodies.pop(0))


def _launch(message: ToWorker) -> Launch:
    if not isinstance(message, Launch) or message.protocol != PROTOCOL:
        raise FrameError("this is no launch order of this version")
    return message


def _loaded(endpoint: Endpoint | None) -> type[NeonizeClient] | WakitError:
    try:
        return load_library(endpoint)
    except WakitError as error:
        return error


def load_library(endpoint: Endpoint | None) -> type[NeonizeClient]:
    """Load the Go library, prepared for the endpoint if there is one."""
    if endpoint is not None:
        loopback_address(endpoint.proxy)
        trust_only(endpoint.ca_file)
    spec = util.find_spec("neonize")
    # Without its binary, importing neonize would download one from GitHub, outside of every relay.
    if spec is None or spec.origin is None or not list(Path(spec.origin).parent.glob("neonize-*")):
        raise WorkerError(
            "The WhatsApp library is missing", why="neonize has no binary here", hint="pip install 'neonize==0.5.2'"
        )
    try:
        client: type[NeonizeClient] = import_module("wakit.whatsapp.neonize_client").NeonizeClient
    except (ImportError, OSError) as error:
        raise WorkerError(
            "The WhatsApp library cannot be loaded", why=scrub(str(error)), hint="run `wakit doctor`"
        ) from error
    if endpoint is not None:
        replace_noise_root(endpoint.noise_root_key)
    return client
