"""The vault against real SQLite files of the library's shape; no library runs here."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from credentials import NUMBER, Clock, pair, run_sql, store
from filelock import FileLock

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import CredentialError, HeldError, StateDirectoryError
from wakit.redact import account_hash
from wakit.vault import Vault
from wakit.vault.inspection import inspect
from wakit.vault.layout import LONGEST_ROOT, Layout, file_system, open_layout
from wakit.vault.record import SessionRecord, Verdict, read_record, write_record


def test_a_session_goes_through_its_life(vault: Vault, layout: Layout) -> None:
    assert vault.find("sales").credential is Credential.ABSENT
    folder = pair(vault, "sales")
    assert vault.find("sales").credential is Credential.PRESENT
    assert vault.prepare_restore("sales").epoch == 2
    vault.retire("sales", keep=False)
    assert vault.find("sales").credential is Credential.ARCHIVED
    assert not folder.exists()
    vault.revive("sales")
    assert vault.find("sales").credential is Credential.PRESENT
    assert vault.prepare_restore("sales").epoch == 3, "epochs go on through the archive"
    vault.rename("sales", "ventas")
    assert vault.find("sales").credential is Credential.ABSENT
    assert vault.prepare_restore("ventas").epoch == 4
    assert vault.names() == ["ventas"]


def test_what_is_kept_stays_where_it_is_and_out_of_use(vault: Vault) -> None:
    folder = pair(vault, "sales")
    vault.retire("sales", keep=True)
    found = vault.find("sales")
    assert (found.credential, found.record.retired_at is not None) == (Credential.PRESENT, True)
    assert (folder / "creds.db").exists()
    vault.prepare_restore("sales")
    assert vault.find("sales").record.retired_at is None


def test_a_retired_archived_session_can_be_renamed(vault: Vault) -> None:
    pair(vault, "old")
    vault.retire("old", keep=False)
    vault.rename("old", "new")
    assert vault.find("new").credential is Credential.PRESENT


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda db: db.unlink(), "missing"),
        (lambda db: db.write_bytes(b""), "zero bytes"),
        (lambda db: db.write_bytes(b"not a database" * 99), "not an SQLite database"),
        (lambda db: os.truncate(db, 4096), "cut off"),
        (lambda db: run_sql(db, "DELETE FROM whatsmeow_device"), "holds no device"),
        (lambda db: run_sql(db, "DROP TABLE whatsmeow_device"), "is no credential"),
        (lambda db: run_sql(db, "UPDATE whatsmeow_device SET jid = '1:1@s.whatsapp.net'"), "another account"),
        (lambda db: run_sql(db, "INSERT INTO whatsmeow_device VALUES ('2:2@s.whatsapp.net', x'00')"), "2 devices"),
        (lambda db: db.write_bytes(db.read_bytes()[:50]), "cut off"),
        (lambda db: (db.unlink(), db.symlink_to("/etc/hostname")), "symbolic link"),
    ],
)  # fmt: skip
def test_a_bad_credential_is_never_handed_out(vault: Vault, damage: object, says: str) -> None:
    database = pair(vault, "sales") / "creds.db"
    for beside in database.parent.glob("creds.db-*"):
        beside.unlink()
    damage(database)  # type: ignore[operator]
    with pytest.raises(CredentialError, match=says) as caught:
        vault.prepare_restore("sales")
    assert "wakit pair sales" in caught.value.hint
    assert NUMBER not in str(caught.value)
    assert vault.settle("sales").credential is not Credential.ABSENT, "it must not look new"


def test_a_link_whose_note_was_lost_is_adopted(vault: Vault) -> None:
    """The daemon died between the library's device row and our note: the next start must not pair anew."""
    folder = vault.prepare_pairing("sales").directory
    store(folder / "creds.db", NUMBER)
    assert vault.find("sales").credential is Credential.ABSENT
    assert vault.settle("sales").credential is Credential.PRESENT
    assert vault.find("sales").record.account == account_hash(NUMBER, vault.key)


def test_an_unfinished_pairing_is_not_adopted(vault: Vault) -> None:
    folder = vault.prepare_pairing("sales").directory
    store(folder / "creds.db")
    assert vault.settle("sales").credential is Credential.ABSENT


def test_pairing_again_keeps_the_evidence_and_the_memory(vault: Vault) -> None:
    folder = pair(vault, "sales")
    vault.mark_unlinked("sales", Verdict(State.LOGGED_OUT.value, "unlinked", datetime(2026, 1, 1, tzinfo=UTC)))
    assert vault.find("sales").credential is Credential.UNLINKED
    vault.prepare_pairing("sales")
    assert not (folder / "creds.db").exists()
    assert len(list(folder.glob("evidence/*/creds.db"))) == 1
    # The daemon may die before anybody scans: the session must still not look new.
    assert vault.find("sales").credential is Credential.UNLINKED
    store(folder / "creds.db", NUMBER)
    vault.mark_paired("sales", account_hash(NUMBER, vault.key))
    assert vault.find("sales").credential is Credential.PRESENT


def test_a_damaged_record_counts_as_once_paired(vault: Vault) -> None:
    folder = pair(vault, "sales")
    (folder / "session.json").write_bytes(b"{")
    assert vault.find("sales").credential is Credential.DAMAGED
    assert vault.settle("sales").credential is Credential.DAMAGED
    vault.prepare_pairing("sales")
    assert vault.find("sales").credential is not Credential.ABSENT


@pytest.mark.parametrize(
    ("record", "helps", "does_not"),
    [
        (b"{", "wakit pair sales", "newer"),
        (b'{"version": 99}', "newer wakit", "wakit pair"),
        (b'{"version": 2, "given_away_at": "2026-01-01T00:00:00Z", "given_to": "x"}', "wakit import", "wakit restore"),
    ],
)
def test_what_cannot_be_started_says_what_helps(vault: Vault, record: bytes, helps: str, does_not: str) -> None:
    folder = pair(vault, "sales")
    (folder / "session.json").write_bytes(record)
    found = vault.find("sales")
    assert found.problem
    assert helps in found.hint
    assert does_not not in found.hint
    assert found.said == f"{found.problem}; {found.hint}"
    vault.retire("sales", keep=False) if found.credential is Credential.GIVEN_AWAY else None
    assert vault.find("sales").hint == found.hint


def test_a_record_of_a_newer_wakit_is_not_guessed_at(tmp_path: Path) -> None:
    write_record(tmp_path, SessionRecord(version=99))
    with pytest.raises(CredentialError, match="newer wakit"):
        read_record(tmp_path)


_HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_nothing_is_moved_under_a_client(vault: Vault) -> None:
    folder = pair(vault, "sales")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, folder / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for operation in (
            lambda: vault.prepare_restore("sales"),
            lambda: vault.prepare_pairing("sales"),
            lambda: vault.retire("sales", keep=False),
            lambda: vault.rename("sales", "ventas"),
        ):
            with pytest.raises(HeldError, match="in use"):
                operation()
        holder.communicate(b"")
    vault.retire("sales", keep=False)


def test_lock_files_are_never_deleted(vault: Vault) -> None:
    folder = pair(vault, "sales")
    inode = (folder / "lock").stat().st_ino
    vault.prepare_restore("sales")
    with FileLock(folder / "lock"):
        pass
    assert (folder / "lock").stat().st_ino == inode


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "a" * 64, "a\0b", "a b", ".."])
def test_no_name_leads_out_of_the_state_directory(vault: Vault, name: str) -> None:
    for operation in (vault.find, vault.prepare_pairing, vault.prepare_restore, vault.revive):
        with pytest.raises(CredentialError):
            operation(name)


def test_everything_is_private(vault: Vault, layout: Layout) -> None:
    pair(vault, "sales")
    vault.prepare_restore("sales")
    vault.retire("sales", keep=False)
    for path in [layout.root, *layout.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_loose_folder_is_repaired(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    assert stat.S_IMODE(open_layout(tmp_path / "state").root.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_state_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateDirectoryError, match="symbolic link"):
        open_layout(tmp_path / "state")


def test_a_read_only_state_directory_is_told(tmp_path: Path) -> None:
    root = open_layout(tmp_path / "state").root
    root.chmod(0o500)
    try:
        with pytest.raises(StateDirectoryError, match="read-only") as caught:
            open_layout(root)
        assert "state_dir" in caught.value.hint
    finally:
        root.chmod(0o700)


def test_a_file_in_place_of_the_state_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateDirectoryError):
        open_layout(tmp_path / "state")


def test_a_path_that_sqlite_could_not_open_is_told_before_anything_is_made(tmp_path: Path) -> None:
    def of_length(length: int) -> Path:
        room = length - len(str(tmp_path)) - 2
        return tmp_path / ("d" * (room // 2)) / ("e" * (room - room // 2))

    fits = of_length(LONGEST_ROOT)
    assert len(str(fits)) == LONGEST_ROOT
    longest = "n" * 63
    vault = Vault(open_layout(fits), "shared", Clock())
    pair(vault, longest)
    vault.prepare_restore(longest)
    with pytest.raises(StateDirectoryError, match="SQLite cannot open") as caught:
        open_layout(of_length(LONGEST_ROOT + 1))
    assert "shorter" in caught.value.hint
    assert not of_length(LONGEST_ROOT + 1).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells in /proc")
def test_the_file_system_is_named() -> None:
    assert file_system(Path("/proc/self")) == "proc"
    assert file_system(Path("/")) not in ("", "proc")


def test_the_account_key_is_made_once(layout: Layout) -> None:
    first = Vault(layout, "shared", Clock()).key
    assert Vault(layout, "shared", Clock()).key == first
    assert len(first) == 32


def test_an_inspection_repeats_no_number(tmp_path: Path) -> None:
    store(tmp_path / "creds.db", NUMBER)
    assert NUMBER not in repr(inspect(tmp_path / "creds.db", b"key"))
