"""Copies of databases that are whole, in use, damaged, or in no state to be read."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from backed import count, credential, fill, flip, names
from credentials import NUMBER, run_sql, store

from wakit.errors import CredentialError, CredentialUnreadableError
from wakit.vault import snapshot as module
from wakit.vault.disk import BackupError, NoSpaceError, file_sha256
from wakit.vault.snapshot import snapshot, source_digest


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return credential(tmp_path, rows=300) / "creds.db"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "creds.db"


def test_a_copy_is_one_file_with_all_rows(database: Path, target: Path) -> None:
    before = file_sha256(database)
    taken = snapshot(database, target)
    assert taken.rows == {"whatsmeow_device": 1, "whatsmeow_sessions": 300}
    assert (taken.sha256, taken.size) == (file_sha256(target), target.stat().st_size)
    assert names(target.parent) == ["creds.db"]
    assert count(target) == 300
    assert target.stat().st_mode & 0o777 == 0o600
    assert file_sha256(database) == before, "the original is only read"


def test_a_copy_does_not_change_if_nothing_changed(database: Path, target: Path) -> None:
    assert snapshot(database, target) == snapshot(database, target)


def test_the_library_turns_wal_on_again(database: Path, target: Path) -> None:
    snapshot(database, target)
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)


_DIES = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("INSERT INTO whatsmeow_sessions VALUES ('last', x'00')")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_worker_wrote_last_is_in_the_copy(database: Path, target: Path) -> None:
    subprocess.run([sys.executable, "-c", _DIES, database], check=False)
    log = database.with_name("creds.db-wal")
    before = (file_sha256(database), file_sha256(log))
    assert snapshot(database, target).rows["whatsmeow_sessions"] == 301
    assert (file_sha256(database), file_sha256(log)) == before


def test_rows_are_counted_in_the_transaction_that_is_copied(
    database: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._count

    def count_and_write(connection: sqlite3.Connection) -> dict[str, int]:
        counted = real(connection)
        if connection.execute("PRAGMA database_list").fetchone()[2] == str(database):
            fill(database, 50)  # another writer, between the counting and the copying
        return counted

    monkeypatch.setattr(module, "_count", count_and_write)
    assert snapshot(database, target).rows["whatsmeow_sessions"] == 300
    assert count(target) == 300


def test_a_copy_that_misses_rows_is_thrown_away(database: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module._count
    monkeypatch.setattr(
        module,
        "_count",
        lambda c: real(c) | ({"x": 1} if "draft" in str(c.execute("PRAGMA database_list").fetchone()) else {}),
    )
    with pytest.raises(BackupError, match="not whole") as caught:
        snapshot(database, target)
    assert caught.value.retryable
    assert names(target.parent) == []


@pytest.mark.parametrize("name", ['a"b', "a b", "select", "ä", "a'b; --"])
def test_tables_may_have_any_name(database: Path, target: Path, name: str) -> None:
    quoted = name.replace('"', '""')
    run_sql(database, f'CREATE TABLE "{quoted}" (x)')
    assert snapshot(database, target).rows[name] == 0


def spoil_pages(database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[4096 * 3 : 4096 * 9] = bytes(4096 * 6)
    database.write_bytes(data)


def mix_up_indexes(database: Path) -> None:
    """Damage that reading does not meet: each of two indexes holds what belongs to the other."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE pairs (a, b)")
        connection.execute("INSERT INTO pairs VALUES (1, 2)")
        connection.execute("CREATE INDEX of_a ON pairs (a)")
        connection.execute("CREATE INDEX of_b ON pairs (b)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT sum(rootpage) FROM sqlite_master WHERE tbl_name = 'pairs' "
            "AND type = 'index') - rootpage WHERE name IN ('of_a', 'of_b')"
        )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda db: db.unlink(), "missing"),
        (lambda db: db.write_bytes(b""), "no table"),
        (lambda db: db.write_bytes(b"not a database" * 999), "NOTADB"),
        (lambda db: os.truncate(db, 4096 * 3), "damaged"),
        (spoil_pages, "damaged"),
        (mix_up_indexes, "integrity_check"),
        (lambda db: (db.rename(db.with_name("x")), db.symlink_to(db.with_name("x"))), "symbolic link"),
        (lambda db: (db.unlink(), db.mkdir()), "not a plain file"),
    ],
    ids=["missing", "empty", "something else", "cut off", "zeroed pages", "mixed-up indexes", "a link", "a folder"],
)
def test_what_is_damaged_is_not_copied(
    database: Path, target: Path, damage: Callable[[Path], object], says: str
) -> None:
    damage(database)
    with pytest.raises(CredentialError, match=says):
        snapshot(database, target)
    assert names(target.parent) == []


def test_a_database_that_is_locked_now_is_not_called_damaged(
    database: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CredentialUnreadableError) as caught:
            snapshot(database, target)
        assert caught.value.retryable
        other.execute("ROLLBACK")
    assert names(target.parent) == []
    snapshot(database, target)


def test_nothing_is_begun_that_would_fill_the_disk(database: Path, target: Path) -> None:
    with pytest.raises(NoSpaceError, match="MB are missing") as caught:
        snapshot(database, target, free_space_floor=1 << 60)
    free = os.statvfs(target.parent).f_bavail * os.statvfs(target.parent).f_frsize
    assert caught.value.missing == pytest.approx((1 << 60) - free, rel=1e-3)
    assert names(target.parent) == []


def test_no_number_is_repeated(tmp_path: Path, target: Path) -> None:
    store(tmp_path / "creds.db", NUMBER)
    assert NUMBER not in repr(snapshot(tmp_path / "creds.db", target))


def test_the_digest_tells_of_every_write(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        seen = {source_digest(database)}
        for _ in range(5):
            writer.execute("UPDATE whatsmeow_sessions SET session = x'00' WHERE their_id = '1.0'")
            writer.execute("UPDATE whatsmeow_sessions SET session = x'01' WHERE their_id = '1.0'")
            seen.add(source_digest(database))
    assert len(seen) == 6
    flip(database, 5000)
    assert source_digest(database) not in seen


_WRITES = """
import select, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
number = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    number += 1
    connection.execute("INSERT INTO whatsmeow_sessions VALUES (?, ?)", (f"live {number}", number.to_bytes(4) * 200))
    connection.execute("UPDATE whatsmeow_sessions SET session = ? WHERE their_id = '7.0'", (number.to_bytes(4) * 200,))
    if number == 100:
        print("busy", flush=True)
print(number, flush=True)
"""


def test_twenty_of_twenty_copies_under_a_live_writer_are_good(database: Path, target: Path) -> None:
    rows: list[int] = []
    with subprocess.Popen(
        [sys.executable, "-c", _WRITES, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "busy\n"
        for _ in range(20):
            taken = snapshot(database, target)
            rows.append(taken.rows["whatsmeow_sessions"])
            with closing(sqlite3.connect(f"{target.as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                live = copy.execute("SELECT their_id FROM whatsmeow_sessions WHERE their_id LIKE 'live %'").fetchall()
            assert {f"live {number}" for number in range(1, len(live) + 1)} == {row[0] for row in live}
        written = int(writer.communicate("stop")[0])
    assert 400 <= rows[0] < rows[-1] <= 300 + written
    assert rows == sorted(rows)
    assert names(target.parent) == ["creds.db"]
