"""One client's WebSocket: bytes in, bytes out, over a stream that already has its TLS.

The protocol itself is the ``websockets`` library's, without its I/O. A WebSocket message has no meaning of its own here
(frames are cut out of the bytes later), so messages are passed on in the pieces they come in.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Final

from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

PATH: Final = "/ws/chat"
_QUIET: Final = logging.getLogger("wakit.sim.websocket")  # the library would tell every connection at INFO
_QUIET.setLevel(logging.WARNING)
_PIECE = 1 << 16
_MAX_MESSAGE = 1 << 24
_NORMAL, _TEXT_REFUSED = 1000, 1003


class WebSocketError(Exception):
    """The client does not speak WebSocket, or asks for another path; it has been told so."""


class WebSocket:
    """The server's side of one WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol(max_size=_MAX_MESSAGE, logger=_QUIET)
        self._pieces: list[bytes] = []

    async def accept(self) -> None:
        """Read the client's upgrade request and agree to it.

        Raises:
            WebSocketError: There is none.
        """
        while True:
            data = await self._reader.read(_PIECE)
            self._protocol.receive_data(data) if data else self._protocol.receive_eof()
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    await self._answer(event)
                    return
            if not data or isinstance(self._protocol.handshake_exc, InvalidHandshake):
                self._flush()
                raise WebSocketError("no WebSocket upgrade")

    async def _answer(self, request: Request) -> None:
        if request.path.partition("?")[0] == PATH:
            response = self._protocol.accept(request)
        else:
            response = self._protocol.reject(HTTPStatus.NOT_FOUND, "no such path\n")
        self._protocol.send_response(response)
        self._flush()
        await self._writer.drain()
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            raise WebSocketError("an upgrade that was refused")
        self._take_events()  # a client may send its first message together with the request

    async def receive(self) -> bytes:
        """Return the next bytes; nothing means that the connection is over."""
        while not self._pieces:
            try:
                data = await self._reader.read(_PIECE)
            except (ConnectionError, OSError):
                return b""
            if not data:
                return b""
            self._protocol.receive_data(data)
            self._take_events()
            self._flush()
            if self._protocol.close_expected() and not self._pieces:
                return b""
        joined = b"".join(self._pieces)
        self._pieces.clear()
        return joined

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode in (Opcode.BINARY, Opcode.CONT):
                self._pieces.append(bytes(event.data))
            elif event.opcode is Opcode.TEXT:
                self._protocol.fail(_TEXT_REFUSED, "binary messages only")

    async def send(self, data: bytes) -> None:
        """Send one binary message; a connection that is over swallows it."""
        if self._writer.is_closing() or self._protocol.state.name != "OPEN":
            return
        self._protocol.send_binary(data)
        self._flush()
        try:
            await self._writer.drain()
        except (ConnectionError, OSError):
            self.abort()

    def close(self, code: int = _NORMAL, reason: str = "") -> None:
        """Say goodbye and close; nothing is waited for."""
        if self._writer.is_closing():
            return
        if self._protocol.state.name == "OPEN":
            self._protocol.fail(code, reason)
            self._flush()
        self._writer.close()

    def abort(self) -> None:
        """Close the connection without a word."""
        self._writer.transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)
