"""What the vault does where it cannot tell, or where somebody has been at its files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from credentials import NUMBER, Clock, pair, store

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import CredentialError, CredentialUnreadableError, StateDirectoryError
from wakit.vault import Vault
from wakit.vault.layout import Layout
from wakit.vault.record import Verdict

_UNLINKED = Verdict(State.LOGGED_OUT.value, "unlinked", datetime(2026, 1, 1, tzinfo=UTC))


def test_a_database_that_cannot_be_read_now_is_left_where_it_is(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = vault.prepare_pairing("a").directory
    store(folder / "creds.db", NUMBER)
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: real(*args, **{**options, "timeout": 0.01}))
    with closing(real(folder / "creds.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for operation in (vault.settle, vault.prepare_pairing, vault.prepare_restore):
            with pytest.raises(CredentialUnreadableError) as caught:
                operation("a")
            assert caught.value.retryable
        other.execute("ROLLBACK")
    assert vault.settle("a").credential is Credential.PRESENT


@pytest.mark.parametrize("spoil", [lambda f: (f / "creds.db").unlink(), lambda f: (f / "creds.db").write_bytes(b"")])
def test_what_was_lost_in_the_archive_does_not_look_new(
    vault: Vault, layout: Layout, spoil: Callable[[Path], None]
) -> None:
    pair(vault, "a")
    vault.retire("a", keep=False)
    spoil(next((layout.archive / "a").iterdir()))
    assert vault.find("a").credential is Credential.DAMAGED
    assert vault.find("a").record.retired_at is not None
    assert vault.prepare_pairing("a").epoch == 2
    assert vault.find("a").credential is Credential.UNLINKED


def test_a_damaged_record_in_the_archive_hides_no_credential(vault: Vault, layout: Layout) -> None:
    pair(vault, "a")
    vault.retire("a", keep=False)
    (next((layout.archive / "a").iterdir()) / "session.json").write_bytes(b'{"epoch": 7, ')
    assert vault.find("a").credential is Credential.ARCHIVED
    vault.revive("a")
    assert vault.prepare_restore("a").epoch == 8


def test_a_late_note_follows_its_credential(vault: Vault, layout: Layout) -> None:
    pair(vault, "a")
    vault.retire("a", keep=False)
    vault.mark_unlinked("a", _UNLINKED)
    found = vault.find("a")
    assert (found.credential, found.record.verdict) == (Credential.UNLINKED, None)
    assert not list(layout.sessions.glob("a/*"))


def test_a_late_note_without_a_credential_is_refused(vault: Vault, layout: Layout) -> None:
    pair(vault, "a")
    vault.retire("a", keep=False)
    with pytest.raises(CredentialError, match="too late"):
        Vault(layout, "shared", Clock()).mark_unlinked("a", _UNLINKED)
    with pytest.raises(CredentialError, match="too late"):
        vault.mark_unlinked("b", _UNLINKED)
    assert vault.find("a").credential is Credential.ARCHIVED
    assert vault.update("b", parked=True).parked, "a person may park what never ran"


def test_a_lost_account_key_is_told(vault: Vault, layout: Layout) -> None:
    folder = pair(vault, "a")
    layout.account_key.unlink()
    with pytest.raises(StateDirectoryError, match="lost") as caught:
        Vault(layout, "shared", Clock())
    assert "copy" in caught.value.hint
    record = folder / "session.json"
    account = vault.find("a").record.account
    record.write_text(record.read_text().replace(f'"{account}"', "null"))
    Vault(layout, "shared", Clock()).prepare_restore("a")


def test_stray_files_are_passed_over(vault: Vault, layout: Layout) -> None:
    pair(vault, "a")
    vault.retire("a", keep=False)
    for stray in (layout.sessions / "notes", layout.archive / "readme", layout.archive / "a" / "zz"):
        stray.write_text("")
    assert vault.names() == ["a"]
    assert vault.find("a").credential is Credential.ARCHIVED


@pytest.mark.parametrize("name", ["creds.db", "session.json"])
def test_a_link_in_place_of_a_file_is_refused(vault: Vault, tmp_path: Path, name: str) -> None:
    folder = pair(vault, "a")
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    found = vault.settle("a")
    assert found.credential is Credential.DAMAGED
    assert "symbolic link" in found.problem
    with pytest.raises(CredentialError, match="symbolic link"):
        vault.prepare_restore("a")
