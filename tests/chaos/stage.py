"""A real fleet with paired sessions, quickly: paired in shared workers beforehand, then found by the daemon.

To pair two hundred sessions one worker each would take the daemon minutes. What lies in a session's folder without a
note is adopted when the daemon starts, as after a crash between a link and its note; so linking is done before.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.harness import Fleet, gone
from support.whatsapp import LoopbackWhatsApp, loopback_whatsapp

from wakit.core.declaration import Endpoint, Pairing
from wakit.redact import PhoneNumber
from wakit.sim.client import SimClient
from wakit.vault.layout import open_layout, private_folder
from wakit.whatsapp.port import (
    Connected,
    QrShown,
    SessionReport,
    SessionStart,
    WorkerExited,
    WorkerLaunch,
    WorkerReport,
)
from wakit.worker.host import WorkerHost

from .book import Book

STALE_AFTER = 20.0
DIALS_PER_SECOND = 20.0
_PAIRED_TOGETHER = 25  # a QR lasts a minute, and they are shown one after the other
_PATIENCE = 300.0


@dataclass
class Stage:
    """Everything a run needs; ``since`` is the sim's newest entry before the daemon's first login."""

    fleet: Fleet
    whatsapp: LoopbackWhatsApp
    book: Book
    since: int


@contextmanager
def staged(sessions: int) -> Iterator[Stage]:
    """Run a sim and a daemon (``wakit up -d``) with paired sessions; everything is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    try:
        with loopback_whatsapp() as whatsapp:
            fleet = Fleet(folder)
            book = Book(fleet.config, _head(whatsapp))
            for index in range(sessions):
                book.add(f"s{index:03d}", number_of(index))
            asyncio.run(_pair(whatsapp, fleet.state, book))
            book.save()
            since = whatsapp.sim.status().seq
            up = fleet.run("up", "-d", timeout=_PATIENCE)
            assert up.returncode == 0, up.stderr
            try:
                yield Stage(fleet, whatsapp, book, since)
            finally:
                workers = fleet.workers()
                fleet.run("down", "--timeout", "60", timeout=_PATIENCE)
                assert gone(workers, timeout=30), "a worker outlived its daemon"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def number_of(index: int) -> str:
    """Return the number of a session; +999 is nobody's (E.164)."""
    return f"+99977{index:06d}"


def _head(whatsapp: LoopbackWhatsApp) -> str:
    endpoint = whatsapp.endpoint
    return (
        f'[endpoint]\nproxy = "{endpoint.proxy}"\nca_file = "{endpoint.ca_file}"\n'
        f'noise_root_key = "{endpoint.noise_root_key}"\n'
        f'[pacing]\ndials = "{DIALS_PER_SECOND:g}/s"\npairings = 8\n[health]\nstale_after = "{STALE_AFTER:g}s"\n\n'
    )


async def _pair(whatsapp: LoopbackWhatsApp, state: Path, book: Book) -> None:
    layout = open_layout(state)
    for start in range(0, len(book.lines), _PAIRED_TOGETHER):
        numbers = {line.name: line.number for line in book.lines[start : start + _PAIRED_TOGETHER]}
        orders = []
        for name in numbers:
            folder = layout.session(name, "shared")
            private_folder(folder.parent)
            orders.append(SessionStart(name=name, directory=str(private_folder(folder)), epoch=1, pairing=Pairing.QR))
        async with SimClient(whatsapp.endpoint.admin) as sim:
            await _link(sim, orders, numbers, whatsapp)


async def _link(
    sim: SimClient, orders: Sequence[SessionStart], numbers: dict[str, str], whatsapp: LoopbackWhatsApp
) -> None:
    endpoint = whatsapp.endpoint
    reports: asyncio.Queue[WorkerReport] = asyncio.Queue()

    async def unpaced(_session: str) -> None:
        return

    host = WorkerHost(on_report=reports.put_nowait, permit=unpaced, on_log=lambda *_: None)
    where = Endpoint(endpoint.proxy, str(endpoint.ca_file), endpoint.noise_root_key)
    await host.launch(WorkerLaunch(worker_id="pairing", sessions=tuple(orders), endpoint=where))
    left, scanned = set(numbers), set[str]()
    try:
        async with asyncio.timeout(_PATIENCE):
            while left:
                match await reports.get():
                    case SessionReport(session=name, event=QrShown(payload=payload)) if name not in scanned:
                        scanned.add(name)
                        await sim.scan(PhoneNumber(numbers[name]), payload.reveal())
                    case SessionReport(session=name, event=Connected()):
                        left.discard(name)
                    case WorkerExited(cause=cause):
                        raise RuntimeError(cause)
                    case _:
                        pass
    finally:
        await host.close()
