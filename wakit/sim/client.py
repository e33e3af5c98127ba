"""Commanding a sim from another process: an asynchronous client, and (from :mod:`wakit.sim.blocking`) its twin.

Both speak the admin socket's lines (:mod:`wakit.sim.requests`) and import neither the client library nor the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Self, TypeVar

from wakit.redact import Secret
from wakit.sim.answers import EVERYBODY, Number, SimEndpoint, as_number, not_converged, read_answer, unreachable
from wakit.sim.blocking import SyncSimClient
from wakit.sim.requests import (
    Arm,
    Disarm,
    Done,
    Entry,
    GetEndpoint,
    GetJournal,
    GetStatus,
    Linked,
    Listen,
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
    What,
    from_line,
    to_line,
)
from wakit.sim.scenarios import OnlineScenario, Scenario, Target

__all__ = ["SimClient", "SimEndpoint", "SyncSimClient"]

_T = TypeVar("_T")
_LINE_MAX = 1 << 26  # a status of thousands of accounts is one line


class SimClient:
    """Commands a running sim.

    Args:
        admin: The path of its admin socket.

    Every method raises WakitError (with the sim's reason) if the sim refuses, EndpointError if it is gone.

    Example:
        >>> async def pair(sim: SimClient, qr: str) -> int:
        ...     return (await sim.scan("+34600000001", qr)).device
    """

    def __init__(self, admin: Path | str) -> None:
        self.admin = Path(admin)
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def scan(self, number: Number, payload: str) -> Linked:
        """Let the phone of ``number`` scan the QR code that reads ``payload``; returns once the device is linked."""
        return await self._call(Scan(as_number(number), Secret(payload)), Linked)

    async def type_code(self, number: Number, code: str) -> Linked:
        """Let eight characters be typed on the phone of ``number``; returns once the device is linked."""
        return await self._call(TypeCode(as_number(number), Secret(code)), Linked)

    async def unlink(self, number: Number, device: int | None = None) -> int:
        """Remove one device, or every one, on the phone; return how many."""
        return (await self._call(Unlink(as_number(number), device), Done)).count

    async def set_online(self, number: Number, online: bool) -> None:
        """Switch the phone off (it cannot scan, type or unlink then) or on."""
        await self._call(SetOnline(as_number(number), online), Done)

    async def strike(self, scenario: OnlineScenario, target: Target = EVERYBODY) -> int:
        """Let something happen now to the target's live connections; return to how many."""
        return (await self._call(Strike(scenario, target), Done)).count

    async def arm(self, scenario: Scenario, target: Target = EVERYBODY, *, times: int | None = 1) -> int:
        """Let something happen to the target's next dials or logins; return the id for :meth:`disarm`."""
        return (await self._call(Arm(scenario, target, times), Done)).count

    async def disarm(self, armed: int | None = None) -> int:
        """Take one armed scenario, or every one, back; return how many."""
        return (await self._call(Disarm(armed), Done)).count

    async def listen(self, on: bool) -> None:
        """Close the port, so that dials are refused by the kernel, or open it again."""
        await self._call(Listen(on), Done)

    async def set_refs(self, count: int) -> None:
        """Set how many QR codes a registering client gets."""
        await self._call(SetRefs(count), Done)

    async def endpoint(self) -> SimEndpoint:
        """Return where the sim can be dialled."""
        return SimEndpoint.of(await self._call(GetEndpoint(), Ready))

    async def status(self) -> SimStatus:
        """Return everything the sim knows."""
        return await self._call(GetStatus(), SimStatus)

    async def journal(self, since: int = 0) -> tuple[Entry, ...]:
        """Return the journal's entries after a sequence number."""
        return await self._call(GetJournal(since), tuple[Entry, ...])

    async def watch(self, since: int = 0) -> AsyncGenerator[Entry, None]:
        """Yield the journal's entries after a sequence number, and then each new one; ends with the sim."""
        reader, writer = await self._connect()
        try:
            writer.write(to_line(Watch(since)))
            while line := await reader.readline():
                yield from_line(line, Entry)
        finally:
            writer.close()

    async def wait_until(self, holds: Callable[[SimStatus], bool], timeout: float = 10.0) -> SimStatus:  # noqa: ASYNC109
        """Wait until ``holds`` is true of the status, asking again after every journal entry; return that status.

        Raises:
            NotConvergedError: It was not true within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                status = await self.status()
                async with aclosing(self.watch(status.seq)) as entries:
                    while not holds(status):
                        await anext(entries)
                        status = await self.status()
                return status
        except (TimeoutError, StopAsyncIteration):
            raise not_converged(timeout) from None

    async def wait_for(
        self,
        what: What,
        number: Number | None = None,
        *,
        since: int = 0,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> Entry:
        """Wait for a journal entry newer than ``since``; returns the first that fits.

        Raises:
            NotConvergedError: There was none within ``timeout`` seconds.
        """
        wanted = None if number is None else as_number(number)
        try:
            async with asyncio.timeout(timeout), aclosing(self.watch(since)) as entries:
                async for entry in entries:
                    if entry.what is what and wanted in (None, entry.number):
                        return entry
        except TimeoutError:
            pass
        raise not_converged(timeout)

    async def close(self) -> None:
        """Close the connection; the sim goes on."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(self, request: Request, kind: type[_T]) -> _T:
        async with self._turn:
            if self._streams is None:
                self._streams = await self._connect()
            reader, writer = self._streams
            try:
                writer.write(to_line(request))
                line = await reader.readline()
            except ConnectionError:
                line = b""
            except BaseException:
                await self.close()  # an answer that nobody read must not be taken for the next one
                raise
        return read_answer(line, kind)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_unix_connection(self.admin, limit=_LINE_MAX)
        except OSError as error:
            raise unreachable(error) from error
