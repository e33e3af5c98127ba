"""Serving on a Unix socket, inside the daemon's own event loop.

uvicorn is made for a process of its own; here it is a guest. So it takes no signal handlers (the daemon ends it), has
no tick (its loop wakes ten times a second to look at a flag; ours waits on an event), writes no log, and after a second
the connections that will not close are cut.

Who may connect is decided three times: the folder is 0700, the socket is made under a umask so that it is 0600 from its
first moment, and the kernel's word on the peer (``SO_PEERCRED``, unix(7)) must be this user or root.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from wakit.control.address import prepare_socket_folder
from wakit.control.server.app import end_streams
from wakit.errors import HeldError, StateDirectoryError
from wakit.listening import stop_accepting

_GOODBYE: Final = 0.3  # seconds the live streams have to say goodbye
_GRACE: Final = 1  # seconds a request may still take when the daemon ends
_TURNS: Final = 100  # of the loop, for connections to close


@asynccontextmanager
async def serve_unix(app: FastAPI, path: Path) -> AsyncIterator[None]:
    """Serve the application on a Unix socket while the block runs; on leaving, close every connection and the socket.

    Only call it while holding the state directory's ``flock``: a socket file that nobody answers on is taken for a dead
    daemon's and removed, and without the lock two daemons could do that to each other.

    Raises:
        HeldError: Somebody answers on that socket.
        StateDirectoryError: The socket or its folder cannot be made, or is not ours.
    """
    prepare_socket_folder(path.parent)
    listener, made = _bind(path)
    server = _Guest(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="control-server")
    try:
        listening = asyncio.create_task(server.listening.wait())
        await asyncio.wait([serving, listening], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await serving
        yield
    finally:
        try:
            await end_streams(app, _GOODBYE)
        finally:
            server.leaving.set()
            try:
                await serving
            finally:
                listener.close()
                _remove(path, made)


class _OwnersOnly(H11Protocol):
    """Speaks HTTP with this user and root only."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if peer_uid(transport.get_extra_info("socket")) not in (os.geteuid(), 0, None):
            transport.abort()


class _Guest(uvicorn.Server):
    """uvicorn without what only a process of its own needs."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=_OwnersOnly,
            ws="websockets-sansio",
            ws_max_size=1 << 16,
            ws_per_message_deflate=False,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self.listening = asyncio.Event()
        self.leaving = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.leaving.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await stop_accepting(sockets or [])
        await super().shutdown(sockets)
        # An aborted transport closes its socket in the loop's next turn, and the loop may end with us.
        for _ in range(_TURNS):
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
            if not self.server_state.connections:
                break
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)


def peer_uid(connection: socket.socket) -> int | None:
    """Return who is at the other end of a Unix socket; None where the platform does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _bind(path: Path) -> tuple[socket.socket, os.stat_result]:
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise _unusable(path, error.strerror or str(error)) from error
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener, path.stat()


def _clear(path: Path) -> None:
    """Remove a dead daemon's socket; refuse a living one's, and whatever is no socket."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise _unusable(path, "something that is no socket is in its place")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        answered = probe.connect_ex(str(path))
    if answered in (0, errno.EAGAIN):
        raise HeldError(
            "The control socket is in use", why=f"a process answers on {path}", hint="end it with `wakit down`"
        )
    path.unlink(missing_ok=True)


def _remove(path: Path, made: os.stat_result) -> None:
    with suppress(FileNotFoundError):
        found = path.stat()
        if (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino):
            path.unlink(missing_ok=True)


def _unusable(path: Path, why: str) -> StateDirectoryError:
    return StateDirectoryError(
        f"The control socket {path} cannot be made", why=why, hint="move it away, or check who may write in its folder"
    )
