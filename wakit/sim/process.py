"""The sim's own process: state directory, server and admin interface, from start to a clean end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wakit.errors import EndpointError
from wakit.process import die_with
from wakit.sim.accounts import AccountBook
from wakit.sim.admin import Admin
from wakit.sim.curve import KEY_SIZE, KeyPair
from wakit.sim.exchange import Exchange
from wakit.sim.line import Credentials
from wakit.sim.proxy import LOOPBACK, Proxy
from wakit.sim.requests import Ready
from wakit.sim.statedir import SimDirectory
from wakit.sim.tls import authority_file, server_context

_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Options:
    """How a sim is started."""

    state: Path
    port: int = 0
    """0 takes the port of the last run if it is free, else any."""
    refs: int = 6
    die_with_parent: bool = False


async def run(options: Options, ready: Callable[[Ready], None]) -> None:
    """Run a sim until SIGTERM or SIGINT, or until the parent is gone if so asked.

    Args:
        options: How.
        ready: Called once with the endpoint, when clients can dial.

    Raises:
        HeldError: Another sim runs on the state directory.
        StateDirectoryError: The state directory cannot be used.
        EndpointError: The port is taken, or this machine cannot run a sim.
    """
    # neonize makes the root logger speak when it is imported; connections that come and go are no news.
    logging.getLogger("websockets").setLevel(logging.WARNING)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with SimDirectory(options.state) as directory:
        parent = loop.create_task(_follow_parent(stop)) if options.die_with_parent else None
        async with _serving(directory, options) as endpoint:
            ready(endpoint)
            await stop.wait()
        if parent is not None:
            parent.cancel()


@asynccontextmanager
async def _serving(directory: SimDirectory, options: Options) -> AsyncIterator[Ready]:
    socket = directory.admin_socket
    root = _noise_root(directory)
    exchange = _exchange(directory, root)
    exchange.desk.refs_per_client = options.refs
    proxy = Proxy(exchange, server_context(directory, datetime.now(UTC)))
    await _open_port(proxy, directory, options.port)
    endpoint = Ready(
        proxy=f"http://{LOOPBACK}:{proxy.port}",
        ca_file=str(authority_file(directory)),
        noise_root_key=root.public.hex(),
        admin=str(socket),
        pid=os.getpid(),
    )
    admin = Admin(exchange, proxy, endpoint)
    try:
        await admin.open()
        yield endpoint
    finally:
        await admin.close()
        await proxy.close()
        socket.unlink(missing_ok=True)


def _exchange(directory: SimDirectory, root: KeyPair) -> Exchange:
    from wakit.sim.tokens import load_tokens  # noqa: PLC0415 - loads the client library, which takes a second
    from wakit.sim.wire import certificate_chain  # noqa: PLC0415 - the same

    tokens = load_tokens()
    static = KeyPair.generate()
    now = int(time.time())
    certificates = certificate_chain(root, static, not_before=now - _DAY, not_after=now + 365 * _DAY)
    return Exchange(tokens, Credentials(static, certificates), AccountBook(directory), time.time)


def _noise_root(directory: SimDirectory) -> KeyPair:
    stored = directory.read("noise.key")
    if stored is not None and len(stored) == KEY_SIZE:
        return KeyPair.of(stored)
    root = KeyPair.generate()
    directory.write("noise.key", root.private)
    return root


async def _open_port(proxy: Proxy, directory: SimDirectory, wanted: int) -> None:
    """Open the wanted port, or the last one again: a declaration that names it stays valid."""
    last = (directory.read("port") or b"").strip()
    if wanted == 0 and last.isdigit():
        try:
            await proxy.open(int(last))
        except EndpointError:
            await proxy.open(0)
    else:
        await proxy.open(wanted)
    directory.write("port", b"%d\n" % proxy.port)


async def _follow_parent(stop: asyncio.Event) -> None:
    """End when the parent ends: by the kernel's signal on Linux, and by the end of stdin everywhere."""
    if not die_with(os.getppid(), signal.SIGTERM):
        stop.set()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1 << 12):
        pass
    stop.set()
