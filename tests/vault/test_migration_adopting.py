"""A credential that was made elsewhere takes its place in the vault: as a whole or not at all, and never twice."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from credentials import NUMBER, Clock, pair, store
from test_vault_crashes import Disk, Lost, devices, failing

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import CredentialError, HeldError
from wakit.redact import account_hash
from wakit.vault import Vault, adopting, notes
from wakit.vault.folder import locked
from wakit.vault.layout import Layout, open_layout
from wakit.vault.record import SessionRecord, Verdict, read_record

OTHER = "34600000002"
_UNLINKED = Verdict(State.LOGGED_OUT.value, "unlinked", Clock()())


def made(layout: Layout, user: str = OTHER) -> Path:
    """A database as an import leaves it: complete, outside of every session's place."""
    path = layout.root / "creds.db"
    store(path, user)
    return path


def adopt(vault: Vault, layout: Layout, name: str = "a", *, resting: bool = False) -> None:
    adopting.adopt(vault, name, made(layout), account_hash(OTHER, vault.key), resting=resting)


def test_it_is_as_if_it_had_just_been_linked(vault: Vault, layout: Layout) -> None:
    adopt(vault, layout)
    finding = vault.find("a")
    assert finding.credential is Credential.PRESENT
    assert finding.record.account == account_hash(OTHER, vault.key)
    assert finding.record.paired_at is not None
    assert finding.record.retired_at is None
    assert finding.record.epoch == 1
    assert vault.prepare_restore("a").epoch == 2
    assert not (layout.root / "creds.db").exists()


def test_one_that_is_not_declared_rests(vault: Vault, layout: Layout) -> None:
    adopt(vault, layout, resting=True)
    assert vault.find("a").record.retired_at is not None
    assert vault.prepare_restore("a").epoch == 2
    assert vault.find("a").record.retired_at is None


def in_use(vault: Vault) -> None:
    pair(vault, "a")


def archived(vault: Vault) -> None:
    pair(vault, "a")
    vault.retire("a", keep=False)


def damaged(vault: Vault) -> None:
    (pair(vault, "a") / "creds.db").write_bytes(b"")


def lost_note(vault: Vault) -> None:
    store(vault.prepare_pairing("a").directory / "creds.db", NUMBER)


@pytest.mark.parametrize("before", [in_use, archived, damaged, lost_note])
def test_a_name_with_a_credential_takes_in_no_other(
    before: Callable[[Vault], None], vault: Vault, layout: Layout
) -> None:
    before(vault)
    seen = vault.settle("a")
    with pytest.raises(CredentialError, match="one of its own"):
        adopt(vault, layout)
    assert vault.settle("a") == seen
    assert (layout.root / "creds.db").exists()


@pytest.mark.parametrize("retired", [False, True])
@pytest.mark.parametrize("namespace", ["shared", "branch"])
def test_an_account_is_taken_in_once(retired: bool, namespace: str, vault: Vault, layout: Layout) -> None:
    there = Vault(layout, namespace, Clock())
    pair(there, "b", OTHER)
    if retired:
        there.retire("b", keep=True)
    with pytest.raises(CredentialError, match="linked as 'b' already"):
        adopt(vault, layout)
    assert vault.settle("a").credential is Credential.ABSENT


def test_an_account_that_was_given_away_may_come_in_as_another_device(vault: Vault, layout: Layout) -> None:
    pair(vault, "b", OTHER)
    notes.given_away(vault.holdings, "b", "x" * 16)
    adopt(vault, layout)
    assert vault.find("a").credential is Credential.PRESENT


def test_an_account_is_free_once_its_session_is_archived_as_the_hint_says(vault: Vault, layout: Layout) -> None:
    pair(vault, "b", OTHER)
    vault.retire("b", keep=False)
    adopt(vault, layout)
    assert vault.find("a").credential is Credential.PRESENT


def linked_just_now(vault: Vault) -> None:
    store(vault.prepare_pairing("b").directory / "creds.db", OTHER)


def linked_anew_just_now(vault: Vault) -> None:
    pair(vault, "b", NUMBER)
    vault.mark_unlinked("b", _UNLINKED)
    linked_just_now(vault)


def given_away_and_linked_anew_just_now(vault: Vault) -> None:
    pair(vault, "b", NUMBER)
    notes.given_away(vault.holdings, "b", "x" * 16)
    linked_just_now(vault)


@pytest.mark.parametrize("before", [linked_just_now, linked_anew_just_now, given_away_and_linked_anew_just_now])
def test_a_link_that_nobody_noted_yet_has_its_account(
    before: Callable[[Vault], None], vault: Vault, layout: Layout
) -> None:
    before(vault)
    with pytest.raises(CredentialError, match="linked as 'b' already"):
        adopt(vault, layout)


def test_a_note_that_comes_at_the_same_moment_waits(
    vault: Vault, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is changed under its own lock: another process may have something to note of the name."""
    alone: list[bool] = []
    real = adopting.write_record

    def watched(folder: Path, record: SessionRecord) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone.append(False)
        except BlockingIOError:
            alone.append(True)
        finally:
            os.close(descriptor)
        real(folder, record)

    monkeypatch.setattr(adopting, "write_record", watched)
    adopt(vault, layout)
    assert alone == [True, True]


def test_an_account_that_was_unlinked_elsewhere_is_free(vault: Vault, layout: Layout) -> None:
    pair(vault, "b", OTHER)
    vault.mark_unlinked("b", _UNLINKED)
    adopt(vault, layout)
    assert vault.find("a").credential is Credential.PRESENT


def test_a_record_that_cannot_be_read_holds_nothing(vault: Vault, layout: Layout) -> None:
    (pair(vault, "b") / "session.json").write_bytes(b"{")
    adopt(vault, layout)
    assert vault.find("a").credential is Credential.PRESENT


def test_an_unlinked_session_is_filled_anew_and_what_it_was_is_kept(vault: Vault, layout: Layout) -> None:
    folder = pair(vault, "a")
    epoch = vault.prepare_restore("a").epoch
    vault.mark_unlinked("a", _UNLINKED)
    vault.update("a", parked=True)
    adopt(vault, layout)
    record = vault.find("a").record
    assert record.account == account_hash(OTHER, vault.key)
    assert (record.unlinked_at, record.verdict, record.parked) == (None, None, True)
    assert record.epoch > epoch
    (evidence,) = folder.glob("evidence/*")
    assert read_record(evidence).account == account_hash(NUMBER, vault.key)
    assert (evidence / "creds.db").exists()


def test_nothing_is_put_under_a_worker(vault: Vault, layout: Layout) -> None:
    folder = vault.prepare_pairing("a").directory
    with locked(folder), pytest.raises(HeldError):
        adopt(vault, layout)
    assert not (folder / "creds.db").exists()


def unlinked(vault: Vault) -> None:
    pair(vault, "a")
    vault.mark_unlinked("a", _UNLINKED)


@pytest.mark.parametrize("full", [False, True], ids=["lost process", "full disk"])
@pytest.mark.parametrize("before", [lambda _: None, unlinked], ids=["a new session", "an unlinked one"])
def test_it_may_end_at_any_step(before: Callable[[Vault], None], full: bool, tmp_path: Path) -> None:
    """The credential lies in exactly one place, and the session is as before or has it."""
    for step in range(1, 60):
        layout = open_layout(tmp_path / str(step))
        clock = Clock()
        vault = Vault(layout, "shared", clock)
        before(vault)
        was = vault.settle("a").credential
        database = made(layout)
        count = len(devices(layout))
        disk = Disk(step, full)
        with failing(disk), suppress(Lost, OSError):
            adopting.adopt(vault, "a", database, account_hash(OTHER, vault.key), resting=False)
        again = Vault(layout, "shared", clock)  # the next daemon, or the next import
        found = again.settle("a")
        assert len(devices(layout)) == count, f"failed at step {step}"
        if database.exists():
            assert found.credential is was, f"failed at step {step}"
            adopting.adopt(again, "a", database, account_hash(OTHER, again.key), resting=False)
            found = again.settle("a")
        assert found.credential is Credential.PRESENT, f"failed at step {step}"
        assert found.record.account == account_hash(OTHER, again.key), f"failed at step {step}"
        again.prepare_restore("a")
        if disk.steps < step:
            assert step > 1, "it did nothing on the disk"
            return
    pytest.fail("it has no end")
