from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from served_fleet import ServedFleet

from wakit.core.records import EventRecord
from wakit.errors import ControlError, QueryError
from wakit.journal import Journal, open_read_only
from wakit.notebook.fleet import Fleet
from wakit.runtime.bookkeeping import JournalLedger

START = datetime(2026, 1, 1, tzinfo=UTC)


async def write(folder: Path, *states: str) -> None:
    async with Journal.open(folder / "journal.duckdb") as journal:
        for n, state in enumerate(states):
            moment = START + timedelta(seconds=n)
            record = EventRecord(ts=moment, kind="state", run_id="r", session="sales", state_to=state)
            await journal.acked(journal.log(record))


@pytest.fixture
def journal(folder: Path, served: ServedFleet, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake daemon answers SQL from a real journal."""

    async def sql(query: str, params: Any, **_: Any) -> bytes:
        with open_read_only(folder / "journal.duckdb") as journal:
            return journal.query_ipc(query, params=params)

    monkeypatch.setattr(served.fake, "sql", sql)
    return folder


async def test_every_question_sees_what_is_new(fleet: Fleet, journal: Path) -> None:
    await write(journal, "starting")
    query = "SELECT state_to FROM events WHERE session = 'sales' ORDER BY seq"
    assert fleet.sql(query).fetchall() == [("starting",)]
    await write(journal, "connected", "reconnecting")
    assert [state for (state,) in fleet.sql(query).fetchall()] == ["starting", "connected", "reconnecting"]
    assert len(fleet["sales"].events()) == len(fleet.events()) == 3
    assert fleet["support"].events().fetchall() == []
    assert isinstance(fleet.sql(query).to_arrow_table(), pa.Table)


async def test_a_question_may_join_what_the_notebook_has(fleet: Fleet, journal: Path) -> None:
    await write(journal, "starting")
    owners = pa.table({"session": ["sales"], "owner": ["Ana"]})
    assert owners.num_rows
    answer = fleet.sql("SELECT owner, state_to FROM events JOIN owners USING (session)")
    assert answer.fetchall() == [("Ana", "starting")]


async def test_parameters_and_wrong_questions(fleet: Fleet, journal: Path) -> None:
    await write(journal, "starting")
    assert fleet.sql("SELECT count(*) FROM events WHERE session = ?", ["sales"]).fetchall() == [(1,)]
    with pytest.raises(QueryError) as caught:
        fleet.sql("SELECT nonsense FROM events")
    assert "nonsense" in caught.value.why
    with pytest.raises(QueryError):
        fleet.sql("SELEC 1")


async def test_the_file_is_read_where_the_daemon_has_gone(folder: Path) -> None:
    served = ServedFleet(folder, "sales")
    with served.up():
        fleet = Fleet(folder / "sessions.toml", folder)
    with fleet:
        await write(folder, "starting")
        assert fleet.sql("SELECT count(*) FROM events").fetchall() == [(1,)]
        await write(folder, "connected")  # reading did not keep the file: a daemon can own it again
        assert fleet.sql("SELECT count(*) FROM events").fetchall() == [(2,)]


async def test_what_is_new_comes_without_a_query_and_as_the_journal_has_it(
    fleet: Fleet, folder: Path, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journal.open(folder / "journal.duckdb") as journal:
        ledger, queries = JournalLedger(journal), []

        async def sql(query: str, params: Any, *, seconds: float, max_rows: int) -> bytes:
            queries.append(query)
            return await ledger.query(query, params, seconds=seconds, max_rows=max_rows)

        monkeypatch.setattr(served.fake, "sql", sql)
        monkeypatch.setattr(served.fake, "journal", ledger.standing)
        everything = "FROM events ORDER BY seq"
        fleet.sql(everything)
        queries.clear()
        moment = START.replace(microsecond=123456).astimezone(timezone(timedelta(hours=2)))
        full: dict[str, Any] = {
            "session": "sales", "state_from": "starting", "state_to": "connected", "reason": "it \N{SNOWMAN} works",
            "code": "401", "worker_pid": 7, "declaration_rev": 0, "git_commit": "abc", "git_branch": "main",
            "detail": {"b": [1, 2.5, 1e300, None, True, {"z": '\\ " \n'}], "a": {}, "n": 2**53},
        }  # fmt: skip
        journal.log(EventRecord(ts=moment, kind="state", run_id="r", **full))
        journal.log(EventRecord(ts=START, kind="warning", run_id="", code=""))
        await journal.log_durably(EventRecord(ts=START, kind="daemon_start", run_id="r2"))
        copied = fleet.sql(everything).to_arrow_table().to_pylist()
        assert queries == []
        assert len(copied) == 3
        assert copied == (await journal.query(everything)).to_pylist()


async def test_a_daemon_of_an_earlier_release_is_asked_by_sql(
    fleet: Fleet, journal: Path, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(since: int) -> None:
        raise ControlError("There is no such route")

    monkeypatch.setattr(served.fake, "journal", unknown)
    for count in (1, 2):
        await write(journal, "starting")
        assert fleet.sql("SELECT count(*) FROM events").fetchall() == [(count,)]
