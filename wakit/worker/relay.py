"""The relay: a CONNECT proxy on loopback inside the worker, through which every byte of its sessions goes.

The library is told ``http://SESSION:NONCE@127.0.0.1:PORT`` as its proxy and sends that user with every CONNECT, redials
and media included. So who dials, when, with what result and how much traffic follows is known without asking the
library, whose calls are neither safe nor quick. TLS stays end to end: the relay sees addresses and sizes, no content.

A dial goes through these steps, and any of them may refuse it with a status the library understands at once:

1. the user is one of the sessions, and its nonce is right (407 otherwise): no other program on this machine may dial
   through here, and no session as another;
2. the session is not cut, and the destination is WhatsApp;
3. the clearance: the start gate and the fleet's pacing hold it here, after the session's first CONNECT was noted. One
   whose turn does not come in time is refused without being told of as a failure: the library dials again by itself,
   and keeps its place in line;
4. the route connects it, within a deadline; the true reason of a failure is told, since the library only ever says
   "Service Unavailable" about it.

Whoever waits in 3 or 4 and hangs up is let go.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from wakit.listening import stop_accepting
from wakit.whatsapp.port import DialFailure
from wakit.whatsapp.translation import LastDial
from wakit.worker.dialing import (
    DIAL_DEADLINE,
    LOGIN_HOST,
    CutError,
    DialError,
    NotYetError,
    Route,
    Streams,
    is_whatsapp,
)
from wakit.worker.messages import Traffic
from wakit.worker.metering import Meter
from wakit.worker.proxying import Request, read_request
from wakit.worker.tunnel import tunnel

_CHUNK: Final = 1 << 16
_REQUEST_DEADLINE: Final = 10.0
_STATUS: Final = {
    DialFailure.TIMEOUT: "504 Gateway Timeout",
    DialFailure.NOT_ALLOWED: "403 Forbidden",
    DialFailure.NAME_LOOKUP: "502 Bad Gateway",
}

Clearance = Callable[[str, str], Awaitable[None]]
"""Awaited as ``(session, host)`` before each dial; may raise :class:`DialError`."""


@dataclass(slots=True)
class _Passenger:
    """What the relay knows of one session."""

    route: Route
    nonce: str
    meter: Meter
    called: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False
    last_dial: LastDial = field(default_factory=LastDial)
    tunnels: set[asyncio.StreamWriter] = field(default_factory=set)

    def require_network(self) -> None:
        """Raise CutError if the session is cut."""
        if self.cut:
            raise CutError


class Relay:
    """The CONNECT proxy of one worker.

    Args:
        routes: How each session reaches WhatsApp; no other session is served.
        clearance: Awaited before each dial.
        on_failure: Told ``(session, host, why)`` when a dial failed.
        clock: Monotonic seconds.
        deadline: Seconds a dial may take once it is cleared.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        clearance: Clearance,
        on_failure: Callable[[str, str, DialError], None],
        clock: Callable[[], float],
        deadline: float = DIAL_DEADLINE,
    ) -> None:
        self._passengers = {
            name: _Passenger(route, secrets.token_urlsafe(24), Meter(clock)) for name, route in routes.items()
        }
        self._clearance = clearance
        self._on_failure = on_failure
        self._deadline = deadline
        self._server: asyncio.Server | None = None
        self._port = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            await stop_accepting(self._server.sockets)
            self._server.close()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def proxy_url(self, session: str) -> str:
        """Return what the library is told as its proxy. Contains the session's nonce."""
        return f"http://{session}:{self._passengers[session].nonce}@127.0.0.1:{self._port}"

    def called(self, session: str) -> asyncio.Event:
        """Return the event that is set by the session's first CONNECT."""
        return self._passengers[session].called

    def last_dial(self, session: str) -> LastDial:
        """Return how the session's newest dial of its web socket went. May be called from any thread."""
        return self._passengers[session].last_dial

    def cut(self, session: str) -> None:
        """Drop the session's connections and refuse its dials."""
        passenger = self._passengers[session]
        passenger.cut = True
        for writer in tuple(passenger.tunnels):
            writer.transport.abort()

    def uncut(self, session: str) -> None:
        """Let the session dial again."""
        self._passengers[session].cut = False

    def news(self) -> dict[str, Traffic]:
        """Return the traffic of each session about which there is something new since the last call."""
        news = ((name, passenger.meter.news()) for name, passenger in self._passengers.items())
        return {name: traffic for name, traffic in news if traffic is not None}

    def forgive(self, seconds: float) -> None:
        """Take back so much silence of every line: this process stood still, and what came meanwhile is not read."""
        for passenger in self._passengers.values():
            passenger.meter.forgive(seconds)

    # --- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # it hung up, or does not speak HTTP; there is nobody to tell
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            self._serving.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_REQUEST_DEADLINE):
            request = read_request(await reader.readuntil(b"\r\n\r\n"))
        if request is None:
            return await _refuse(writer, "400 Bad Request")
        passenger = self._passengers.get(request.user)
        # Compared even for an unknown user, so that time does not tell who is known.
        nonce = passenger.nonce if passenger else secrets.token_urlsafe(24)
        if not hmac.compare_digest(nonce.encode(), request.password.encode()) or passenger is None:
            return await _refuse(writer, "407 Proxy Authentication Required")
        if request.method != "CONNECT":
            return await _refuse(writer, "405 Method Not Allowed")
        passenger.called.set()
        hung_up = asyncio.create_task(reader.read(_CHUNK))
        try:
            streams = await self._connect(request, passenger, hung_up)
        except DialError as error:
            hung_up.cancel()
            if request.host == LOGIN_HOST:
                passenger.last_dial = LastDial(seen=True, cause=error.cause, detail=error.detail)
            if not isinstance(error, NotYetError | CutError):
                self._on_failure(request.user, request.host, error)
            return await _refuse(writer, _STATUS.get(error.cause, "503 Service Unavailable"))
        if streams is None:
            return None
        line = request.host == LOGIN_HOST
        if line:
            passenger.last_dial = LastDial(seen=True)
        return await self._tunnel(passenger, reader, writer, streams, hung_up, line=line)

    async def _connect(self, request: Request, passenger: _Passenger, hung_up: asyncio.Task[bytes]) -> Streams | None:
        """Connect unless the caller hangs up first; it sends nothing before it is answered."""
        dial = asyncio.create_task(self._dial(request, passenger))
        try:
            await asyncio.wait({dial, hung_up}, return_when=asyncio.FIRST_COMPLETED)
            if not dial.done() and not hung_up.result():
                return None
            return await dial
        finally:
            if not dial.done():
                dial.cancel()
                await asyncio.gather(dial, return_exceptions=True)

    async def _dial(self, request: Request, passenger: _Passenger) -> Streams:
        passenger.require_network()
        if not is_whatsapp(request.host, request.port):
            raise DialError(DialFailure.NOT_ALLOWED, "only WhatsApp's own hosts may be dialled")
        await self._clearance(request.user, request.host)
        try:
            async with asyncio.timeout(self._deadline):
                streams = await passenger.route.dial(request.user, request.host, request.port)
        except TimeoutError:
            raise DialError(DialFailure.TIMEOUT, f"{request.host} did not answer in time") from None
        try:
            passenger.require_network()  # it may have been cut meanwhile
        except DialError:
            streams[1].transport.abort()
            raise
        return streams

    async def _tunnel(
        self,
        passenger: _Passenger,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        streams: Streams,
        first: asyncio.Task[bytes],
        *,
        line: bool,
    ) -> None:
        far_writer = streams[1]
        if passenger.cut:  # between the dial's last look and now
            first.cancel()
            writer.transport.abort()
            far_writer.transport.abort()
            return
        passenger.tunnels |= {writer, far_writer}

        meter = passenger.meter
        sent, received = meter.counter(meter.sent, line=line), meter.counter(meter.received, line=line)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            # A WebSocket is over as soon as either side closes it; what was written is still flushed.
            await tunnel((reader, writer), streams, first, sent=sent, received=received)
        finally:
            passenger.tunnels -= {writer, far_writer}
            far_writer.close()


async def _refuse(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
