"""What it costs to keep the notebook's copy of the journal current: one event more, and a question that finds none.

A real journal behind the real control socket, and the notebook's own :class:`History` on it. ``python
tests/bench/bench_mirror.py [EVENTS ...]`` prints JSON (10,000 and 1,000,000 events by default); times are in
milliseconds, of the first copy in seconds. Beside the time on the clock stands the time on the processor, of both sides
together: a busy machine does not change it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "control"))
from bench_journal import percentiles, record, sustained
from fake_fleet import FakeFleet, session

from wakit.control.client import SyncClient
from wakit.control.schemas import JournalInfo
from wakit.control.server import create_app, serve_unix
from wakit.journal import Journal
from wakit.notebook.history import History
from wakit.runtime.bookkeeping import JournalLedger

SIZES = (10_000, 1_000_000)
UPDATES = 50
NEWEST = "SELECT max(seq) FROM events"


class Served(FakeFleet):
    """A fleet whose SQL is asked of a real journal, as the daemon does."""

    ledger: JournalLedger

    async def sql(self, query: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        return await self.ledger.query(query, params, seconds=seconds, max_rows=max_rows)

    def journal(self, since: int) -> JournalInfo:
        return self.ledger.standing(since)


@contextmanager
def daemon(folder: Path, events: int) -> Iterator[Callable[[int], int]]:
    """Serve a journal of so many events in a thread of its own; yield what logs one more, durably."""
    up: Future[tuple[asyncio.AbstractEventLoop, Journal, asyncio.Event]] = Future()

    async def serve() -> None:
        fleet = Served(session("s1"), state_dir=str(folder))
        async with Journal.open(folder / "journal.duckdb") as journal:
            fleet.ledger = JournalLedger(journal)
            await sustained(journal, range(events), 30 * 86_400 / events)
            leave = asyncio.Event()
            async with serve_unix(create_app(fleet), folder / "control.sock"):
                up.set_result((asyncio.get_running_loop(), journal, leave))
                await leave.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, journal, leave = up.result(600)

    def log(number: int) -> int:
        return int(asyncio.run_coroutine_threadsafe(journal.log_durably(record(number)), loop).result(30))

    try:
        yield log
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(60)


def measure(folder: Path, events: int) -> dict[str, Any]:
    """Copy a journal, then follow it event by event."""
    with daemon(folder, events) as log:
        history = History(folder / "journal.duckdb", SyncClient(folder))
        began = time.perf_counter()
        assert history.sql(NEWEST).fetchall() == [(events,)]
        first = time.perf_counter() - began
        new, new_cpu, same, same_cpu = [], [], [], []
        for number in range(UPDATES):
            newest = log(events + number)
            wall, cpu = timed(lambda: history.sql(NEWEST))
            new.append(wall)
            new_cpu.append(cpu)
            assert history.sql(NEWEST).fetchall() == [(newest,)]
            wall, cpu = timed(lambda: history.sql(NEWEST))
            same.append(wall)
            same_cpu.append(cpu)
        history.close()
    return {
        "first_copy_seconds": round(first, 2),
        "update_ms": percentiles(new, 1e3),
        "update_cpu_ms": percentiles(new_cpu, 1e3),
        "nothing_new_ms": percentiles(same, 1e3),
        "nothing_new_cpu_ms": percentiles(same_cpu, 1e3),
    }


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds an act took on the clock, and on the processor in all threads."""
    began, worked = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began, time.process_time() - worked


def run(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Measure each size."""
    found = {}
    for events in sizes:
        with tempfile.TemporaryDirectory(prefix="wkm", dir="/tmp") as folder:
            found[str(events)] = measure(Path(folder), events)
    return found


@pytest.mark.bench
def test_an_update_of_the_mirror_is_a_few_milliseconds() -> None:
    assert run([10_000])["10000"]["update_cpu_ms"]["p50"] < 100  # on a machine with much else to do, too


if __name__ == "__main__":
    print(json.dumps(run([int(size) for size in sys.argv[1:]] or SIZES), indent=2))
