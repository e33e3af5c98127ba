"""The notebook's copy: complete, incremental, with the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from journal_histories import declaration, event, state

from wakit.errors import QueryError
from wakit.journal import Journal, Limits, Mirror

VIEWS = ("sessions_now", "intervals", "uptime_daily", "pairings", "reconnects", "incidents")


def fetching(journal: Journal, asked: list[str], limits: Limits | None = None) -> Callable[[str], pa.Table]:
    """The transport: as over the socket, the result goes through Arrow IPC."""
    loop = asyncio.get_running_loop()

    def fetch(sql: str) -> pa.Table:
        asked.append(sql)
        answer = journal.query_ipc(sql, limits=limits or Limits())
        return pa.ipc.open_stream(asyncio.run_coroutine_threadsafe(answer, loop).result(30)).read_all()

    return fetch


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
