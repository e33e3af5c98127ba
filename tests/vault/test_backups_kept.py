"""Backups are put back, sealed and thinned out."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from backed import (
    ACCOUNT,
    KEY,
    RECORD,
    backups,
    change,
    count,
    credential,
    names,
    set_aside,
    spoil,
    takes,
    unfinished,
)
from credentials import Clock, run_sql, store
from pyrage import x25519

from wakit.core.declaration import VaultPolicy
from wakit.errors import CredentialError, HeldError, StateDirectoryError, WakitError
from wakit.redact import account_hash
from wakit.vault import shelf
from wakit.vault.backups import Backups
from wakit.vault.disk import BackupError
from wakit.vault.manifest import Why, decode, encode
from wakit.vault.sealing import SealError
from wakit.vault.verification import Backup

OTHER = account_hash("34600000002", KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return credential(tmp_path)


@pytest.fixture
def kept(folder: Path) -> Backups:
    return backups(folder)


def test_a_backup_by_a_newer_wakit_is_neither_offered_nor_deleted(folder: Path) -> None:
    kept = backups(folder, VaultPolicy(keep=1, max_bytes=1), now=Clock())
    old, new = takes(kept, folder, 2)
    path = old.folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    assert kept.prune().deleted == ()
    assert [(b.name, b.unknown) for b in kept.listed()] == [(new.name, False), (old.name, True)]


def test_another_account_is_kept_and_never_offered(folder: Path, tmp_path: Path) -> None:
    kept = backups(folder, VaultPolicy(keep=1))
    former = kept.take(Why.PAIRED, RECORD).backup
    set_aside(folder)
    store(folder / "creds.db", "34600000002")
    now = msgspec.structs.replace(RECORD, account=OTHER)
    assert kept.choose(OTHER).passed_over == ()
    assert kept.newest_good(OTHER) is None
    taken = kept.take(Why.PAIRED, now).backup
    assert kept.newest_good(OTHER) == taken
    assert kept.prune().deleted == ()
    assert kept.newest_good(ACCOUNT) == former
    with pytest.raises(CredentialError, match="another account"):
        kept.put_back(former, tmp_path / "creds.db", account=OTHER)


def test_what_is_put_back_is_what_was_taken(folder: Path, kept: Backups) -> None:
    taken = kept.take(Why.MANUAL, RECORD).backup
    change(folder, rows=5)
    set_aside(folder)
    assert kept.put_back(taken, folder / "creds.db", account=ACCOUNT) == taken.manifest
    assert count(folder / "creds.db") == 10
    assert (folder / "creds.db").read_bytes() == (taken.folder / "creds.db").read_bytes()
    assert stat.S_IMODE((folder / "creds.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["creds.db", "creds.db-wal", "creds.db-shm", "creds.db-journal"])
def test_nothing_is_put_back_over_anything(folder: Path, kept: Backups, name: str) -> None:
    taken = kept.take(Why.MANUAL, RECORD).backup
    set_aside(folder)
    (folder / name).write_bytes(b"")
    with pytest.raises(BackupError, match="there is still") as caught:
        kept.put_back(taken, folder / "creds.db")
    assert name in str(caught.value)
    assert [path.name for path in folder.glob("creds.db*")] == [name]


def test_a_bad_backup_is_not_put_back(folder: Path, kept: Backups) -> None:
    taken = kept.take(Why.MANUAL, RECORD).backup
    set_aside(folder)
    spoil(taken)
    with pytest.raises(CredentialError, match="not those that were written"):
        kept.put_back(taken, folder / "creds.db")
    assert not list(folder.glob("creds.db*"))


def test_a_sealed_backup_is_opened_with_the_key_only(folder: Path, tmp_path: Path) -> None:
    identity = x25519.Identity.generate()
    (tmp_path / "key").write_text(f"{identity}\n")
    kept = backups(folder, VaultPolicy(recipients=(str(identity.to_public()),)))
    taken = kept.take(Why.MANUAL, RECORD).backup
    assert names(taken.folder) == ["creds.db.age", "manifest.json"]
    assert b"SQLite" not in (taken.folder / "creds.db.age").read_bytes()
    assert kept.newest_good(ACCOUNT) == taken, "whether it is whole is told without the key"
    assert not kept.take(Why.SCHEDULE, RECORD).new
    set_aside(folder)
    with pytest.raises(SealError):
        kept.put_back(taken, folder / "creds.db")
    assert not list(folder.glob("creds.db*"))
    kept.put_back(taken, folder / "creds.db", identities=[tmp_path / "key"])
    assert count(folder / "creds.db") == 10


def test_sealing_begins_with_the_next_backup(folder: Path) -> None:
    backups(folder).take(Why.MANUAL, RECORD)
    key = str(x25519.Identity.generate().to_public())
    later = Clock(datetime(2026, 1, 2, tzinfo=UTC))
    assert backups(folder, VaultPolicy(recipients=(key,)), now=later).take(Why.SCHEDULE, RECORD).new


def test_a_wrong_recipient_is_told_before_anything_is_done(folder: Path) -> None:
    with pytest.raises(SealError, match="Recipient 1"):
        backups(folder, VaultPolicy(recipients=("age1nonsense",))).take(Why.MANUAL, RECORD)
    assert not (folder / "backups").exists()


def test_thinning_out_keeps_what_the_policy_says(folder: Path) -> None:
    clock = Clock()
    kept = backups(folder, VaultPolicy(keep=2), now=clock)
    taken = takes(kept, folder, 6)
    spoil(taken[0])
    spoil(taken[5])
    pruned = kept.prune()
    assert pruned.deleted == tuple(backup.name for backup in taken[:3])
    assert {backup.name for backup in pruned.bad} == {taken[0].name, taken[5].name}
    assert [backup.name for backup in kept.listed()] == [backup.name for backup in reversed(taken[3:])]
    clock.moment += timedelta(days=30)
    assert kept.prune().deleted == ()


def test_thinning_out_looks_into_the_last_one(folder: Path) -> None:
    """A manifest that fits its bytes proves nothing about the database; the last good one must be good."""
    kept = backups(folder, VaultPolicy(keep=1))
    old, new = takes(kept, folder, 2)
    run_sql(new.folder / "creds.db", "DELETE FROM whatsmeow_device")
    content = (new.folder / "creds.db").read_bytes()
    digest = sha256(content).hexdigest()
    says = decode((new.folder / "manifest.json").read_bytes())
    forged = msgspec.structs.replace(says, sha256=digest, size=len(content))  # type: ignore[type-var]
    (new.folder / "manifest.json").write_bytes(encode(forged))  # type: ignore[arg-type]
    new.folder.rename(new.folder.with_name(f"{new.name[:-8]}{digest[:8]}"))
    assert kept.listed()[0].good
    assert kept.prune().deleted == ()
    assert kept.newest_good(ACCOUNT) == old


def test_leftovers_go_with_the_next_step(folder: Path, kept: Backups) -> None:
    kept.take(Why.MANUAL, RECORD)
    place = folder / "backups"
    for step in (lambda: kept.take(Why.MANUAL, RECORD), kept.prune):
        (place / ".new.abc.tmp").mkdir()
        (place / ".new.abc.tmp" / "creds.db").write_bytes(b"x")
        (place / ".draft.abc.tmp").write_bytes(b"x")
        (place / ".gone.tmp").symlink_to("/")
        step()
        assert unfinished(place) == []


def test_strange_files_are_left_alone(folder: Path, kept: Backups) -> None:
    taken = kept.take(Why.MANUAL, RECORD).backup
    for stray in (
        "notes",
        "20260101T000000000000Z-xyz",
        "20261301T000000000000Z-00000000",
        "99990101T000000000000Z-00000000",
    ):
        (folder / "backups" / stray).mkdir()
    assert kept.listed() == [taken]
    kept.prune()
    assert len(names(folder / "backups")) == 6


def test_a_link_in_place_of_the_folder_is_refused(folder: Path, kept: Backups, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "backups").symlink_to(tmp_path / "elsewhere")
    for step in (lambda: kept.take(Why.MANUAL, RECORD), kept.prune, kept.listed, lambda: kept.choose(ACCOUNT)):
        with pytest.raises(StateDirectoryError, match="symbolic link"):
            step()
    assert names(tmp_path / "elsewhere") == []


_HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_get_in_each_others_way(
    folder: Path, kept: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = kept.take(Why.MANUAL, RECORD).backup
    monkeypatch.setattr(shelf, "_PATIENCE", 0.01)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, folder / "backups" / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for step in (lambda: kept.take(Why.MANUAL, RECORD), kept.prune, lambda: kept.put_back(taken, folder / "x.db")):
            with pytest.raises(HeldError, match="in use"):
                step()
        assert kept.listed() == [taken], "looking needs no lock"
        holder.communicate(b"")


def test_what_cannot_be_read_now_is_not_called_bad(
    folder: Path, kept: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = takes(kept, folder, 3)
    real = Path.open

    def fails(path: Path, *args: object, **options: object) -> object:
        if path.parent == taken[2].folder:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", fails)
    assert [backup.unknown for backup in kept.listed()] == [True, False, False]
    assert backups(folder, VaultPolicy(keep=1)).prune().deleted == (taken[0].name,)
    monkeypatch.undo()
    assert kept.newest_good(ACCOUNT) == taken[2]


def test_every_error_says_what_to_do(folder: Path) -> None:
    trials = [
        lambda: backups(folder, free_space_floor=1 << 60).take(Why.MANUAL, RECORD),
        lambda: backups(folder / "none").take(Why.MANUAL, RECORD),
        lambda: backups(folder, VaultPolicy(recipients=("x",))).take(Why.MANUAL, RECORD),
        lambda: backups(folder).put_back(Backup(folder / "none"), folder / "x.db"),
    ]
    for trial in trials:
        with pytest.raises(WakitError) as caught:
            trial()
        assert caught.value.why
        assert caught.value.hint
