"""A real fleet with paired sessions, quickly: linked in shared workers beforehand, then found by the daemon."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.harness import Fleet, gone
from support.linking import link_fleet
from support.whatsapp import LoopbackWhatsApp, loopback_whatsapp

from .book import Book

STALE_AFTER = 20.0
DIALS_PER_SECOND = 20.0
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
            link_fleet(whatsapp.endpoint, fleet.state, {line.name: line.number for line in book.lines})
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
