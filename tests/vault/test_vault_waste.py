"""Nothing is read, hashed, opened or written twice without need: counted."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backed import RECORD, backups, credential, flip, takes
from credentials import NUMBER, Clock, pair, run_sql

from wakit.core.declaration import VaultPolicy
from wakit.core.observation import Credential
from wakit.errors import CredentialError, HeldError
from wakit.redact import Secret
from wakit.vault import Registry, Vault, open_accounts, starting, verification
from wakit.vault import backups as backups_module
from wakit.vault import folder as folder_module
from wakit.vault.backups import Backups
from wakit.vault.folder import locked
from wakit.vault.layout import Layout
from wakit.vault.manifest import Why
from wakit.vault.record import read_record
from wakit.vault.verification import unusable

Counted = Callable[[], list[str]]


@pytest.fixture
def watched(layout: Layout, tmp_path: Path) -> Vault:
    """A vault that knows the accounts of its machine, as a daemon's does, and keeps one backup."""
    accounts = open_accounts(layout.root, environ={"XDG_STATE_HOME": str(tmp_path / "state")})
    clock = Clock()
    return Vault(layout, "shared", clock, Registry(accounts, None, clock), policy=lambda: VaultPolicy(keep=1))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Which backups were read since the last look, and which of them were looked into."""
    seen: list[str] = []
    hashed, inspected = verification.file_sha256, verification.inspect

    def hashing(path: Path) -> str:
        seen.append(f"read {path.parent.name}")
        return hashed(path)

    def looking(path: Path, key: bytes) -> Any:
        seen.append(f"looked {path.parent.name}")
        return inspected(path, key)

    def since() -> list[str]:
        last, seen[:] = sorted(seen), []
        return last

    monkeypatch.setattr(verification, "file_sha256", hashing)
    monkeypatch.setattr(verification, "inspect", looking)
    monkeypatch.setattr(verification, "_SETTLED", 0)  # a backup of a moment ago counts like one of yesterday
    return since


def both(*names: str) -> list[str]:
    return sorted(f"{what} {name}" for name in names for what in ("read", "looked"))


# -- starts and ends -------------------------------------------------------------------------------------------------


def test_a_start_opens_the_credential_once(watched: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(watched, "sales")
    opened: list[str] = []
    connect = sqlite3.connect

    def counting(database: str, **options: Any) -> sqlite3.Connection:
        opened.append(database)
        return connect(database, **options)

    monkeypatch.setattr(sqlite3, "connect", counting)
    ticket = watched.prepare_restore("sales")
    assert len(opened) == 1
    assert ticket.account is not None
    assert ticket.account.token


def test_a_device_without_the_key_that_names_it_is_not_started(watched: Vault) -> None:
    database = pair(watched, "sales") / "creds.db"
    run_sql(database, "ALTER TABLE whatsmeow_device RENAME COLUMN noise_key TO other")
    with pytest.raises(CredentialError, match="lacks what the library needs") as caught:
        watched.prepare_restore("sales")
    assert "wakit pair sales" in caught.value.hint


def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    records: list[Any] = []
    write = folder_module.write_record

    def writing(folder: Path, record: Any) -> None:
        records.append(record)
        write(folder, record)

    monkeypatch.setattr(folder_module, "write_record", writing)
    return records


def test_an_end_is_written_down_once(watched: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(watched, "sales")
    watched.prepare_restore("sales")
    records = written(monkeypatch)
    watched.mark_stopped("sales")
    (record,) = records
    assert record.rested
    assert record.clean_stop is not None
    watched.rest("sales")
    assert len(records) == 1, "what has ended does not end again"
    watched.prepare_restore("sales")


def test_an_end_is_noted_though_somebody_has_the_credential_again(watched: Vault) -> None:
    folder = pair(watched, "sales")
    watched.prepare_restore("sales")
    with locked(folder), pytest.raises(HeldError):
        watched.mark_stopped("sales")
    record = read_record(folder)
    assert record.rested
    assert record.clean_stop is None


def test_an_end_of_what_was_unlinked_meanwhile_is_noted(watched: Vault) -> None:
    folder = pair(watched, "sales")
    assert watched.hold_account("sales", Secret(NUMBER)) is not None
    watched.update("sales", unlinked_at=datetime(2026, 1, 1, tzinfo=UTC))
    watched.mark_stopped("sales")
    assert read_record(folder).rested


# -- backups ---------------------------------------------------------------------------------------------------------


def test_thinning_out_reads_each_backup_once_a_day(tmp_path: Path, read: Counted) -> None:
    clock = Clock()
    folder = credential(tmp_path)
    kept = backups(folder, VaultPolicy(keep=5), now=clock)
    taken = [backup.name for backup in takes(kept, folder, 3)]
    read()
    kept.prune()
    assert read() == sorted([*both(taken[2]), f"read {taken[0]}", f"read {taken[1]}"])
    kept.prune()
    assert read() == []
    clock.moment += timedelta(days=1)
    kept.prune()
    assert len(read()) == 4


def test_what_was_made_just_now_is_not_read_back(watched: Vault, read: Counted) -> None:
    folder = pair(watched, "sales")
    for row in range(3):
        run_sql(folder / "creds.db", f"CREATE TABLE t{row} (x)")
        taken = watched.backup("sales", Why.SCHEDULE)
        assert taken is not None
        assert taken.new
    assert [backup.name for backup in watched.listed_backups("sales")] == [taken.backup.name]
    assert [line for line in read() if taken.backup.name in line] == []


def test_an_unchanged_credential_costs_no_second_look_at_its_backup(tmp_path: Path, read: Counted) -> None:
    folder = credential(tmp_path)
    kept = backups(folder)
    taken = kept.take(Why.MANUAL, RECORD).backup.name
    assert not kept.take(Why.SCHEDULE, RECORD).new
    assert read() == both(taken)
    assert not kept.take(Why.SCHEDULE, RECORD).new
    assert read() == []


def in_place(path: Path) -> None:
    """Flip a bit and put the time back, as a careless tool may; the inode and the size stay."""
    before = path.stat()
    flip(path, 9000)
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the kernel's clock ticks every few milliseconds
        path.chmod(0o600)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_another_file(path: Path) -> None:
    """Put another file in its place, with the same times."""
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(path.read_bytes())
    flip(other, 9000)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("damage", [in_place, by_another_file])
def test_what_is_known_is_read_again_once_it_was_touched(
    damage: Callable[[Path], None], tmp_path: Path, read: Counted
) -> None:
    folder = credential(tmp_path)
    kept = backups(folder, VaultPolicy(keep=1))
    old, new = takes(kept, folder, 2)
    assert kept.verify(new).good
    damage(new.folder / "creds.db")
    assert not kept.verify(new).good
    assert kept.prune().deleted == (), "the last good one stays"
    assert kept.newest_good(RECORD.account) == old
    assert read()


def test_a_file_that_was_written_a_moment_ago_is_read_again(
    tmp_path: Path, read: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within one tick of the kernel's clock would leave its times as they are."""
    monkeypatch.setattr(verification, "_SETTLED", 10**12)
    kept = backups(folder := credential(tmp_path))
    (taken,) = takes(kept, folder, 1)
    for _ in range(2):
        assert kept.verify(taken).good
        assert read() == both(taken.name)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("daemon", [False, True])
def test_what_a_person_puts_back_is_verified_once(daemon: bool, named: bool, vault: Vault, read: Counted) -> None:
    folder = pair(vault, "sales")
    taken = vault.backup("sales", Why.MANUAL)
    assert taken is not None
    run_sql(folder / "creds.db", "CREATE TABLE later (x)")
    chosen = taken.backup.name if named else None
    if daemon:  # it looks before it stops the client for nothing
        vault.find_backup("sales", chosen)
    vault.put_back("sales", chosen)
    assert read() == both(taken.backup.name)
    assert (folder / "creds.db").read_bytes() == (taken.backup.folder / "creds.db").read_bytes()


def test_a_damaged_credential_is_mended_with_one_verification(vault: Vault, read: Counted) -> None:
    folder = pair(vault, "sales")
    taken = vault.backup("sales", Why.MANUAL)
    assert taken is not None
    (folder / "creds.db").write_bytes(b"")
    assert vault.prepare_restore("sales").recovered is not None
    assert read() == both(taken.backup.name)


@pytest.mark.parametrize("how", ["a person asks", "a start"])
def test_nothing_is_touched_for_a_backup_that_turns_out_bad(
    how: str, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was good when it was chosen; the bytes that would be written are compared once more, before room is made."""
    folder = pair(vault, "sales")
    taken = vault.backup("sales", Why.MANUAL)
    assert taken is not None
    real = verification.plain_bytes

    def rotten(backup: Any, **options: Any) -> bytes:
        flip(backup.folder / "creds.db", 9000)
        return real(backup, **options)

    monkeypatch.setattr(backups_module, "plain_bytes", rotten)
    if how == "a start":
        (folder / "creds.db").write_bytes(b"")
    was = (folder / "creds.db").read_bytes()
    with pytest.raises(CredentialError, match="not those that were written"):
        vault.put_back("sales", None) if how == "a person asks" else vault.prepare_restore("sales")
    assert (folder / "creds.db").read_bytes() == was
    assert not (folder / "evidence").exists()


def test_a_backup_that_rotted_unnoticed_is_read_again(
    vault: Vault, read: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file looks as it did when it was read; only its bytes are others."""
    pair(vault, "sales")
    taken = vault.backup("sales", Why.MANUAL)
    assert taken is not None
    assert vault.find_backup("sales", None) == taken.backup
    read()

    def rotten(backup: Any, **_: Any) -> bytes:
        raise unusable(backup)

    monkeypatch.setattr(backups_module, "plain_bytes", rotten)
    with pytest.raises(CredentialError, match="cannot be used"):
        vault.put_back("sales", None)
    assert read() == []
    vault.find_backup("sales", None)
    assert read() == both(taken.backup.name)


# -- and what was noted meanwhile ------------------------------------------------------------------------------------


def test_a_backup_loses_no_mark_that_came_while_it_was_taken(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export may mark the credential while a daemon copies it; the record of before is not written over it."""
    folder = pair(vault, "sales")
    vault.mark_stopped("sales")
    take = Backups.take

    def slow(self: Backups, *args: Any) -> Any:
        taken = take(self, *args)
        vault.update("sales", given_away_at=datetime(2026, 1, 1, tzinfo=UTC), given_to="b" * 16)
        return taken

    monkeypatch.setattr(Backups, "take", slow)
    assert vault.backup("sales", Why.SCHEDULE) is not None
    assert vault.find("sales").credential is Credential.GIVEN_AWAY
    stopped = read_record(folder).stopped
    assert stopped is not None
    assert stopped.kept_as


def test_a_start_loses_no_note_that_came_while_it_was_prepared(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pair(vault, "sales")
    examine = starting.examine

    def meanwhile(*args: Any) -> Any:
        vault.update("sales", parked=True)
        return examine(*args)

    monkeypatch.setattr(starting, "examine", meanwhile)
    vault.prepare_restore("sales")
    assert read_record(folder).parked


def test_two_that_come_first_have_one_account_key(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    others: list[str] = []

    def late(path: Path, **options: Any) -> bool:
        if path == layout.account_key and not others:
            others.append("came first")
            layout.account_key.write_bytes(b"o" * 32)  # another process was faster while this one waited for its turn
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", late)
    assert Vault(layout, "shared", Clock()).key == b"o" * 32
    assert others
