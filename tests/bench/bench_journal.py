"""How fast the journal is, beside a plain file that is appended to and synced on the same disk in the same run.

``python tests/bench/bench_journal.py [EVENTS]`` prints JSON; times are in milliseconds, of the call to log in
microseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wakit.core.records import EventRecord
from wakit.journal import Journal, Limits

MILLION = 1_000_000
SESSIONS = 100
DAYS = 30
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
PATIENT = Limits(timeout=120)
QUERIES = {
    "sessions_now": "FROM sessions_now",
    "uptime_daily_30_days": "FROM uptime_daily",
    "incidents": "SELECT count(*) FROM incidents",
    "point_lookup": "SELECT * FROM events WHERE seq = 500000",
    "session_last_day": "SELECT * FROM events WHERE session = 's7' AND ts >= TIMESTAMP '2026-03-30' ORDER BY seq",
}


def record(number: int, every: float = 1.0) -> EventRecord:
    """Sessions that connect and reconnect in turn, with a few other events between."""
    session = f"s{number % SESSIONS}"
    ts = BEGIN + timedelta(seconds=number * every)
    if number == 0:
        return EventRecord(ts=ts, kind="daemon_start", run_id="r1")
    if number // SESSIONS % 4 == 3:
        return EventRecord(ts=ts, kind="dial", run_id="r1", session=session, detail={"attempt": number % 5})
    to = "connected" if number // SESSIONS % 2 else "reconnecting"
    return EventRecord(
        ts=ts, kind="state", run_id="r1", session=session, state_to=to, reason="the socket was dropped",
        worker_pid=4242, declaration_rev=1, git_commit="0123456789abcdef", git_branch="main",
    )  # fmt: skip


def percentiles(values: list[float], scale: float) -> dict[str, float]:
    """The middle and the 95th of a hundred."""
    ranked = sorted(values)
    return {
        "p50": round(ranked[len(ranked) // 2] * scale, 3),
        "p95": round(ranked[int(len(ranked) * 0.95)] * scale, 3),
    }


async def timed(count: int, action: Callable[[int], Awaitable[object]]) -> list[float]:
    """How long each of some actions took, one after the other."""
    taken = []
    for number in range(count):
        began = time.perf_counter()
        await action(number)
        taken.append(time.perf_counter() - began)
    return taken


def plain_file(folder: Path, count: int) -> list[float]:
    """The baseline: append a line of the same length and sync it."""
    line = b"x" * 300 + b"\n"
    taken = []
    with (folder / "plain.log").open("ab", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(line)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return taken


async def measure(folder: Path, events: int) -> dict[str, Any]:
    """Fill a journal and ask it."""
    every = DAYS * 86_400 / events
    async with Journal.open(folder / "journal.duckdb") as journal:
        calls = []
        for number in range(2000):
            made = record(number, every)
            began = time.perf_counter()
            seq = journal.log(made)
            calls.append(time.perf_counter() - began)
        await journal.acked(seq)
        acks = await timed(300, lambda n: journal.log_durably(record(2000 + n, every)))
        rate = await sustained(journal, range(2300, events), every)
        answers = {}
        for name, sql in QUERIES.items():
            await journal.query(sql, limits=PATIENT)
            taken = await timed(5, lambda _, sql=sql: journal.query(sql, limits=PATIENT))
            answers[name] = percentiles(taken, 1e3)["p50"]
        loaded = asyncio.create_task(busy_queries(journal))
        acks_loaded = await timed(300, lambda n: journal.log_durably(record(events + n, every)))
        loaded.cancel()
        await asyncio.wait([loaded])
        assert journal.health.ok
    baseline = plain_file(folder, 300)
    return {
        "events": events,
        "log_call_us": percentiles(calls, 1e6),
        "durable_ack_ms": percentiles(acks, 1e3),
        "durable_ack_beside_queries_ms": percentiles(acks_loaded, 1e3),
        "plain_file_fsync_ms": percentiles(baseline, 1e3),
        "ack_over_plain_file": round(percentiles(acks, 1e6)["p50"] / percentiles(baseline, 1e6)["p50"], 1),
        "events_per_second": round(rate),
        "queries_ms": answers,
    }


async def sustained(journal: Journal, numbers: range, every: float) -> float:
    """Events a second from call to acknowledgement, with at most 20,000 under way."""
    began = time.perf_counter()
    seq = 0
    for number in numbers:
        seq = journal.log(record(number, every))
        if number % 10_000 == 0:
            await journal.acked(max(1, seq - 10_000))
    await journal.acked(seq)
    return len(numbers) / (time.perf_counter() - began)


async def busy_queries(journal: Journal) -> None:
    """Keep a query running."""
    while True:
        await journal.query(QUERIES["uptime_daily_30_days"], limits=PATIENT)


def run(events: int = MILLION) -> dict[str, Any]:
    """Measure everything once."""
    with tempfile.TemporaryDirectory(prefix="wk") as folder:
        return asyncio.run(measure(Path(folder), events))


@pytest.mark.bench
def test_the_journal_keeps_up() -> None:
    told = run(100_000)
    assert told["log_call_us"]["p50"] < 100
    assert told["events_per_second"] > 5000


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else MILLION), indent=2))
