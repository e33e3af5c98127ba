"""The notebook's copy: complete, incremental, with the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from journal_histories import declaration, event, naive, state

from wakit.core.records import EventRecord
from wakit.errors import JournalError, QueryError
from wakit.journal import Journal, JournalOptions, Limits, Mirror, Row, Standing, json_text
from wakit.journal.ledger import utc
from wakit.journal.standing import REMEMBERED

VIEWS = ("sessions_now", "intervals", "uptime_daily", "pairings", "reconnects", "incidents")


def fetching(journal: Journal, asked: list[str], limits: Limits | None = None) -> Callable[[str], pa.Table]:
    """The transport: as over the socket, the result goes through Arrow IPC."""
    loop = asyncio.get_running_loop()

    def fetch(sql: str) -> pa.Table:
        asked.append(sql)
        answer = journal.query_ipc(sql, limits=limits or Limits())
        return pa.ipc.open_stream(asyncio.run_coroutine_threadsafe(answer, loop).result(30)).read_all()

    return fetch


def looking(journal: Journal) -> Callable[[int], Standing[Row]]:
    """The other transport."""

    def look(since: int) -> Standing[Row]:
        told = journal.standing(since)
        rows = None if told.events is None else [_row(seq, record) for seq, record in told.events]
        return Standing(told.opening, told.seq, told.rev, told.pulses, rows)

    return look


def _row(seq: int, record: EventRecord) -> Row:
    return (
        seq, utc(record.ts), record.session, record.kind, record.state_from, record.state_to, record.reason,
        record.code, json_text(record.detail), record.worker_pid, record.run_id, record.declaration_rev,
        record.git_commit, record.git_branch,
    )  # fmt: skip


async def same(mirror: Mirror, journal: Journal) -> None:
    """Compare every table and view; the journal must stand still."""
    for table in ("events", "declarations", "pulses", "identity", "runs", *VIEWS):
        ours = mirror.sql(f"FROM {table} ORDER BY ALL").to_arrow_table().to_pylist()
        assert ours == (await journal.query(f"FROM {table} ORDER BY ALL")).to_pylist(), table


async def test_a_mirror_gives_the_journal_s_answers(journal: Journal) -> None:
    journal.declare(declaration("a", git_commit="abc"))
    journal.log(event(0, kind="daemon_start"))
    for second, to in enumerate(("starting", "connected", "reconnecting", "connected")):
        journal.log(state(second, "sales", to, declaration_rev=1, detail={"n": second}))
    await journal.log_durably(event(9))
    asked: list[str] = []
    with Mirror(fetching(journal, asked)) as mirror:
        synced = await asyncio.to_thread(mirror.sync)
        assert (synced.events, synced.seq, synced.started_over) == (6, 6, False)
        for view in ("events", "declarations", "runs", *VIEWS):
            assert (
                mirror.sql(f"FROM {view}").to_arrow_table().to_pylist()
                == (await journal.query(f"FROM {view}")).to_pylist()
            ), view
        assert mirror.sql("SELECT detail.n FROM events WHERE seq = 3").fetchall() == [("1",)]


async def test_only_what_is_new_is_fetched(journal: Journal) -> None:
    asked: list[str] = []
    await journal.log_durably(event(0, kind="daemon_start"))
    with Mirror(fetching(journal, asked)) as mirror:
        await asyncio.to_thread(mirror.sync)
        journal.declare(declaration("a"))
        for number in range(3):
            journal.log(event(number))
        await journal.log_durably(event(9))
        asked.clear()
        synced = await asyncio.to_thread(mirror.sync)
        assert (synced.events, synced.seq) == (4, 5)
        assert [sql for sql in asked if "FROM events WHERE" in sql] == [asked[1]]
        assert "seq > 1 " in asked[1]
        asked.clear()
        await journal.log_durably(event(10))
        assert (await asyncio.to_thread(mirror.sync)).events == 1
        assert len(asked) == 2, "one question for what is new, and one for it"
        asked.clear()
        assert (await asyncio.to_thread(mirror.sync)).events == 0
        assert len(asked) == 1, "nothing is new"
        assert mirror.sql("SELECT count(*) FROM events").fetchall() == [(6,)]
        assert mirror.sql("SELECT count(*) FROM declarations").fetchall() == [(1,)]


async def test_portions_shrink_until_the_daemon_serves_them(journal: Journal) -> None:
    for number in range(2000):
        last = journal.log(event(number))
    await journal.acked(last)
    asked: list[str] = []
    with Mirror(fetching(journal, asked, Limits(max_rows=900))) as mirror:
        assert (await asyncio.to_thread(mirror.sync)).events == 2000
    with Mirror(fetching(journal, asked, Limits(max_rows=1))) as mirror, pytest.raises(QueryError, match="rows"):
        await asyncio.to_thread(mirror.sync)


async def test_another_journal_starts_it_over(journal: Journal, path: Path) -> None:
    copy = path.with_name("mirror.duckdb")
    for number in range(5):
        last = journal.log(event(number))
    await journal.acked(last)
    with Mirror(fetching(journal, []), copy) as mirror:
        await asyncio.to_thread(mirror.sync)
    async with Journal.open(path.with_name("another.duckdb")) as other:
        await other.log_durably(event(reason="another journal"))
        with Mirror(fetching(other, []), copy) as mirror:
            synced = await asyncio.to_thread(mirror.sync)
            assert (synced.events, synced.seq, synced.started_over) == (1, 1, True)
            assert mirror.sql("SELECT reason FROM events").fetchall() == [("another journal",)]


async def test_the_copy_is_the_user_s_to_join(journal: Journal) -> None:
    await journal.log_durably(state(1, "sales", "connected"))
    with Mirror(fetching(journal, [])) as mirror:
        await asyncio.to_thread(mirror.sync)
        mirror.connection.execute("CREATE TABLE owners AS SELECT 'sales' AS session, 'Ada' AS owner")
        assert mirror.sql("SELECT owner, state FROM sessions_now JOIN owners USING (session)").fetchall() == [
            ("Ada", "connected")
        ]
        await asyncio.to_thread(mirror.sync)


async def test_a_look_brings_what_is_new_without_a_query(path: Path) -> None:
    moments = iter(range(1000))
    async with Journal.open(path, clock=lambda: event(next(moments)).ts) as journal:
        journal.log(event(0, kind="daemon_start"))
        await journal.log_durably(state(1, "sales", "starting", detail={"ü": [1.5, {"a": None}], "n": 2**40}))
        asked: list[str] = []
        with Mirror(fetching(journal, asked), look=looking(journal)) as mirror:
            assert (await asyncio.to_thread(mirror.sync)).events == 2
            asked.clear()
            assert (await asyncio.to_thread(mirror.sync)).events == 0
            journal.log(state(2, "sales", "connected", detail={"ü": [1.5, {"a": None}], "n": 2**40}, code="x"))
            await journal.log_durably(event(3, reason="so"))
            synced = await asyncio.to_thread(mirror.sync)
            assert (synced.events, synced.seq, synced.started_over) == (2, 4, False)
            assert asked == []
            await same(mirror, journal)
            journal.declare(declaration("a", git_commit="abc"))
            await journal.log_durably(event(4, declaration_rev=1))
            assert (await asyncio.to_thread(mirror.sync)).events == 1
            assert len(asked) == 1, "a declaration's text is asked for"
            await same(mirror, journal)


async def test_what_is_no_longer_in_memory_is_asked_for(journal: Journal) -> None:
    await journal.log_durably(event(0, kind="daemon_start"))
    asked: list[str] = []
    with Mirror(fetching(journal, asked), look=looking(journal)) as mirror:
        await asyncio.to_thread(mirror.sync)
        for number in range(REMEMBERED + 10):
            last = journal.log(event(number))
        await journal.acked(last)
        asked.clear()
        assert (await asyncio.to_thread(mirror.sync)).events == REMEMBERED + 10
        assert len(asked) == 2
        await same(mirror, journal)
        asked.clear()
        await journal.log_durably(event(9))
        assert (await asyncio.to_thread(mirror.sync)).events == 1
        assert asked == []


async def test_signs_of_life_come_with_a_look(path: Path) -> None:
    times = iter(range(1, 100_000))
    async with Journal.open(
        path, clock=lambda: event(next(times)).ts, options=JournalOptions(pulse_every=0.01)
    ) as journal:
        await journal.log_durably(event(0, kind="daemon_start"))
        asked: list[str] = []
        with Mirror(fetching(journal, asked), look=looking(journal)) as mirror:
            await asyncio.to_thread(mirror.sync)
            asked.clear()
            before = dict(journal.standing(0).pulses)
            async with asyncio.timeout(10):
                while journal.standing(0).pulses == before:  # noqa: ASYNC110 - nobody is told of a sign of life
                    await asyncio.sleep(0)
            await journal.log_durably(event(0, kind="daemon_stop"))  # no further sign of life
            await asyncio.to_thread(mirror.sync)
            assert asked == []
            assert mirror.sql("SELECT count(*), min(ts) FROM pulses").fetchall()[0][0] == 1
            assert mirror.sql("SELECT ts FROM pulses").fetchall()[0][0] > naive(0)
            await same(mirror, journal)


async def test_a_journal_that_was_opened_anew_is_asked_for_everything(path: Path) -> None:
    async with Journal.open(path) as journal:
        await journal.log_durably(event(0, kind="daemon_start"))
        mirror = Mirror(fetching(journal, []), look=looking(journal))
        await asyncio.to_thread(mirror.sync)
        journal.declare(declaration("a"))  # which the mirror does not hear of in time
        await journal.log_durably(event(1))
    async with Journal.open(path) as again:
        asked: list[str] = []
        await again.log_durably(event(2, run_id="r2", kind="daemon_start"))
        mirror._fetch, mirror._look = fetching(again, asked), looking(again)
        with mirror:
            synced = await asyncio.to_thread(mirror.sync)
            assert (synced.events, synced.started_over) == (2, False)
            assert asked
            await same(mirror, again)


async def test_a_look_that_breaks_off_neither_doubles_nor_loses(journal: Journal) -> None:
    await journal.log_durably(event(0, kind="daemon_start"))
    fetch = fetching(journal, [])
    with Mirror(fetch, look=looking(journal)) as mirror:
        await asyncio.to_thread(mirror.sync)
        journal.declare(declaration("a"))
        await journal.log_durably(event(1))

        def broken(_: str) -> pa.Table:
            raise JournalError("The daemon went away")

        mirror._fetch = broken
        with pytest.raises(JournalError):
            await asyncio.to_thread(mirror.sync)
        mirror._fetch = fetch
        await journal.log_durably(event(2))
        await asyncio.to_thread(mirror.sync)
        await same(mirror, journal)


async def test_an_older_state_of_the_journal_starts_it_over(path: Path) -> None:
    async with Journal.open(path) as journal:
        await journal.log_durably(event(0, reason="both"))
    kept = path.read_bytes()  # noqa: ASYNC240
    copy = path.with_name("mirror.duckdb")
    async with Journal.open(path) as journal:
        for _ in range(3):
            await journal.log_durably(event(1, reason="undone"))
        with Mirror(fetching(journal, []), copy, look=looking(journal)) as mirror:
            await asyncio.to_thread(mirror.sync)
    path.write_bytes(kept)  # noqa: ASYNC240
    async with Journal.open(path) as journal:
        await journal.log_durably(event(2, reason="instead"))
        with Mirror(fetching(journal, []), copy, look=looking(journal)) as mirror:
            assert (await asyncio.to_thread(mirror.sync)).started_over
            assert mirror.sql("SELECT reason FROM events ORDER BY seq").fetchall() == [("both",), ("instead",)]
