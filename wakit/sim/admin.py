"""The admin interface: a Unix socket on which the sim's phones and scenarios are commanded.

One line of JSON in, one line out (:mod:`wakit.sim.requests`); several requests of one connection are answered in order.
The socket is 0600: who can open it owns the sim.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import assert_never

import msgspec

from wakit.errors import WakitError
from wakit.listening import stop_accepting
from wakit.sim.accounts import Device
from wakit.sim.exchange import Exchange
from wakit.sim.phone import PhoneError
from wakit.sim.proxy import Proxy
from wakit.sim.requests import (
    Arm,
    Disarm,
    Done,
    GetEndpoint,
    GetJournal,
    GetStatus,
    Linked,
    Listen,
    Problem,
    Ready,
    Request,
    Scan,
    SetOnline,
    SetRefs,
    SimStatus,
    Strike,
    TypeCode,
    Unlink,
    Watch,
    read_request,
    to_line,
)

_LINE_MAX = 1 << 20
_MOST_REFS = 32


class Admin:
    """Serves the admin socket.

    Args:
        exchange: What is commanded.
        proxy: Whose port is opened and closed.
        endpoint: Where the sim can be dialled.
    """

    def __init__(self, exchange: Exchange, proxy: Proxy, endpoint: Ready) -> None:
        self._exchange = exchange
        self._proxy = proxy
        self._endpoint = endpoint
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; a socket left behind by a sim that was killed is replaced (the directory's lock says it is dead)."""
        path = Path(self._endpoint.admin)
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the start
        before = os.umask(0o177)  # the socket must never exist with wider permissions, not even for a moment
        try:
            self._server = await asyncio.start_unix_server(self._accept, path, limit=_LINE_MAX)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            await stop_accepting(self._server.sockets)
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            while line := await reader.readline():
                await self._answer(line, writer)
        except (ConnectionError, asyncio.CancelledError, ValueError):
            pass  # gone, the sim ends, or a line beyond all measure
        finally:
            self._clients.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            request = read_request(line)
            if isinstance(request, Watch):
                async for entry in self._exchange.journal.watch(request.since):
                    writer.write(to_line(entry))
                    await writer.drain()
            answer: object = {"ok": await self._carry_out(request)}
        except PhoneError as error:
            answer = {"error": Problem(what="The phone linked nothing", why=str(error))}
        except (msgspec.DecodeError, ValueError):  # the text of these errors can quote the request
            answer = {"error": Problem(what="The loopback WhatsApp cannot read this request")}
        except WakitError as error:
            answer = {"error": Problem(what=error.what, why=error.why, hint=error.hint)}
        writer.write(to_line(answer))
        await writer.drain()

    async def _carry_out(self, request: Request) -> object:
        exchange = self._exchange
        match request:
            case Scan(number=number, payload=payload):
                return _linked(await exchange.scan(number, payload.reveal()))
            case TypeCode(number=number, code=code):
                return _linked(await exchange.type_code(number, code.reveal()))
            case Unlink(number=number, device=device):
                return Done(await exchange.unlink(number, device))
            case SetOnline(number=number, online=online):
                return Done(exchange.set_online(number, online))
            case Strike(scenario=scenario, target=target):
                return Done(await exchange.strike(scenario, target))
            case Arm(scenario=scenario, target=target, times=times):
                return Done(exchange.faults.arm(scenario, target, times))
            case Disarm(armed=armed):
                return Done(exchange.faults.disarm(armed))
            case Listen(on=on):
                await self._proxy.listen(on)
                return Done()
            case SetRefs(count=count):
                if not 1 <= count <= _MOST_REFS:
                    raise WakitError(f"A client can be given 1 to {_MOST_REFS} refs")
                exchange.desk.refs_per_client = count
                return Done(count)
            case GetEndpoint():
                return self._endpoint
            case GetStatus():
                return self._status()
            case GetJournal(since=since):
                return exchange.journal.after(since)
            case Watch():
                return Done()
            case _:
                assert_never(request)

    def _status(self) -> SimStatus:
        exchange, proxy = self._exchange, self._proxy
        return SimStatus(
            proxy=self._endpoint.proxy,
            listening=proxy.listening,
            connections=proxy.connections,
            seq=exchange.journal.seq,
            totals=dict(exchange.journal.totals),
            accounts=exchange.accounts(),
            pending=exchange.pending(),
            armed=exchange.faults.listing(),
        )


def _linked(device: Device) -> Linked:
    return Linked(device=device.number, platform=device.platform)
