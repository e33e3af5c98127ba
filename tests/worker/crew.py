"""A host, and everything that its workers report, in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

from wakit.core.declaration import Endpoint, Pairing
from wakit.redact import PhoneNumber, Secret
from wakit.sim.client import SimClient
from wakit.whatsapp.port import (
    Connected,
    QrShown,
    SessionReport,
    SessionStart,
    WorkerExited,
    WorkerLaunch,
    WorkerReport,
)
from wakit.worker.bounds import Limits
from wakit.worker.host import WorkerHost
from wakit.worker.placement import LocalPlacer

PATIENCE = 40.0
_numbers = count(1)
_epochs = count(1)


def fresh_number() -> PhoneNumber:
    """Return a phone number that no other test of this process uses."""
    return PhoneNumber(f"+3461{os.getpid() % 10**4:04d}{next(_numbers):03d}")


async def unpaced(_session: str) -> None:
    """Permit every dial at once."""


class Crew:
    """A host, the credentials' folders, and everything that was reported, in order."""

    def __init__(
        self,
        folder: Path,
        endpoint: Endpoint | None,
        *,
        permit: Callable[[str], Awaitable[None]] = unpaced,
        limits: Limits | None = None,
    ) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.lines: list[tuple[str, str]] = []
        self.reports: list[WorkerReport] = []
        self._read = 0
        self._reported = asyncio.Event()
        self.placer = LocalPlacer()
        self.host = WorkerHost(
            placer=self.placer,
            on_report=self._take,
            permit=permit,
            on_log=lambda source, line: self.lines.append((source, line)),
            limits=limits,
        )

    def _take(self, report: WorkerReport) -> None:
        self.reports.append(report)
        self._reported.set()

    def order(
        self,
        name: str,
        pairing: Pairing | None = None,
        *,
        phone: PhoneNumber | None = None,
        proxy: str = "",
    ) -> SessionStart:
        directory = self.folder / name
        directory.mkdir(mode=0o700, exist_ok=True)
        return SessionStart(
            name=name,
            directory=str(directory),
            epoch=next(_epochs),
            pairing=pairing,
            phone=phone,
            proxy=Secret(proxy) if proxy else None,
        )

    async def launch(self, worker: str, *orders: SessionStart) -> int:
        return await self.host.launch(WorkerLaunch(worker_id=worker, sessions=orders, endpoint=self.endpoint))

    async def expect(self, kind: type[Any], session: str | None = None) -> Any:
        """Return the next event (or worker's end) of that kind, of that session if one is named."""
        while True:
            report = await self._next()
            told = report.event if isinstance(report, SessionReport) else report
            whose = report.session if isinstance(report, SessionReport) else None
            if isinstance(told, kind) and session in (None, whose):
                return told

    def rewind(self, to: int) -> None:
        """Read again from the report of that number."""
        self._read = to

    async def _next(self) -> WorkerReport:
        await self.until(lambda: self._read < len(self.reports))
        self._read += 1
        return self.reports[self._read - 1]

    async def until(self, holds: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until something is true of what was reported."""
        async with asyncio.timeout(patience):
            while not holds():
                self._reported.clear()
                await self._reported.wait()

    def told(self, session: str) -> list[Any]:
        """Return every event of a session so far."""
        return [each.event for each in self.reports if isinstance(each, SessionReport) and each.session == session]

    def exits(self) -> list[WorkerExited]:
        return [each for each in self.reports if isinstance(each, WorkerExited)]

    async def pair(self, sim: SimClient, numbers: dict[str, PhoneNumber], worker: str = "pairing") -> None:
        """Pair sessions by QR, all in one worker, and end it once each is connected."""
        await self.launch(worker, *(self.order(name, Pairing.QR) for name in numbers))
        scanned: set[str] = set()
        while len(scanned) < len(numbers):
            report = await self._next()
            match report:
                case SessionReport(session=name, event=QrShown(payload=payload)) if name not in scanned:
                    scanned.add(name)
                    await sim.scan(numbers[name], payload.reveal())
                case _:
                    pass
        await self.until(
            lambda: all(any(isinstance(event, Connected) for event in self.told(name)) for name in numbers),
            PATIENCE + len(numbers),
        )
        await self.host.stop(worker, grace=2)
        self._read = len(self.reports)
