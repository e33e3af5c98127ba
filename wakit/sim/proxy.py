"""The sim's public face: an HTTP CONNECT proxy on 127.0.0.1 that leads to WhatsApp's host and nowhere else.

A client's dial is one TCP connection: ``CONNECT web.whatsapp.com:443``, the answer, TLS on the same connection, the
WebSocket inside. Any other request is refused with an HTTP status. The user name in Proxy-Authorization is kept for the
journal (it says who dials, before the client does), the password is not looked at.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import ssl
from dataclasses import dataclass
from itertools import count
from typing import Final, assert_never

from wakit.errors import EndpointError
from wakit.listening import stop_accepting
from wakit.sim.conversation import converse
from wakit.sim.exchange import Exchange
from wakit.sim.faults import Met
from wakit.sim.line import Caller
from wakit.sim.requests import (
    What,
)
from wakit.sim.scenarios import (
    DialScenario,
    HangDial,
    ProxySays,
    RefuseDial,
    RefuseTls,
    Target,
)
from wakit.sim.tls import HOST
from wakit.sim.websocket import WebSocket, WebSocketError

LOOPBACK: Final = "127.0.0.1"
_REQUEST_PATIENCE = 10.0
_REQUEST_MAX = 1 << 14
_BACKLOG = 1024
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_HANDSHAKE_FAILURE = bytes.fromhex("15 0301 0002 02 28")  # a fatal TLS alert


@dataclass(frozen=True, slots=True)
class _Connect:
    authority: str
    dialer: str


class Proxy:
    """Listens, and serves every client from its dial to its end.

    Args:
        exchange: What all conversations share.
        tls: The server's TLS settings.
    """

    def __init__(self, exchange: Exchange, tls: ssl.SSLContext) -> None:
        self._exchange = exchange
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self.port = 0

    async def open(self, port: int) -> None:
        """Listen on a port of 127.0.0.1; 0 takes any free one.

        Raises:
            EndpointError: The port is taken.
        """
        try:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, port, backlog=_BACKLOG)
        except OSError as error:
            raise EndpointError(
                "The loopback WhatsApp cannot listen",
                why=f"port {port} of {LOOPBACK}: {error.strerror or error}",
                hint="name another port with --port, or 0 for any",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def listening(self) -> bool:
        """Whether dials reach the proxy; if not, the kernel refuses them."""
        return self._server is not None

    @property
    def connections(self) -> int:
        """How many clients are being served."""
        return len(self._clients)

    async def listen(self, on: bool) -> None:
        """Close the port (what is connected stays), or open the same one again."""
        if on and self._server is None:
            await self.open(self.port)
        elif not on and self._server is not None:
            server, self._server = self._server, None
            await stop_accepting(server.sockets)
            server.close()

    async def close(self) -> None:
        """Close the port and every connection."""
        await self.listen(on=False)
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        number = next(self._numbers)
        try:
            await self._serve(number, reader, writer)
        except (WebSocketError, OSError):
            pass  # the client's connection is its own to break; the journal has the end of it
        except asyncio.CancelledError:
            pass  # the sim ends; asyncio would print a cancelled callback as an error
        finally:
            self._clients.discard(task)
            writer.close()
            self._exchange.journal.add(What.CLOSED, connection=number)

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        journal = self._exchange.journal
        connect = await _read_connect(reader)
        if connect is None or connect.authority != f"{HOST}:443":
            status = (400, "Bad Request") if connect is None else (403, "Forbidden")
            journal.add(What.REFUSED_DIAL, connection=number, detail=str(status[0]))
            await _say(writer, *status)
            return
        dialer = connect.dialer
        met = self._exchange.faults.meet_dial(Target(dialer=dialer))
        if met is not None:
            kind = str(met.scenario.__struct_config__.tag)
            journal.add(What.REFUSED_DIAL, connection=number, dialer=dialer, detail=kind)
            await _inflict(met, reader, writer)
            return
        journal.add(What.DIAL, connection=number, dialer=dialer)
        writer.write(_ESTABLISHED)
        # start_tls stops reading before anything else runs, so the client's first TLS bytes cannot get lost.
        await writer.start_tls(self._tls)
        websocket = WebSocket(reader, writer)
        await websocket.accept()
        await converse(self._exchange, websocket, Caller(number, dialer))


async def _inflict(met: Met[DialScenario], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match met.scenario:
        case HangDial():
            await _until_gone(reader, met.disarmed)
        case RefuseDial():
            writer.transport.abort()
        case ProxySays(status=status):
            await _say(writer, status, "Scenario")
        case RefuseTls():
            writer.write(_ESTABLISHED)
            await reader.read(_REQUEST_MAX)
            writer.write(_HANDSHAKE_FAILURE)
        case _:
            assert_never(met.scenario)


async def _read_connect(reader: asyncio.StreamReader) -> _Connect | None:
    try:
        async with asyncio.timeout(_REQUEST_PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    authority = rest.partition(" ")[0] if method == "CONNECT" else ""
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return _Connect(authority, _dialer(headers.get("proxy-authorization", "")))


def _dialer(authorization: str) -> str:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _say(writer: asyncio.StreamWriter, status: int, reason: str) -> None:
    writer.write(f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()


async def _until_gone(reader: asyncio.StreamReader, disarmed: asyncio.Event) -> None:
    gone = asyncio.ensure_future(reader.read(1))
    released = asyncio.ensure_future(disarmed.wait())
    try:
        await asyncio.wait((gone, released), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (gone, released):
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await each
