"""Migrations: in order, once, whole or not at all; and files other releases wrote."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from wakit.errors import JournalError
from wakit.journal import Journal, open_read_only
from wakit.journal.schema import Migration, migrate, shipped

NOW = datetime(2026, 3, 1)  # noqa: DTZ001
ONE = Migration(1, "0001_one.sql", "CREATE TABLE one (x INTEGER); INSERT INTO one VALUES (1);")
TWO = Migration(2, "0002_two.sql", "CREATE TABLE two AS SELECT x + 1 AS x FROM one;")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def test_the_shipped_ones_are_numbered_without_a_hole() -> None:
    assert [migration.version for migration in shipped()] == list(range(1, len(shipped()) + 1))


def test_each_is_applied_once_and_in_order(connection: duckdb.DuckDBPyConnection) -> None:
    migrate(connection, NOW, [ONE])
    migrate(connection, NOW, [ONE, TWO])
    migrate(connection, NOW, [ONE, TWO])
    assert connection.execute("SELECT x FROM two").fetchall() == [(2,)]
    assert connection.execute("SELECT version, name, sha256 FROM schema_migrations ORDER BY 1").fetchall() == [
        (1, ONE.name, ONE.sha256),
        (2, TWO.name, TWO.sha256),
    ]


def test_one_that_fails_leaves_nothing_behind(connection: duckdb.DuckDBPyConnection) -> None:
    broken = Migration(2, "0002_two.sql", "CREATE TABLE two (x INTEGER); SELECT 1 FROM missing;")
    with pytest.raises(duckdb.CatalogException):
        migrate(connection, NOW, [ONE, broken])
    assert connection.execute("SELECT version FROM schema_migrations").fetchall() == [(1,)]
    migrate(connection, NOW, [ONE, TWO])


def test_a_changed_script_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    migrate(connection, NOW, [ONE])
    with pytest.raises(JournalError, match="is not the one"):
        migrate(connection, NOW, [Migration(1, ONE.name, ONE.sql + " ")])


async def test_a_newer_wakit_s_journal_is_refused_untouched(path: Path) -> None:
    async with Journal.open(path):
        pass
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, '0099_future.sql', 'x', now()::TIMESTAMP)")
    before = path.read_bytes()  # noqa: ASYNC240
    for opening in (Journal.open, open_read_only):
        with pytest.raises(JournalError, match="newer wakit wrote it") as caught:
            opening(path)
        assert "upgrade" in caught.value.hint
    assert path.read_bytes() == before  # noqa: ASYNC240


async def test_an_older_wakit_s_journal_is_read_only_after_the_daemon_ran(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        migrate(connection, NOW, shipped()[:1])
    with pytest.raises(JournalError, match="older wakit"):
        open_read_only(path)
    async with Journal.open(path):
        pass
    with open_read_only(path) as reader:
        assert reader.query("FROM sessions_now").num_rows == 0


@pytest.mark.parametrize("versions", range(1, len(shipped())))
def test_a_journal_of_any_earlier_shape_becomes_one_of_this_shape(
    connection: duckdb.DuckDBPyConnection, versions: int
) -> None:
    columns = "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ALL"
    migrate(connection, NOW, shipped()[:versions])
    migrate(connection, NOW)
    with duckdb.connect() as new:
        migrate(new, NOW)
        assert connection.execute(columns).fetchall() == new.execute(columns).fetchall()
    assert connection.execute("FROM incidents").fetchall() == []


def test_another_database_is_no_journal(path: Path) -> None:
    duckdb.connect(str(path)).close()
    with pytest.raises(JournalError, match="cannot be used"):
        open_read_only(path)
