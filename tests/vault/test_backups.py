"""Backups are taken, listed, verified and offered."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backed import (
    ACCOUNT,
    KEY,
    RECORD,
    backups,
    change,
    credential,
    flip,
    names,
    spoil,
    takes,
    unfinished,
)
from credentials import NUMBER, Clock, run_sql
from pyrage import x25519

from wakit.core.declaration import VaultPolicy
from wakit.errors import CredentialError, CredentialUnreadableError
from wakit.redact import account_hash
from wakit.vault.backups import Backups
from wakit.vault.disk import NoSpaceError
from wakit.vault.manifest import Why
from wakit.vault.snapshot import source_digest

OTHER = account_hash("34600000002", KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return credential(tmp_path)


@pytest.fixture
def kept(folder: Path) -> Backups:
    return backups(folder)


def test_a_backup_is_a_folder_with_a_database_and_a_manifest(folder: Path, kept: Backups) -> None:
    taken = kept.take(Why.PAIRED, RECORD)
    assert taken.new
    says = taken.backup.manifest
    assert says is not None
    assert (says.why, says.session, says.namespace) == (Why.PAIRED, "sales", "shared")
    assert (says.account, says.epoch, says.sealed) == (ACCOUNT, 3, None)
    assert says.rows == {"whatsmeow_device": 1, "whatsmeow_sessions": 10}
    assert taken.backup.name == f"20260101T000001000000Z-{says.sha256[:8]}"
    assert names(taken.backup.folder) == ["creds.db", "manifest.json"]
    assert kept.listed() == [taken.backup]
    assert kept.verify(taken.backup).good
    assert NUMBER not in repr(taken)


def test_everything_is_private_and_nothing_is_left_over(folder: Path, kept: Backups) -> None:
    kept.take(Why.PAIRED, RECORD)
    for path in (folder / "backups", *(folder / "backups").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert unfinished(folder) == []


def test_nothing_is_kept_twice(folder: Path, kept: Backups) -> None:
    first = kept.take(Why.PAIRED, RECORD)
    again = kept.take(Why.SCHEDULE, RECORD)
    assert (again.new, again.backup) == (False, first.backup)
    change(folder)
    assert kept.take(Why.SCHEDULE, RECORD).new
    assert len(kept.listed()) == 2


def test_a_checkpoint_alone_makes_no_new_backup(folder: Path, kept: Backups) -> None:
    """The files change when the log is taken over, and what they hold does not."""
    with closing(sqlite3.connect(folder / "creds.db")) as worker:
        worker.execute("SELECT jid FROM whatsmeow_device").fetchall()
        change(folder)
        kept.take(Why.PAIRED, RECORD)
        before = source_digest(folder / "creds.db")
        worker.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert source_digest(folder / "creds.db") != before
    assert not kept.take(Why.SCHEDULE, RECORD).new


def test_a_rotten_backup_stands_for_nothing(folder: Path, kept: Backups) -> None:
    first = kept.take(Why.PAIRED, RECORD).backup
    flip(first.folder / "creds.db", 9000)
    assert kept.take(Why.SCHEDULE, RECORD).new, "although nothing changed since"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda db: db.unlink(), "missing"),
        (lambda db: db.write_bytes(b""), "no table"),
        (lambda db: os.truncate(db, 8192), "damaged"),
        (lambda db: run_sql(db, "DELETE FROM whatsmeow_device"), "holds no device"),
        (lambda db: run_sql(db, "UPDATE whatsmeow_device SET jid = '34600000002:1@s.whatsapp.net'"), "another account"),
        (lambda db: run_sql(db, "INSERT INTO whatsmeow_device VALUES ('2:2@s.whatsapp.net', x'00')"), "2 devices"),
    ],
    ids=["missing", "empty", "cut off", "unlinked", "another account", "two devices"],
)
def test_what_is_no_credential_is_not_backed_up(
    folder: Path, kept: Backups, damage: Callable[[Path], object], says: str
) -> None:
    good = kept.take(Why.PAIRED, RECORD).backup
    damage(folder / "creds.db")
    with pytest.raises(CredentialError, match=says) as caught:
        kept.take(Why.BEFORE_RETIRE, RECORD)
    assert NUMBER not in str(caught.value)
    assert kept.listed() == [good]
    assert unfinished(folder) == []


def test_a_session_without_a_credential_gets_no_folder(tmp_path: Path) -> None:
    kept = backups(tmp_path)
    with pytest.raises(CredentialError, match="missing"):
        kept.take(Why.DAEMON_START, RECORD)
    assert kept.listed() == []
    assert kept.newest_good(ACCOUNT) is None
    assert kept.prune().deleted == ()
    assert names(tmp_path) == []


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_every_flipped_byte_is_found(folder: Path, tmp_path: Path, sealed: bool) -> None:
    recipients = (str(x25519.Identity.generate().to_public()),) if sealed else ()
    kept = backups(folder, VaultPolicy(recipients=recipients))
    taken = kept.take(Why.PAIRED, RECORD).backup
    for path in sorted(taken.folder.iterdir()):
        whole = path.read_bytes()
        step = max(1, len(whole) // 150)
        for position in range(0, len(whole), step):
            flip(path, position, position % 8)
            assert not kept.verify(taken).good, (path.name, position)
            assert kept.newest_good(ACCOUNT) is None
            path.write_bytes(whole)
    assert kept.verify(taken).good


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "manifest.json").unlink(), "manifest is missing"),
        (lambda f: (f / "manifest.json").write_bytes(b"{}"), "manifest is damaged"),
        (lambda f: (f / "creds.db").unlink(), "creds.db is missing"),
        (lambda f: os.truncate(f / "creds.db", 100), "another size"),
        (lambda f: (f / "creds.db-wal").write_bytes(b"x"), "something beside it"),
        (lambda f: (f / "creds.db-journal").write_bytes(b""), "something beside it"),
        (lambda f: ((f / "creds.db").rename(f / "x"), (f / "creds.db").symlink_to("x") ), "beside it|symbolic link"),
        (lambda f: ((f / "creds.db").unlink(), (f / "creds.db").symlink_to("/dev/zero")), "symbolic link"),
        (lambda f: (f.rename(f.parent / "x"), f.symlink_to("x")), "link"),
    ],
)  # fmt: skip
def test_what_was_tampered_with_is_listed_with_its_problem(
    folder: Path, kept: Backups, damage: Callable[[Path], object], says: str
) -> None:
    old, new = takes(kept, folder, 2)
    damage(new.folder)
    listed = kept.listed()
    assert [backup.name for backup in listed] == [new.name, old.name]
    assert not listed[0].good
    assert not listed[0].unknown
    assert re.search(says, listed[0].problem), listed[0].problem
    choice = kept.choose(ACCOUNT)
    assert choice.backup == old
    assert choice.passed_over == (listed[0],)


def test_a_renamed_backup_is_found(folder: Path, kept: Backups) -> None:
    old, new = takes(kept, folder, 2)
    old.folder.rename(new.folder.with_name(new.name.replace("20260101", "20270101")))
    assert "another backup" in kept.listed()[0].problem
    assert kept.newest_good(ACCOUNT) == new


def test_the_newest_good_one_is_offered_and_the_bad_ones_are_named(folder: Path, kept: Backups) -> None:
    taken = takes(kept, folder, 4)
    spoil(taken[3])
    (taken[2].folder / "manifest.json").unlink()
    choice = kept.choose(ACCOUNT)
    assert choice.backup == taken[1]
    assert [backup.name for backup in choice.passed_over] == [taken[3].name, taken[2].name]
    assert all(backup.problem for backup in choice.passed_over)


def test_a_clock_that_was_put_back_makes_no_backup_older(folder: Path) -> None:
    ahead = backups(folder, now=Clock(datetime(2031, 1, 1, tzinfo=UTC)))
    first = ahead.take(Why.MANUAL, RECORD).backup
    change(folder)
    second = backups(folder).take(Why.MANUAL, RECORD).backup
    assert second.name > first.name
    assert second.manifest is not None
    assert second.manifest.created_at.year == 2026
    assert backups(folder).newest_good(ACCOUNT) == second


def test_no_room_is_told_with_the_amount(folder: Path) -> None:
    with pytest.raises(NoSpaceError, match="missing"):
        backups(folder, free_space_floor=1 << 60).take(Why.MANUAL, RECORD)
    assert unfinished(folder) == []


def test_a_list_that_cannot_be_read_is_told(folder: Path, kept: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.take(Why.MANUAL, RECORD)

    def fails(_: Path) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", fails)
    with pytest.raises(CredentialUnreadableError):
        kept.listed()
