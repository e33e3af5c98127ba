"""Commanding a sim from another process: an asynchronous client and its synchronous twin.

Both speak the admin socket's lines (:mod:`wakit.sim.requests`) and import neither the client library nor the server.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from wakit.errors import EndpointError, NotConvergedError, WakitError
from wakit.redact import PhoneNumber, Secret
from wakit.sim.requests import (
    Arm,
    Disarm,
    Done,
    Entry,
    GetJournal,
    GetStatus,
    Linked,
    Listen,
    OnlineScenario,
    Problem,
    Request,
    Scan,
    Scenario,
    SetOnline,
    SetRefs,
    SimStatus,
    Strike,
    Target,
    TypeCode,
    Unlink,
    Watch,
    What,
    from_line,
    to_line,
)

Number = PhoneNumber | str
_T = TypeVar("_T")
_LINE_MAX = 1 << 26  # a status of thousands of accounts is one line
_EVERYBODY = Target()


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
        return await self._call(Scan(_number(number), Secret(payload)), Linked)

    async def type_code(self, number: Number, code: str) -> Linked:
        """Let eight characters be typed on the phone of ``number``; returns once the device is linked."""
        return await self._call(TypeCode(_number(number), Secret(code)), Linked)

    async def unlink(self, number: Number, device: int | None = None) -> int:
        """Remove one device, or every one, on the phone; return how many."""
        return (await self._call(Unlink(_number(number), device), Done)).count

    async def set_online(self, number: Number, online: bool) -> None:
        """Switch the phone off (it cannot scan, type or unlink then) or on."""
        await self._call(SetOnline(_number(number), online), Done)

    async def strike(self, scenario: OnlineScenario, target: Target = _EVERYBODY) -> int:
        """Let something happen now to the target's live connections; return to how many."""
        return (await self._call(Strike(scenario, target), Done)).count

    async def arm(self, scenario: Scenario, target: Target = _EVERYBODY, *, times: int | None = 1) -> int:
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
            raise _not_converged(timeout) from None

    async def wait_for(
        self, what: What, number: Number | None = None, *, since: int = 0, timeout: float = 10.0
    ) -> Entry:
        """Wait for a journal entry newer than ``since``; returns the first that fits.

        Raises:
            NotConvergedError: There was none within ``timeout`` seconds.
        """
        wanted = None if number is None else _number(number)
        try:
            async with asyncio.timeout(timeout), aclosing(self.watch(since)) as entries:
                async for entry in entries:
                    if entry.what is what and wanted in (None, entry.number):
                        return entry
        except TimeoutError:
            pass
        raise _not_converged(timeout)

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
        return _read_answer(line, kind)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_unix_connection(self.admin, limit=_LINE_MAX)
        except OSError as error:
            raise _unreachable(error) from error


class SyncSimClient:
    """The synchronous twin of :class:`SimClient`, for tests and scripts without an event loop.

    Example:
        >>> def pair(sim: SyncSimClient, qr: str) -> int:
        ...     return sim.scan("+34600000001", qr).device
    """

    def __init__(self, admin: Path | str) -> None:
        self.admin = Path(admin)

    def scan(self, number: Number, payload: str) -> Linked:
        """See :meth:`SimClient.scan`."""
        return self._call(Scan(_number(number), Secret(payload)), Linked)

    def type_code(self, number: Number, code: str) -> Linked:
        """See :meth:`SimClient.type_code`."""
        return self._call(TypeCode(_number(number), Secret(code)), Linked)

    def unlink(self, number: Number, device: int | None = None) -> int:
        """See :meth:`SimClient.unlink`."""
        return self._call(Unlink(_number(number), device), Done).count

    def set_online(self, number: Number, online: bool) -> None:
        """See :meth:`SimClient.set_online`."""
        self._call(SetOnline(_number(number), online), Done)

    def strike(self, scenario: OnlineScenario, target: Target = _EVERYBODY) -> int:
        """See :meth:`SimClient.strike`."""
        return self._call(Strike(scenario, target), Done).count

    def arm(self, scenario: Scenario, target: Target = _EVERYBODY, *, times: int | None = 1) -> int:
        """See :meth:`SimClient.arm`."""
        return self._call(Arm(scenario, target, times), Done).count

    def disarm(self, armed: int | None = None) -> int:
        """See :meth:`SimClient.disarm`."""
        return self._call(Disarm(armed), Done).count

    def listen(self, on: bool) -> None:
        """See :meth:`SimClient.listen`."""
        self._call(Listen(on), Done)

    def set_refs(self, count: int) -> None:
        """See :meth:`SimClient.set_refs`."""
        self._call(SetRefs(count), Done)

    def status(self) -> SimStatus:
        """See :meth:`SimClient.status`."""
        return self._call(GetStatus(), SimStatus)

    def journal(self, since: int = 0) -> tuple[Entry, ...]:
        """See :meth:`SimClient.journal`."""
        return self._call(GetJournal(since), tuple[Entry, ...])

    def watch(self, since: int = 0, timeout: float | None = None) -> Generator[Entry, None, None]:
        """See :meth:`SimClient.watch`; raises TimeoutError when ``timeout`` seconds have passed in all."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(to_line(Watch(since)))
            while True:
                if deadline is not None:
                    connection.settimeout(max(deadline - time.monotonic(), 1e-3))
                line = lines.readline()
                if not line:
                    return
                yield from_line(line, Entry)

    def wait_until(self, holds: Callable[[SimStatus], bool], timeout: float = 10.0) -> SimStatus:
        """See :meth:`SimClient.wait_until`."""
        status = self.status()
        try:
            with closing(self.watch(status.seq, timeout)) as entries:
                while not holds(status):
                    next(entries)
                    status = self.status()
        except (TimeoutError, StopIteration):
            raise _not_converged(timeout) from None
        return status

    def wait_for(self, what: What, number: Number | None = None, *, since: int = 0, timeout: float = 10.0) -> Entry:
        """See :meth:`SimClient.wait_for`."""
        wanted = None if number is None else _number(number)
        try:
            with closing(self.watch(since, timeout)) as entries:
                for entry in entries:
                    if entry.what is what and wanted in (None, entry.number):
                        return entry
        except TimeoutError:
            pass
        raise _not_converged(timeout)

    def _call(self, request: Request, kind: type[_T]) -> _T:
        with self._connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(to_line(request))
            return _read_answer(lines.readline(), kind)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self.admin))
        except OSError as error:
            connection.close()
            raise _unreachable(error) from error
        return connection


class _Answer(msgspec.Struct):
    ok: msgspec.Raw = msgspec.Raw()
    error: Problem | None = None


def _read_answer(line: bytes, kind: type[_T]) -> _T:
    if not line:
        raise EndpointError("The loopback WhatsApp went away", why="it closed its admin socket", hint="start it again")
    answer = from_line(line, _Answer)
    if answer.error is not None:
        raise WakitError(answer.error.what, why=answer.error.why, hint=answer.error.hint)
    return from_line(bytes(answer.ok), kind)


def _number(number: Number) -> PhoneNumber:
    return number if isinstance(number, PhoneNumber) else PhoneNumber(number)


def _unreachable(error: OSError) -> EndpointError:
    return EndpointError(
        "The loopback WhatsApp cannot be reached",
        why=error.strerror or str(error),
        hint="start it with `wakit sim`, or name its state directory",
    )


def _not_converged(timeout: float) -> NotConvergedError:
    return NotConvergedError(f"The loopback WhatsApp did not see it within {timeout:g} s")
