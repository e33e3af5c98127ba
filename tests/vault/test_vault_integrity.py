"""What must be noticed before a start although SQLite sees nothing wrong."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from credentials import NUMBER, pair, run_sql

from wakit.errors import CredentialError, HeldError
from wakit.vault import Vault, clean_stop, snapshot
from wakit.vault.examination import examine
from wakit.vault.folder import locked
from wakit.vault.inspection import inspect
from wakit.vault.problems import CONSEQUENCES, Problem
from wakit.vault.record import read_record, write_record


def started(vault: Vault, name: str = "a") -> Path:
    """A session that was linked, started again, and ended in order."""
    folder = pair(vault, name)
    vault.prepare_restore(name)
    vault.mark_stopped(name)
    return folder


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def test_every_problem_has_its_consequence() -> None:
    assert set(CONSEQUENCES) == set(Problem)


def test_a_clean_stop_is_remembered_and_its_credential_starts_again(vault: Vault) -> None:
    folder = started(vault)
    stopped = read_record(folder).stopped
    assert stopped is not None
    assert stopped.epoch == 2
    assert vault.prepare_restore("a").epoch == 3
    vault.mark_stopped("a")
    assert vault.prepare_restore("a").epoch == 4


def test_every_flipped_byte_since_a_clean_stop_is_noticed(vault: Vault) -> None:
    folder = started(vault)
    database = folder / "creds.db"
    whole = database.read_bytes()
    noticed_by_sqlite = 0
    for offset in range(0, len(whole), 61):
        flip(database, offset)
        record = read_record(folder)
        found = examine(database, record, vault.key)
        assert found.kind is not None, offset
        noticed_by_sqlite += inspect(database, vault.key).kind is not None
        database.write_bytes(whole)
        for beside in folder.glob("creds.db-*"):
            beside.unlink()
    assert noticed_by_sqlite < len(whole) // 61, "else this test shows nothing that SQLite would not"
    assert vault.prepare_restore("a").epoch == 3


def test_what_was_written_after_a_clean_stop_is_noticed(vault: Vault) -> None:
    folder = started(vault)
    run_sql(folder / "creds.db", "CREATE TABLE whatsmeow_somebody_was_here (x)")
    with pytest.raises(CredentialError, match="changed since its client ended in order"):
        vault.prepare_restore("a")
    assert read_record(folder).epoch == 2, "a start that did not happen does not count"


def unlink_in_the_log(folder: Path) -> None:
    """Leave a log behind in which the device is gone, as somebody would who was killed while writing."""
    database = folder / "creds.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        assert writer.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
        writer.execute("PRAGMA wal_autocheckpoint=0")
        before = database.read_bytes()
        writer.execute("DELETE FROM whatsmeow_device")
        log = (folder / "creds.db-wal").read_bytes()
    database.write_bytes(before)
    (folder / "creds.db-wal").write_bytes(log)


def test_a_log_that_cannot_be_read_is_not_overlooked(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = started(vault)
    unlink_in_the_log(folder)
    whole = snapshot.file_sha256

    def torn(path: Path) -> str:
        if path.name.endswith("-wal"):
            raise OSError(errno.EIO, "Input/output error")
        return whole(path)

    monkeypatch.setattr(snapshot, "file_sha256", torn)
    found = examine(folder / "creds.db", read_record(folder), vault.key)
    assert found.kind is Problem.NO_DEVICE, "what lies in the log counts"


def test_a_stop_is_not_noted_while_a_log_holds_something(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pair(vault, "a")
    vault.prepare_restore("a")
    digest = clean_stop.source_digest
    monkeypatch.setattr(clean_stop, "source_digest", lambda database: (unlink_in_the_log(folder), digest(database))[1])
    vault.mark_stopped("a")  # somebody else writes between the last look into the log and the note
    record = read_record(folder)
    assert record.stopped is not None
    found = examine(folder / "creds.db", record, vault.key)
    assert found.kind is Problem.NO_DEVICE


def test_after_a_crash_the_database_may_have_changed(vault: Vault) -> None:
    folder = started(vault)
    vault.prepare_restore("a")  # its worker is killed, so nobody notes how it left the database
    run_sql(folder / "creds.db", "CREATE TABLE whatsmeow_of_the_library (x)")
    assert vault.prepare_restore("a").epoch == 4


def test_another_key_is_noticed_also_after_a_crash(vault: Vault) -> None:
    folder = started(vault)
    vault.prepare_restore("a")
    run_sql(folder / "creds.db", "UPDATE whatsmeow_device SET noise_key = x'01'")
    with pytest.raises(CredentialError, match="not those that were linked") as caught:
        vault.prepare_restore("a")
    assert "401" in str(caught.value), "the consequence is said"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE whatsmeow_device SET jid = '34600000999:1@s.whatsapp.net'", "another account"),
        ("INSERT INTO whatsmeow_device VALUES ('34600000999:1@s.whatsapp.net', x'00')", "holds 2 devices"),
        ("DELETE FROM whatsmeow_device", "holds no device"),
    ],
)
def test_another_device_is_noticed_also_after_a_crash(vault: Vault, statement: str, said: str) -> None:
    folder = started(vault)
    vault.prepare_restore("a")
    run_sql(folder / "creds.db", statement)
    with pytest.raises(CredentialError, match=said):
        vault.prepare_restore("a")


def test_a_new_link_has_new_keys(vault: Vault) -> None:
    folder = started(vault)
    before = read_record(folder).keys
    vault.prepare_pairing("a")
    pair(vault, "a")
    run_sql(folder / "creds.db", "UPDATE whatsmeow_device SET noise_key = x'02'")
    vault.prepare_restore("a")
    assert read_record(folder).keys not in (None, before)


def test_fingerprints_tell_no_key(vault: Vault) -> None:
    folder = pair(vault, "a")
    found = inspect(folder / "creds.db", vault.key)
    assert found.keys is not None
    assert re.fullmatch(r"[0-9a-f]{16}", found.keys)
    assert inspect(folder / "creds.db", b"another deployment").keys != found.keys
    assert NUMBER not in repr(found)


def test_a_stop_is_not_noted_of_a_credential_in_use(vault: Vault) -> None:
    folder = pair(vault, "a")
    with locked(folder), pytest.raises(HeldError):
        vault.mark_stopped("a")
    assert read_record(folder).stopped is None


@pytest.mark.parametrize("spoil", [lambda f: (f / "creds.db").unlink(), lambda f: (f / "creds.db").write_bytes(b"")])
def test_a_stop_of_what_cannot_be_opened_is_not_noted(vault: Vault, spoil: Callable[[Path], object]) -> None:
    folder = pair(vault, "a")
    spoil(folder)
    vault.mark_stopped("a")
    assert read_record(folder).stopped is None


def test_an_older_record_without_these_notes_is_read(vault: Vault) -> None:
    folder = pair(vault, "a")
    (folder / "session.json").write_bytes(b'{"version": 1, "epoch": 4, "paired_at": "2026-01-01T00:00:00Z"}')
    assert vault.prepare_restore("a").epoch == 5
    write_record(folder, read_record(folder))
    assert read_record(folder).keys is not None
