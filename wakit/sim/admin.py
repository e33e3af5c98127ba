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
from wakit.sim.accounts import Device
from wakit.sim.exchange import Exchange
from wakit.sim.phone import PhoneError
from wakit.sim.proxy import LOOPBACK, Proxy
from wakit.sim.requests import (
    Arm,
    Disarm,
    Done,
    GetJournal,
    GetStatus,
    Linked,
    Listen,
    Problem,
    Request,
    Scan,
    SetOnline,
    SetRefs,
    SimStatus,
    Strike,
    TypeCode,
    Unlink,
    Watch,
    from_line,
    to_line,
)

_LINE_MAX = 1 << 20
_MOST_REFS = 32


class Admin:
    """Serves the admin socket.

    Args:
        exchange: What is commanded.
        proxy: Whose port is opened and closed.
    """

    def __init__(self, exchange: Exchange, proxy: Proxy) -> None:
        self._exchange = exchange
        self._proxy = proxy
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self, path: Path) -> None:
        """Listen at ``path``; a socket left behind by a sim that was killed is replaced (the lock says it is dead)."""
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # the socket must never exist with wider permissions, not even for a moment
        try:
            self._server = await asyncio.start_unix_server(self._accept, path, limit=_LINE_MAX)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
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
            request = from_line(line, Request)
            if isinstance(request, Watch):
                async for entry in self._exchange.journal.watch(request.since):
                    writer.write(to_line(entry))
                    await writer.drain()
            answer: object = {"ok": await self._carry_out(request)}
        except (msgspec.DecodeError, ValueError) as error:
            what = str(error) if isinstance(error, PhoneError) else "a request that cannot be read"
            answer = {"error": Problem(what=what)}
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
            proxy=f"http://{LOOPBACK}:{proxy.port}",
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
