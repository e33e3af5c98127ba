"""Commanding a sim without an event loop: the synchronous twin of :mod:`wakit.sim.client`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from wakit.redact import Secret
from wakit.sim.answers import EVERYBODY, Number, SimEndpoint, as_number, not_converged, read_answer, unreachable
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

_T = TypeVar("_T")


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
        return self._call(Scan(as_number(number), Secret(payload)), Linked)

    def type_code(self, number: Number, code: str) -> Linked:
        """See :meth:`SimClient.type_code`."""
        return self._call(TypeCode(as_number(number), Secret(code)), Linked)

    def unlink(self, number: Number, device: int | None = None) -> int:
        """See :meth:`SimClient.unlink`."""
        return self._call(Unlink(as_number(number), device), Done).count

    def set_online(self, number: Number, online: bool) -> None:
        """See :meth:`SimClient.set_online`."""
        self._call(SetOnline(as_number(number), online), Done)

    def strike(self, scenario: OnlineScenario, target: Target = EVERYBODY) -> int:
        """See :meth:`SimClient.strike`."""
        return self._call(Strike(scenario, target), Done).count

    def arm(self, scenario: Scenario, target: Target = EVERYBODY, *, times: int | None = 1) -> int:
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

    def endpoint(self) -> SimEndpoint:
        """See :meth:`SimClient.endpoint`."""
        return SimEndpoint.of(self._call(GetEndpoint(), Ready))

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
            raise not_converged(timeout) from None
        return status

    def wait_for(self, what: What, number: Number | None = None, *, since: int = 0, timeout: float = 10.0) -> Entry:
        """See :meth:`SimClient.wait_for`."""
        wanted = None if number is None else as_number(number)
        try:
            with closing(self.watch(since, timeout)) as entries:
                for entry in entries:
                    if entry.what is what and wanted in (None, entry.number):
                        return entry
        except TimeoutError:
            pass
        raise not_converged(timeout)

    def _call(self, request: Request, kind: type[_T]) -> _T:
        with self._connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(to_line(request))
            return read_answer(lines.readline(), kind)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self.admin))
        except OSError as error:
            connection.close()
            raise unreachable(error) from error
        return connection
