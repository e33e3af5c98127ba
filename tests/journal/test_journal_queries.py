"""Users' SQL: what may be asked, how far it may go, and that logging goes on meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from journal_histories import event, state

from wakit.errors import QueryError
from wakit.journal import Journal, Limits, open_read_only, readers

READING = [
    "SELECT 1",
    "  select count(*) from events;  ",
    "FROM sessions_now",
    "TABLE intervals",
    "VALUES (1), (2)",
    "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
    "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t WHERE x < 9) SELECT * FROM t",
    "DESCRIBE events",
    "SHOW TABLES",
    "SUMMARIZE events",
    "EXPLAIN SELECT * FROM uptime_daily",
    "explain analyze select 1",
    "EXPLAIN (FORMAT json) SELECT 1",
    "PIVOT events ON kind IN ('state') USING count(*)",
    "SELECT * FROM events, range(3), LATERAL (SELECT unnest([1, 2]))",
    "SELECT detail ->> 'a' FROM events WHERE kind = 'state' UNION SELECT 'x'",
    "SELECT * FROM runs JOIN incidents USING (run_id)",
    "SELECT /* DROP TABLE events */ 'DROP TABLE events; SELECT 1' -- ; DROP TABLE events",
    "SELECT * FROM duckdb_tables()",
    "SELECT column_name FROM information_schema.columns",
]

REFUSED = [
    "",
    ";",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE events",
    "DROP TABLE events",
    "DELETE FROM events",
    "UPDATE events SET seq = 1",
    "INSERT INTO events SELECT * FROM events",
    "CREATE TABLE x AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT 1",
    "WITH gone AS (DELETE FROM events RETURNING seq) SELECT * FROM gone",
    "EXPLAIN DELETE FROM events",
    "EXPLAIN ANALYZE DELETE FROM events",
    "COPY events TO '/tmp/wk-out.csv'",
    "COPY (SELECT 1) TO '/tmp/wk-out.csv'",
    "EXPORT DATABASE '/tmp/wk-out'",
    "ATTACH '/tmp/wk-other.duckdb'",
    "DETACH journal",
    "USE memory",
    "PRAGMA database_list",
    "PRAGMA disable_optimizer",
    "SET memory_limit = '1TB'",
    "SET VARIABLE x = 1",
    "RESET threads",
    "CALL pragma_version()",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CHECKPOINT",
    "BEGIN",
    "COMMIT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM system.main.read_text('/etc/passwd')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM events WHERE EXISTS (FROM glob('/etc/*'))",
    "WITH x AS (FROM read_csv('/etc/passwd')) SELECT 1",
    "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
    "SUMMARIZE '/etc/passwd.csv'",
    "EXPLAIN SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'data.csv'",
    'SELECT * FROM main."data.parquet"',
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('events')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT json_serialize_plan('FROM sniff_csv(''/etc/passwd'')')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT pg_sleep(100)",
    "SELECT nextval('s')",
    "SELECT write_log('x')",
    "SELECT * FROM nowhere",
    "SELECT nothing FROM events",
    "SELEC 1",
    "SELECT 1 + " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT '" + "x" * 70_000 + "'",
    "SELECT \0",
    "SELECT '\ud800'",
]


@pytest.mark.parametrize("sql", READING)
async def test_reading_is_served(journal: Journal, sql: str) -> None:
    journal.log(event(0, kind="daemon_start"))
    await journal.log_durably(state(1, "sales", "connected", detail={"a": "b"}))
    assert isinstance(await journal.query(sql), pa.Table)


async def test_everything_else_is_refused_and_changes_nothing(journal: Journal, path: Path) -> None:
    await journal.log_durably(state(1, "sales", "connected"))
    before = (await journal.query("SELECT seq, kind FROM events")).to_pylist()
    for sql in [*REFUSED, f"FROM sniff_csv('{path}')", f"FROM read_blob('{path}')", f"FROM '{path}'"]:
        with pytest.raises(QueryError) as caught:
            await journal.query(sql)
        assert caught.value.what, sql
        assert caught.value.why or "too long" in caught.value.what, sql
        assert "Traceback" not in str(caught.value)
    assert (await journal.query("SELECT seq, kind FROM events")).to_pylist() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["journal.duckdb", "journal.duckdb.wal"]


async def test_no_query_can_drop_the_lock(journal: Journal, path: Path) -> None:
    """Seen with duckdb 2.0: sniff_csv on the database file itself is allowed, and drops the process's fcntl lock."""
    for call in ("sniff_csv", "read_csv", "read_json", "read_text", "read_blob", "read_duckdb", "glob"):
        with pytest.raises(QueryError):
            await journal.query(f"SELECT * FROM {call}('{path}')")
    attempt = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import duckdb; duckdb.connect({str(path)!r})", stderr=subprocess.PIPE
    )
    _, err = await attempt.communicate()
    assert attempt.returncode != 0
    assert b"Conflicting lock" in err


ENDLESS = [
    "SELECT count(*) FROM range(100000000000000)",
    "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t",
    "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE (a.range * b.range) % 7 = 3",
]


@pytest.mark.parametrize("sql", ENDLESS)
async def test_an_endless_query_is_cut_off_and_logging_goes_on(journal: Journal, sql: str) -> None:
    began = time.monotonic()
    asked = asyncio.create_task(journal.query(sql, limits=Limits(timeout=0.5)))
    acknowledged = 0
    while not asked.done():
        await asyncio.wait_for(journal.log_durably(event()), 5)
        acknowledged += 1
    with pytest.raises(QueryError, match=r"longer than 0\.5 s") as caught:
        await asked
    assert caught.value.hint
    assert time.monotonic() - began < 10
    assert acknowledged > 5
    assert (await journal.query("SELECT 42 AS x")).to_pylist() == [{"x": 42}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list(range) FROM range(1000000000)",
        "SELECT hash(range) AS h, repeat('x', 100) FROM range(1000000000) ORDER BY h",
        "SELECT * FROM range(1000000000)",
        "SELECT repeat('x', 100000) FROM range(100000)",
    ],
)
async def test_a_huge_query_is_cut_off(journal: Journal, sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        await journal.query(sql, limits=Limits(timeout=2))
    assert caught.value.why
    await asyncio.wait_for(journal.log_durably(event()), 5)
    assert journal.health.ok


async def test_rows_and_bytes_are_limited(journal: Journal) -> None:
    limits = Limits(max_rows=10, max_bytes=1000)
    assert (await journal.query("FROM range(10)", limits=limits)).num_rows == 10
    with pytest.raises(QueryError, match="more than 10 rows"):
        await journal.query("FROM range(11)", limits=limits)
    with pytest.raises(QueryError, match="larger than 1000 bytes"):
        await journal.query(f"SELECT '{'x' * 2000}'", limits=limits)


async def test_waiting_for_a_turn_counts(journal: Journal) -> None:
    busy = [asyncio.create_task(journal.query(ENDLESS[0], limits=Limits(timeout=1.0))) for _ in range(2)]
    with pytest.raises(QueryError):
        await journal.query(ENDLESS[0], limits=Limits(timeout=0.2))
    for task in busy:
        with pytest.raises(QueryError):
            await task


async def test_a_query_nobody_waits_for_is_stopped(journal: Journal) -> None:
    for _ in range(4):  # more than there are connections
        task = asyncio.create_task(journal.query(ENDLESS[0], limits=Limits(timeout=60)))
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done
        task.cancel()
    assert (await asyncio.wait_for(journal.query("SELECT 1 AS x"), 10)).to_pylist() == [{"x": 1}]


async def test_closing_stops_queries(path: Path) -> None:
    journal = Journal.open(path)
    task = asyncio.create_task(journal.query(ENDLESS[0], limits=Limits(timeout=60)))
    await asyncio.wait([task], timeout=0.05)
    await asyncio.wait_for(journal.close(), 10)
    with pytest.raises(QueryError, match="closed"):
        await task


async def test_parameters_are_plain_values(journal: Journal) -> None:
    asked = await journal.query("SELECT $1 AS a, $2 AS b", params=["x'; DROP TABLE events", 7])
    assert asked.to_pylist() == [{"a": "x'; DROP TABLE events", "b": 7}]
    assert (await journal.query("SELECT $name AS a", params={"name": None})).to_pylist() == [{"a": None}]
    with pytest.raises(QueryError, match="plain value"):
        await journal.query("SELECT $1", params=[pa.table({"a": [1]})])
    with pytest.raises(QueryError):
        await journal.query("SELECT $1", params=[])


async def test_python_variables_are_out_of_reach(journal: Journal) -> None:
    secret_table = pa.table({"a": [1]})
    with pytest.raises(QueryError, match="secret_table"):
        await journal.query("FROM secret_table")
    assert secret_table.num_rows == 1


async def test_ipc_is_the_same_result(journal: Journal) -> None:
    await journal.log_durably(state(1, "sales", "connected"))
    sql = "SELECT * FROM events"
    assert pa.ipc.open_stream(await journal.query_ipc(sql)).read_all() == await journal.query(sql)


async def test_an_error_repeats_no_secret(journal: Journal) -> None:
    with pytest.raises(QueryError) as caught:
        await journal.query("SELECT * FROM nowhere WHERE x = '+34600000001'")
    assert "600000001" not in str(caught.value)


async def test_offline_has_the_same_fences(path: Path) -> None:
    async with Journal.open(path) as journal:
        await journal.log_durably(state(1, "sales", "connected"))
    with open_read_only(path) as reader:
        assert reader.query("SELECT state FROM sessions_now").to_pylist() == [{"state": "connected"}]
        assert pa.ipc.open_stream(reader.query_ipc("SELECT 1 AS x")).read_all().to_pylist() == [{"x": 1}]
        for sql in ("DROP TABLE events", "FROM read_text('/etc/passwd')", "SET threads = 1"):
            with pytest.raises(QueryError):
                reader.query(sql)
        with pytest.raises(QueryError, match="longer"):
            reader.query(ENDLESS[0], limits=Limits(timeout=0.2))
        assert reader.query("SELECT 1 AS x").num_rows == 1


@pytest.mark.parametrize(
    "expression",
    [
        "repeat('x', 2000000)",
        "levenshtein(i::VARCHAR, 'x')",
        "repeat('x', 2000 + i::INT)",
        "'x'.repeat(1001)",
        "main.REPEAT('x', i)",
        "repeat(repeat('x', 1000), 1000)",
        "repeat(lpad(i::VARCHAR, 500), 500)",
        "repeat(i || '" + "x" * 1000 + "', 1000)",
        "lpad('x', 2000000, 'y')",
        "rpad('x', CAST(i AS INT), 'y')",
        "list_resize([1], 100000)",
        "bitstring('1', 1000000)",
        "bar(i, 0, 1, 1000000)",
        "range(100000)",
        "range(0, i, 1)",
        "unnest(generate_series(1, i))",
        "printf('%1000000d', i)",
        "printf('%*d', 1000000, i)",
        "format('{:1000000d}', i)",
        "format('{:{}d}', i, 1000000)",
        "format(i::VARCHAR, i)",
        "list_reduce([1, 2], lambda a, b: a + b)",
        "length((SELECT repeat('x', i)))",
    ],
)
async def test_values_of_any_size_are_refused(journal: Journal, expression: str) -> None:
    with pytest.raises(QueryError, match=r"any size|more than compute"):
        await journal.query(f"SELECT max({expression}) FROM range(600) AS t(i)")


async def test_small_literal_sizes_and_rows_are_served(journal: Journal) -> None:
    sql = """
        SELECT lpad(i::VARCHAR, 5, '0') AS a, repeat('-', 3) AS b, printf('%04d', i::INT) AS c, range(3) AS d,
            format('{:>6}', i) AS e, bar(i, 0, 8, 10) IS NULL AS f
        FROM range(5000) AS t(i) WHERE i = 7
    """
    row = (await journal.query(sql)).to_pylist()[0]
    assert row == {"a": "00007", "b": "---", "c": "0007", "d": [0, 1, 2], "e": "     7", "f": False}
    days = "SELECT count(*) AS n FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-03-01', INTERVAL 1 DAY)"
    assert (await journal.query(days)).to_pylist() == [{"n": 60}]


class Deaf:
    """A query that does not notice that it is stopped, as one that makes huge values, until it is let go.

    It is DuckDB that does not notice: the connection is busy with it, and refuses what a busy one refuses.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = threading.Event()
        self.over = threading.Event()
        self._run = readers.run
        monkeypatch.setattr(readers, "run", self)

    def __call__(self, connection: Any, query: Any, interruption: Any) -> Any:
        if query.sql == "deaf":
            schema = pa.schema([("let_go", pa.bool_())])
            connection.register("deaf", pa.RecordBatchReader.from_batches(schema, self._batches(schema)))
            assert connection.execute("FROM deaf").fetchall() == [(True,)]
            raise QueryError("The query was cut off")
        return self._run(connection, query, interruption)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        self.runs.set()
        yield pa.record_batch([pa.array([self.over.wait(30)])], schema=schema)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deaf]:
    made = Deaf(monkeypatch)
    yield made
    made.over.set()
    for thread in threading.enumerate():
        if thread.name == "wakit-journal-query":
            thread.join(10)


async def test_a_query_that_cannot_be_stopped_is_given_up_in_time(journal: Journal, deaf: Deaf) -> None:
    with pytest.raises(QueryError, match=r"longer than 0\.1 s"):
        await asyncio.wait_for(journal.query("deaf", limits=Limits(timeout=0.1)), 10)
    assert journal.health.stuck == 1
    assert (await journal.query("SELECT 1 AS x")).to_pylist() == [{"x": 1}]
    deaf.over.set()


async def test_a_query_that_cannot_be_stopped_does_not_hold_up_the_writer(journal: Journal, deaf: Deaf) -> None:
    task = asyncio.create_task(journal.query("deaf", limits=Limits(timeout=60)))
    assert await asyncio.to_thread(deaf.runs.wait, 10)
    journal._writer.readers._patience = 0.05
    write, refusals = journal._writer._ledger.write, [duckdb.OutOfMemoryException("no memory left")]

    def refused_once(items: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return write(items)

    journal._writer._ledger.write = refused_once  # type: ignore[method-assign]
    await asyncio.wait_for(journal.log_durably(event()), 10)
    assert journal.health.stuck == 1
    deaf.over.set()
    with pytest.raises(QueryError):
        await task
    assert journal.health.stuck == 0


async def test_a_query_that_cannot_be_stopped_does_not_hold_up_the_end(path: Path, deaf: Deaf) -> None:
    journal = Journal.open(path)
    task = asyncio.create_task(journal.query("deaf", limits=Limits(timeout=60)))
    assert await asyncio.to_thread(deaf.runs.wait, 10)
    journal._writer.readers._patience = 0.05
    last = journal.log(event())
    await asyncio.wait_for(journal.close(), 10)
    assert journal.health.stuck == 1
    deaf.over.set()
    with pytest.raises(QueryError):
        await task
    assert journal.health.stuck == 0
    async with Journal.open(path) as again:
        assert again.health.durable_seq == last
