"""The real journal as the reconciler's ledger."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wakit.control.schemas import EventInfo
from wakit.core.records import DeclarationRecord, EventRecord
from wakit.core.restarts import Failures, Setback
from wakit.errors import QueryError
from wakit.journal import Journal
from wakit.runtime import heard
from wakit.runtime.bookkeeping import JournalLedger

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


def event(**more: object) -> EventRecord:
    return EventRecord(**{"ts": NOW, "kind": "warning", "run_id": "r1", "session": "a", **more})  # type: ignore[arg-type]


FULL = event(
    kind="state", state_from="starting", state_to="connected", reason="logged in", code="ok", worker_pid=42,
    detail={"actions": ["restore a"], "count": 1, "first": False, "none": None}, declaration_rev=1, git_commit="c0ffee",
    git_branch="main",
)  # fmt: skip


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = Journal.open(tmp_path / "journal.duckdb")
    yield opened
    await opened.close()


@pytest.fixture
def ledger(journal: Journal) -> JournalLedger:
    return JournalLedger(journal)


async def follow(ledger: JournalLedger, count: int, log: list[EventRecord]) -> list[EventInfo]:
    """Log once somebody listens, and return what that listener was told."""
    told: list[EventInfo] = []
    async with asyncio.timeout(20), aclosing(ledger.events()) as stream:  # type: ignore[type-var]
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)  # the subscription stands as soon as the stream is waited for
        for record in log:
            ledger.log(record)
        item = await first
        while True:
            assert isinstance(item, EventInfo)
            told.append(item)
            if len(told) == count:
                return told
            item = await anext(stream)


async def test_what_is_told_live_is_what_is_read_later(ledger: JournalLedger) -> None:
    records = [FULL, event(), event(session=None, kind="daemon_start", reason="the daemon starts", code="")]
    live = await follow(ledger, 3, records)
    assert await ledger.events_since(0) == live
    assert [info.seq for info in live] == [1, 2, 3]
    assert live[0].ts == NOW
    assert live[0].detail == dict(FULL.detail)
    assert live[1].reason is None
    assert await ledger.events_since(2) == live[2:]


async def test_numbers_go_on_after_a_restart(journal: Journal, ledger: JournalLedger, tmp_path: Path) -> None:
    assert ledger.last_seq() == 0
    number = ledger.log(FULL)
    assert ledger.last_seq() == number == 1
    await journal.acked(number)
    assert ledger.healthy()
    assert ledger.pending() == 0
    await journal.close()
    async with Journal.open(tmp_path / "journal.duckdb") as again:
        ledger = JournalLedger(again)
        assert ledger.last_seq() == 1
        assert ledger.log(event()) == 2


async def test_a_declaration_is_one_revision_as_long_as_its_bytes_stay(ledger: JournalLedger) -> None:
    def declared(sha: str) -> DeclarationRecord:
        return DeclarationRecord(sha256=sha, loaded_at=NOW, text="[sessions.a]", git_commit="c0ffee")

    revisions = [await ledger.declare(declared(sha)) for sha in ("one", "one", "two")]
    assert revisions == [1, 1, 2]


async def test_an_earlier_runs_declaration_is_known(journal: Journal, ledger: JournalLedger, tmp_path: Path) -> None:
    await ledger.declare(DeclarationRecord(sha256="one", loaded_at=NOW, text="[sessions.a]"))
    assert ledger.text_before("two") is None
    await journal.close()
    async with Journal.open(tmp_path / "journal.duckdb") as again:
        assert JournalLedger(again).text_before("two") == "[sessions.a]"
        assert JournalLedger(again).text_before("one") is None


async def test_sql_is_answered_and_bounded(journal: Journal, ledger: JournalLedger) -> None:
    await journal.acked(ledger.log(FULL))
    answer = await ledger.query("SELECT session, reason FROM events WHERE seq >= ?", [1], seconds=5.0, max_rows=10)
    assert pa.ipc.open_stream(answer).read_all().to_pylist() == [{"session": "a", "reason": "logged in"}]
    with pytest.raises(QueryError):
        await ledger.query("DROP TABLE events", None, seconds=5.0, max_rows=10)
    with pytest.raises(QueryError):
        await ledger.query("SELECT * FROM range(100)", None, seconds=5.0, max_rows=10)


async def test_queries_that_cannot_be_stopped_are_counted(
    journal: Journal, ledger: JournalLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ledger.stuck() == 0
    monkeypatch.setattr(type(journal._writer.readers), "stuck", property(lambda _: 3))
    assert ledger.stuck() == 3


async def test_the_stream_ends_with_the_journal(journal: Journal, ledger: JournalLedger) -> None:
    stream = ledger.events()
    waiting = asyncio.ensure_future(anext(stream, None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await journal.close()
    async with asyncio.timeout(20):
        assert await waiting is None


async def test_a_long_past_is_told_from_its_newest_events(
    journal: Journal, ledger: JournalLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakit.runtime.bookkeeping.REPLAYED", 5)
    for _ in range(12):
        last = ledger.log(event())
    await journal.acked(last)
    assert [info.seq for info in await ledger.events_since(2)] == [8, 9, 10, 11, 12]
    assert [info.seq for info in await ledger.events_since(10)] == [11, 12]


async def test_who_was_blamed_for_a_crash_is_remembered(ledger: JournalLedger) -> None:
    told = [("a", False, 2), ("a", True, 1), ("b", True, 1), ("a", True, 1)]
    for number, (session, culprit, aboard) in enumerate(told):
        detail = {"asked": False, "aboard": aboard, "culprit": culprit}
        ledger.log(event(kind="worker_exit", session=session, ts=NOW + timedelta(hours=number), detail=detail))
    ledger.log(event(kind="worker_exit", session="c", detail={"asked": True, "evidence": ""}))
    await ledger._journal.acked(ledger.last_seq())
    assert await ledger.blamed_since(NOW) == {"a": NOW + timedelta(hours=3), "b": NOW + timedelta(hours=2)}
    assert await ledger.blamed_since(NOW + timedelta(hours=2)) == {"a": NOW + timedelta(hours=3)}


async def test_what_a_crashed_daemon_left_of_the_tries_is_remembered_and_an_orderly_end_forgets_it(
    ledger: JournalLedger,
) -> None:
    moments = count()

    def told(session: str, kind: str, **more: Any) -> datetime:
        moment = NOW + timedelta(seconds=next(moments))
        ledger.log(event(kind=kind, session=session, ts=moment, **more))
        return moment

    def tried(session: str, failures: int) -> datetime:
        return told(session, "try_failed", detail={"failures": failures, "limit": 20})

    told("a", "state", state_to="failed", code="restarts", reason="of an earlier budget")
    tried("a", 1)
    ledger.log(event(kind="daemon_stop", session=None))
    await ledger._journal.acked(ledger.last_seq())
    assert await ledger.setbacks() == {}
    told("spent", "state", state_to="reconnecting")
    spent = [tried("spent", 1), tried("spent", 2)]
    gave_up = told("spent", "state", state_to="failed", code="restarts", reason="2 tries failed")
    told("asked", "state", state_to="failed", code="restarts", reason="2 tries failed")
    forgiven = told("asked", "state", state_to="starting")
    tried("asked", 2)
    again = tried("asked", 1)
    tried("well", 1)
    well = told("well", "state", state_to="connected")
    told("refused", "state", state_to="failed", code="restarts", reason="2 tries failed")
    refused = told("refused", "state", state_to="failed", code=None, reason="it was refused")
    once = tried("refused", 1)
    told("quiet", "state", state_to="connected")
    await ledger._journal.acked(ledger.last_seq())
    assert await ledger.setbacks() == {
        "spent": Setback(Failures(tuple(spent)), "2 tries failed", gave_up),
        "asked": Setback(Failures((again,)), "", forgiven),
        "well": Setback(Failures(), "", well),
        "refused": Setback(Failures((once,)), "", refused),
    }


async def test_in_which_state_somebody_was_when_last_heard_of_is_known(ledger: JournalLedger) -> None:
    for session, state in [("a", "retired"), ("b", "retired"), ("b", "declared"), ("c", "retired")]:
        ledger.log(event(kind="state", session=session, state_to=state))
    await ledger._journal.acked(ledger.last_seq())
    assert await ledger.last_states({"a", "b", "new"}) == {"a": "retired", "b": "declared"}


def counting(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each question that the journal is asked."""
    asked: list[str] = []
    answer = journal.query

    async def query(sql: str, **more: Any) -> pa.Table:
        asked.append(sql)
        return await answer(sql, **more)

    monkeypatch.setattr(journal, "query", query)
    return asked


def test_the_example_of_what_was_heard_runs() -> None:
    assert doctest.testmod(heard).failed == 0


async def test_the_journal_is_asked_once_for_the_last_states(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for session, state in [("a", "connected"), ("b", "retired"), ("a", "failed")]:
        journal.log(event(kind="state", session=session, state_to=state))
    await journal.acked(journal.log(event(kind="dial", session="never")))
    await journal.close()
    async with Journal.open(tmp_path / "journal.duckdb") as again:
        ledger, asked = JournalLedger(again), counting(again, monkeypatch)
        ledger.log(event(kind="state", session="b", state_to="declared"))
        assert await ledger.last_states({"a", "b", "c", "never"}) == {"a": "failed", "b": "declared"}
        ledger.log(event(kind="state", session="c", state_to="retired"))
        for number in range(100):
            assert await ledger.last_states({"c", f"new-{number}"}) == {"c": "retired"}
        assert len(asked) == 1


async def test_who_does_not_fit_into_memory_is_asked_of_the_journal(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        seq = journal.log(event(kind="state", session=f"s{number}", state_to="parked"))
    await journal.acked(seq)
    await journal.close()
    async with Journal.open(tmp_path / "journal.duckdb") as again:
        ledger, asked = JournalLedger(again, kept=5), counting(again, monkeypatch)
        assert await ledger.last_states({"s15", "s19"}) == {"s15": "parked", "s19": "parked"}
        assert len(asked) == 1
        assert await ledger.last_states({"s0", "s19", "new"}) == {"s0": "parked", "s19": "parked"}
        assert len(asked) == 2
        for number in range(10):
            last = ledger.log(event(kind="state", session=f"t{number}", state_to="retired"))
        await again.acked(last)
        assert await ledger.last_states({"t9", "t0", "s19"}) == {"t9": "retired", "t0": "retired", "s19": "parked"}
        assert len(ledger._heard.known(f"t{number}" for number in range(10))) == 5


async def test_what_is_logged_while_the_journal_answers_is_newer_than_its_answer(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.acked(journal.log(event(kind="state", session="a", state_to="retired")))
    ledger = JournalLedger(journal)
    answer = journal.query

    async def query(sql: str, **more: Any) -> pa.Table:
        table = await answer(sql, **more)
        ledger.log(event(kind="state", session="a", state_to="declared"))
        return table

    monkeypatch.setattr(journal, "query", query)
    assert await ledger.last_states({"a"}) == {"a": "declared"}


async def test_a_journal_that_could_not_be_asked_is_asked_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.acked(journal.log(event(kind="state", session="a", state_to="retired")))
    ledger = JournalLedger(journal)

    async def busy(*_: object, **__: object) -> pa.Table:
        raise QueryError("The query was cut off", why="busy")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "query", busy)
        assert await ledger.last_states({"a"}) == {}
    assert await ledger.last_states({"a"}) == {"a": "retired"}


async def test_the_file_of_the_run_before_is_known_again(tmp_path: Path, journal: Journal) -> None:
    ledger = JournalLedger(journal)
    assert not ledger.continues("second"), "there was none"
    for sha in ("first", "second"):
        await ledger.declare(DeclarationRecord(sha256=sha, loaded_at=NOW, text=""))
    await journal.acked(ledger.log(event()))
    assert not ledger.continues("second"), "it is of this run"
    await journal.close()
    opened = Journal.open(tmp_path / "journal.duckdb")
    try:
        assert [JournalLedger(opened).continues(sha) for sha in ("first", "second")] == [False, True]
    finally:
        await opened.close()


async def test_a_journal_that_cannot_be_asked_blames_nobody(journal: Journal) -> None:
    ledger = JournalLedger(journal)
    await journal.close()
    assert await ledger.last_states({"a"}) == {}
    assert await ledger.blamed_since(NOW) == {}
    assert await ledger.setbacks() == {}
