"""A credential belongs to one place at a time, and each place knows which."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import pytest
from bundles import archive, bundled, manifest, session
from credentials import NUMBER, Clock, pair, run_sql, store
from filelock import FileLock
from places import Place, place, tree

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import BundleError, CredentialError, GivenAwayError, HeldError, StateDirectoryError
from wakit.redact import account_hash
from wakit.vault import Vault, bundle, giving, notes
from wakit.vault.bundle import VERSION
from wakit.vault.folder import locked, memory
from wakit.vault.record import RECORD, SessionRecord, Verdict, read_record, recording, write_record
from wakit.vault.taking import Outcome
from wakit.vault.transfer import scratch

OTHER = "34600000002"


@pytest.fixture
def a(tmp_path: Path) -> Place:
    return place(tmp_path / "a")


@pytest.fixture
def b(tmp_path: Path) -> Place:
    return place(tmp_path / "b")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "moved.age"


def used(where: Place, name: str, mark: str = "x") -> None:
    """A client ran with the credential and changed its keys."""
    where.vault.prepare_restore(name)
    run_sql(where.vault.folder(name) / "creds.db", f"CREATE TABLE {mark} (k)")


def tables(where: Place, name: str) -> set[str]:
    with closing(sqlite3.connect(where.vault.folder(name) / "creds.db")) as connection:
        return {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


# -- there and back --------------------------------------------------------------------------------------------------


def test_a_session_moves_and_comes_back(a: Place, b: Place, tmp_path: Path) -> None:
    pair(a.vault, "sales")
    used(a, "sales", "at_a")
    first = a.give(tmp_path / "1.age", "sales")
    assert a.vault.find("sales").credential is Credential.GIVEN_AWAY

    assert b.take(first)["sales"].outcome is Outcome.NEW
    assert b.vault.find("sales").credential is Credential.PRESENT
    assert b.vault.find("sales").record.account == account_hash(NUMBER, b.vault.key)
    assert b.vault.find("sales").record.account != a.vault.find("sales").record.account
    assert "at_a" in tables(b, "sales")
    used(b, "sales", "at_b")

    second = b.give(tmp_path / "2.age", "sales")
    assert a.take(second)["sales"].outcome is Outcome.BACK
    assert a.vault.find("sales").credential is Credential.PRESENT
    assert {"at_a", "at_b"} <= tables(a, "sales"), "what came back is what was used last"
    assert a.vault.prepare_restore("sales").epoch > b.vault.find("sales").record.epoch
    assert b.vault.find("sales").credential is Credential.GIVEN_AWAY
    assert not (a.root / "transfer").exists()
    assert not (b.root / "transfer").exists()


def test_an_epoch_is_higher_than_any_that_either_place_has_seen(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    for _ in range(5):
        a.vault.prepare_restore("sales")
    for _ in range(9):  # somebody tried to link it there, and archived what came of it
        b.vault.prepare_pairing("sales")
    b.take(a.give(file, "sales"))
    assert b.vault.find("sales").record.epoch == 10
    assert b.vault.prepare_restore("sales").epoch == 11


def test_what_was_given_away_is_taken_back_by_its_own_bundle(a: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    assert a.take(file)["sales"].outcome is Outcome.BACK
    assert a.vault.find("sales").credential is Credential.PRESENT
    assert a.vault.find("sales").record.given_away_at is None
    with pytest.raises(CredentialError, match="imported here already"):
        a.take(file)


def test_under_another_name(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    pair(a.vault, "desk", OTHER)
    a.give(file, "sales", "desk")
    assert set(b.take(file, sales="ventas")) == {"ventas", "desk"}
    assert b.vault.find("ventas").credential is Credential.PRESENT
    assert b.vault.find("sales").credential is Credential.ABSENT


@pytest.mark.parametrize(
    ("names", "match"),
    [({"nobody": "x"}, "not in the bundle"), ({"sales": "desk"}, "two sessions"), ({"sales": "../x"}, "session name")],
)
def test_names_that_make_no_sense(a: Place, b: Place, file: Path, names: dict[str, str], match: str) -> None:
    pair(a.vault, "sales")
    pair(a.vault, "desk", OTHER)
    a.give(file, "sales", "desk")
    with pytest.raises((BundleError, CredentialError), match=match):
        b.take(file, **names)
    assert b.vault.names() == []


def test_a_copy_is_private_and_says_no_number(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    said = bundle.read(file.read_bytes()).manifest
    assert NUMBER not in repr(said)
    assert said.sessions[0].account != a.vault.find("sales").record.account
    assert said.sessions[0].rows == {"whatsmeow_device": 1}
    b.take(file)
    for path in [b.root, *b.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


# -- the old place ---------------------------------------------------------------------------------------------------


def test_what_was_given_away_is_not_started(a: Place, file: Path) -> None:
    folder = pair(a.vault, "sales")
    a.vault.update("sales", parked=True)
    a.give(file, "sales")
    with pytest.raises(GivenAwayError, match="given away on 2026-01-01") as caught:
        a.vault.prepare_restore("sales")
    ident = a.vault.find("sales").record.given_to
    assert ident is not None
    assert ident in str(caught.value)
    assert "wakit import" in caught.value.hint
    assert "wakit pair sales" in caught.value.hint
    assert (folder / "creds.db").exists(), "it is not deleted"
    for later in (a.vault.settle("sales"), Vault(a.vault.layout, "shared", Clock()).settle("sales")):
        assert later.credential is Credential.GIVEN_AWAY
        assert ident in later.problem
        assert not later.record.parked


def test_it_is_remembered_in_the_archive_and_under_another_name(a: Place, b: Place, tmp_path: Path) -> None:
    pair(a.vault, "sales")
    a.give(tmp_path / "1.age", "sales")
    a.vault.retire("sales", keep=False)
    assert a.vault.find("sales").credential is Credential.GIVEN_AWAY
    with pytest.raises(CredentialError):
        a.vault.revive("sales")
    a.vault.rename("sales", "ventas")
    assert a.vault.find("ventas").credential is Credential.GIVEN_AWAY
    assert a.vault.find("sales").credential is Credential.ABSENT
    a.vault.retire("ventas", keep=False)
    b.take(tmp_path / "1.age", sales="ventas")
    used(b, "ventas")
    assert a.take(b.give(tmp_path / "2.age", "ventas"))["ventas"].outcome is Outcome.BACK
    assert a.vault.find("ventas").credential is Credential.PRESENT


def test_an_older_credential_in_the_archive_does_not_come_in_its_place(a: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.vault.retire("sales", keep=False)
    pair(a.vault, "sales")
    a.give(file, "sales")
    a.vault.retire("sales", keep=False)
    assert a.vault.find("sales").credential is Credential.GIVEN_AWAY


def test_it_can_be_linked_anew(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    folder = a.vault.prepare_pairing("sales").directory
    assert a.vault.settle("sales").credential is Credential.GIVEN_AWAY, "nobody has scanned yet"
    assert len(list(folder.glob("evidence/*/creds.db"))) == 1
    store(folder / "creds.db", OTHER)
    assert a.vault.settle("sales").credential is Credential.PRESENT, "the note was lost, and is adopted"
    assert a.vault.find("sales").record.given_to is None
    a.vault.prepare_restore("sales")
    with pytest.raises(CredentialError, match="was linked here"):
        a.take(file)


def test_a_link_that_was_begun_does_not_keep_it_from_coming_back(a: Place, b: Place, tmp_path: Path) -> None:
    pair(a.vault, "sales")
    first = a.give(tmp_path / "1.age", "sales")
    for _ in range(20):
        a.vault.prepare_pairing("sales")
    b.take(first)
    used(b, "sales")
    assert a.take(b.give(tmp_path / "2.age", "sales"))["sales"].outcome is Outcome.BACK
    assert a.vault.prepare_restore("sales").epoch > 21


def test_a_link_made_just_now_is_not_overwritten(a: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    store(a.vault.prepare_pairing("sales").directory / "creds.db", OTHER)  # and nobody noted it yet
    with pytest.raises(CredentialError):
        a.take(file)
    assert a.vault.settle("sales").credential is Credential.PRESENT
    assert a.vault.find("sales").record.account == account_hash(OTHER, a.vault.key)


def test_an_older_wakit_does_not_start_it(a: Place, file: Path) -> None:
    """It knows version 1, ignores what it does not know of, and refuses what says that it is newer."""
    folder = pair(a.vault, "sales")
    assert b'"version"' not in (folder / RECORD).read_bytes()
    a.give(file, "sales")
    assert b'"version": 2' in (folder / RECORD).read_bytes()
    a.take(file)
    assert b'"version"' not in (a.vault.folder("sales") / RECORD).read_bytes()


def test_what_a_newer_wakit_noted_is_not_overwritten(a: Place) -> None:
    folder = pair(a.vault, "sales")
    write_record(folder, msgspec.structs.replace(read_record(folder), version=99))
    before = (folder / RECORD).read_bytes()
    for operation in (
        lambda: a.vault.update("sales", parked=True),
        lambda: a.vault.prepare_pairing("sales"),
        lambda: a.vault.retire("sales", keep=True),
    ):
        with pytest.raises(CredentialError, match="newer wakit"):
            operation()
    assert (folder / RECORD).read_bytes() == before


def test_a_note_that_comes_at_the_same_moment_loses_no_mark(a: Place, file: Path, monkeypatch: Any) -> None:
    """A daemon may note something while the export marks: each reads and writes the record without the other."""
    folder = pair(a.vault, "sales")
    alone: list[bool] = []

    def watched(where: Path, now: datetime) -> SessionRecord:
        descriptor = os.open(where, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone.append(False)
        except BlockingIOError:
            alone.append(True)
        finally:
            os.close(descriptor)
        return memory(where, now)

    monkeypatch.setattr("wakit.vault.folder.memory", watched)
    a.vault.update("sales", retired_at=None)
    a.give(file, "sales")
    assert alone.count(True) == 2
    assert read_record(folder).given_away_at is not None


def test_a_note_waits_for_the_folder_that_was_put_in_place_meanwhile(tmp_path: Path, monkeypatch: Any) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for each in (old, new):
        each.mkdir()
    opened, held = Event(), []
    flock = fcntl.flock

    def waiting(descriptor: int, how: int) -> None:
        opened.set()
        flock(descriptor, how)

    def note() -> None:
        with recording(old):
            descriptor = os.open(old, os.O_RDONLY)
            try:
                flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(old)
            finally:
                os.close(descriptor)

    thread = Thread(target=note)
    with recording(old):
        monkeypatch.setattr("fcntl.flock", waiting)
        thread.start()
        assert opened.wait(10)
        old.rename(tmp_path / "away")
        new.rename(old)
    thread.join(10)
    assert held == [old]


# -- what is not exported --------------------------------------------------------------------------------------------


def _unlink(where: Place) -> None:
    pair(where.vault, "sales")
    where.vault.mark_unlinked("sales", Verdict(State.LOGGED_OUT.value, "x", datetime(2026, 1, 1, tzinfo=UTC)))


def _archive(where: Place) -> None:
    pair(where.vault, "sales")
    where.vault.retire("sales", keep=False)


def _empty(where: Place) -> None:
    (pair(where.vault, "sales") / "creds.db").write_bytes(b"")


def _damage(where: Place) -> None:
    database = pair(where.vault, "sales") / "creds.db"
    for beside in database.parent.glob("creds.db-*"):
        beside.unlink()
    os.truncate(database, 4096)


def _of_another(where: Place) -> None:
    run_sql(pair(where.vault, "sales") / "creds.db", "UPDATE whatsmeow_device SET jid = '1:1@s.whatsapp.net'")


@pytest.mark.parametrize(
    ("before", "match"),
    [
        (lambda _: None, "never linked"),
        (_unlink, "unlinked"),
        (_archive, "archive"),
        (_empty, "zero bytes"),
        (_damage, "cut off"),
        (_of_another, "another account"),
    ],
)
def test_only_a_sound_credential_is_exported(a: Place, file: Path, before: Callable[[Place], None], match: str) -> None:
    before(a)
    pair(a.vault, "desk", OTHER)
    with pytest.raises(CredentialError, match=match) as caught:
        a.give(file, "desk", "sales")
    assert caught.value.hint
    assert not file.exists()
    assert a.vault.find("desk").credential is Credential.PRESENT, "nothing is given away if not all is"


def test_a_live_one_is_not_exported(a: Place, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving, "_PATIENCE", 0.0)
    folder = pair(a.vault, "sales")
    with FileLock(folder / "lock"), pytest.raises(HeldError, match="'sales' is live") as caught:
        a.give(file, "sales")
    assert "wakit park sales" in caught.value.hint
    assert not file.exists()


def test_one_that_is_about_to_stop_is_waited_for(a: Place, file: Path, monkeypatch: Any) -> None:
    folder = pair(a.vault, "sales")
    held, asked = Event(), Event()

    def leave() -> None:
        with FileLock(folder / "lock"):
            held.set()
            asked.wait(10)

    def asking(where: Path, **options: Any) -> Any:
        asked.set()
        return locked(where, **options)

    monkeypatch.setattr(giving, "locked", asking)
    worker = Thread(target=leave)
    worker.start()
    held.wait(10)
    a.give(file, "sales")
    worker.join(10)
    assert file.exists()


def test_what_another_export_gave_away_just_now_is_not_given_twice(a: Place, file: Path, monkeypatch: Any) -> None:
    pair(a.vault, "sales")

    def late(where: Path, **options: Any) -> Any:
        notes.given_away(a.vault.holdings, "sales", "b" * 16)
        return locked(where, **options)

    monkeypatch.setattr(giving, "locked", late)
    with pytest.raises(GivenAwayError):
        a.give(file, "sales")
    assert not file.exists()


def test_an_existing_file_is_not_overwritten(a: Place, file: Path, tmp_path: Path) -> None:
    pair(a.vault, "sales")
    file.write_bytes(b"the only copy of something")
    for target, match in ((file, "exists already"), (tmp_path, "folder"), (tmp_path / "no" / "x", "no such folder")):
        with pytest.raises(BundleError, match=match):
            a.give(target, "sales")
    assert file.read_bytes() == b"the only copy of something"
    assert a.vault.find("sales").credential is Credential.PRESENT
    a.give(file, "sales", overwrite=True)
    assert bundle.read(file.read_bytes()).manifest.version == VERSION


def test_what_was_given_away_is_exported_again_only_on_purpose(a: Place, b: Place, tmp_path: Path) -> None:
    pair(a.vault, "sales")
    lost = a.give(tmp_path / "lost.age", "sales")
    with pytest.raises(GivenAwayError, match="given away") as caught:
        a.give(tmp_path / "2.age", "sales")
    assert "--again" in caught.value.hint
    again = a.give(tmp_path / "2.age", "sales", again=True)
    with pytest.raises(CredentialError, match="older"):
        a.take(lost)
    assert a.take(again)["sales"].outcome is Outcome.BACK


# -- what is not imported --------------------------------------------------------------------------------------------


def refused(where: Place, file: Path, match: str, **names: str) -> None:
    """It is refused, a dry run says why, and nothing at all is changed."""
    before = tree(where.root)
    with pytest.raises((BundleError, CredentialError, HeldError), match=match) as caught:
        where.take(file, **names)
    assert caught.value.hint
    assert NUMBER not in str(caught.value)
    assert tree(where.root) == before
    try:
        told = where.take(file, dry_run=True, **names)
    except (BundleError, CredentialError, HeldError):
        pass
    else:
        assert any(one.outcome is Outcome.REFUSED and one.problem and one.hint for one in told.values())
    assert tree(where.root) == before


def test_a_bundle_is_imported_once(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    b.take(a.give(file, "sales"))
    refused(b, file, "imported here already: on 2026-01-01 00:00 UTC, as sales")
    refused(b, file, "imported here already", sales="other")
    b.vault.retire("sales", keep=False)
    refused(b, file, "imported here already")


@pytest.mark.parametrize("before", [_unlink, _archive, _empty, lambda where: pair(where.vault, "sales", OTHER)])
def test_a_name_that_was_linked_is_not_free(a: Place, b: Place, file: Path, before: Callable[[Place], object]) -> None:
    before(b)
    pair(a.vault, "sales")
    a.give(file, "sales")
    refused(b, file, "linked here|linked as")


def test_an_account_has_one_session(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    pair(b.vault, "ventas", NUMBER)
    refused(b, file, "linked as 'ventas' here already")
    b.vault.retire("ventas", keep=False)
    refused(b, file, "linked as 'ventas' here already")


def test_an_account_has_one_session_whatever_the_namespace(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    there = Vault(b.vault.layout, "branch", Clock())
    pair(there, "sales", NUMBER)
    refused(b, file, "linked as 'sales' here already")


def test_an_account_whose_link_was_not_noted_counts(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    store(b.vault.prepare_pairing("ventas").directory / "creds.db", NUMBER)
    refused(b, file, "linked as 'ventas' here already")
    refused(b, file, "linked under that name just now|linked as", sales="ventas")


def test_an_account_that_was_unlinked_may_come(a: Place, b: Place, file: Path) -> None:
    _unlink(b)
    pair(a.vault, "desk")
    a.give(file, "desk")
    assert b.take(file)["desk"].outcome is Outcome.NEW


def test_two_sessions_of_one_account_do_not_come(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    pair(a.vault, "desk")
    a.give(file, "sales", "desk")
    refused(b, file, "same account")


def test_old_keys_do_not_come_back(a: Place, b: Place, tmp_path: Path) -> None:
    pair(a.vault, "sales")
    first = a.give(tmp_path / "1.age", "sales")
    b.take(first)
    used(b, "sales", "at_b")
    a.take(b.give(tmp_path / "2.age", "sales"))
    used(a, "sales", "at_a")
    a.give(tmp_path / "3.age", "sales")
    refused(a, first, "older than those that left here")
    refused(a, first, "older than those that left here", sales="desk")
    refused(b, first, "imported here already")
    (b.root / "imported" / f"{bundle.read(first.read_bytes()).manifest.bundle}.json").unlink()
    refused(b, first, "older than those that left here")


def test_another_account_does_not_come_in_place_of_what_was_given_away(a: Place, b: Place, tmp_path: Path) -> None:
    pair(a.vault, "sales")
    a.give(tmp_path / "1.age", "sales")
    pair(b.vault, "sales", OTHER)
    b.give(tmp_path / "2.age", "sales")
    refused(a, tmp_path / "2.age", "another account was given away")


def test_nothing_is_moved_under_a_client(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    folder = b.vault.prepare_pairing("sales").directory
    with FileLock(folder / "lock"):
        refused(b, file, "a client runs under that name")


def test_one_command_at_a_time(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    with scratch(a.vault.layout), pytest.raises(HeldError, match="another command"):
        a.give(file, "sales")
    a.give(file, "sales")
    with scratch(b.vault.layout), pytest.raises(HeldError, match="another command"):
        b.take(file)
    b.take(file)


def test_a_link_in_place_of_the_folder_they_pass_through_is_refused(
    b: Place, a: Place, file: Path, tmp_path: Path
) -> None:
    pair(a.vault, "sales")
    a.give(file, "sales")
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "kept").touch()
    (b.root / "transfer").symlink_to(tmp_path / "stranger")
    with pytest.raises(StateDirectoryError, match="symbolic link"):
        b.take(file)
    assert (tmp_path / "stranger" / "kept").exists()


def test_what_was_parked_here_stays_parked(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    b.vault.update("sales", parked=True)
    assert b.take(a.give(file, "sales"))["sales"].parked
    assert b.vault.find("sales").record.parked


def test_it_rests_until_the_file_has_it(a: Place, b: Place, file: Path) -> None:
    """A daemon that starts before the file has the session must not take it for one that left the file."""
    pair(a.vault, "sales")
    b.take(a.give(file, "sales"))
    assert b.vault.find("sales").record.retired_at is not None
    b.vault.prepare_restore("sales")
    assert b.vault.find("sales").record.retired_at is None


def test_a_dry_run_says_it_all_and_changes_nothing(a: Place, b: Place, file: Path) -> None:
    pair(a.vault, "sales")
    pair(a.vault, "desk", OTHER)
    a.give(file, "sales", "desk")
    pair(b.vault, "desk", "34600000003")
    before = tree(b.root)
    told = b.take(file, dry_run=True)
    assert (told["sales"].outcome, told["desk"].outcome) == (Outcome.NEW, Outcome.REFUSED)
    assert tree(b.root) == before


# -- databases that lie ----------------------------------------------------------------------------------------------


def _database(path: Path, *statements: str, users: tuple[str, ...] = (NUMBER,)) -> bytes:
    store(path, *users)
    for statement in ("PRAGMA journal_mode=DELETE", *statements):
        run_sql(path, statement)
    return path.read_bytes()


def _claiming(data: bytes, path: Path, number: str = NUMBER) -> bytes:
    said = manifest([session("sales", data, account=account_hash(number, b"a" * 16))])
    file = archive({"manifest.json": msgspec.json.encode(said), "0.db": data})
    path.write_bytes(file)
    return file


@pytest.mark.parametrize(
    ("statements", "match"),
    [
        (["CREATE VIEW v AS SELECT 1"], "holds a view"),
        (["CREATE TRIGGER t AFTER INSERT ON whatsmeow_device BEGIN SELECT 1; END"], "holds a trigger"),
        (["CREATE VIRTUAL TABLE f USING fts5(x)"], "holds a virtual table"),
        (["DELETE FROM whatsmeow_device"], "no device"),
        (["DROP TABLE whatsmeow_device"], "is no credential"),
        (["INSERT INTO whatsmeow_device VALUES ('2:2@s.whatsapp.net', x'00')"], "2 devices"),
        (["UPDATE whatsmeow_device SET jid = '1:1@s.whatsapp.net'"], "another account than the manifest says"),
    ],
)
def test_a_database_is_looked_into(b: Place, file: Path, tmp_path: Path, statements: list[str], match: str) -> None:
    _claiming(_database(tmp_path / "made.db", *statements), file)
    refused(b, file, match)


def test_a_sound_one_of_another_maker_is_taken(b: Place, file: Path, tmp_path: Path) -> None:
    _claiming(_database(tmp_path / "made.db"), file)
    assert b.take(file)["sales"].outcome is Outcome.NEW


def test_no_file_is_made_outside_of_the_state_directory(b: Place, file: Path, tmp_path: Path) -> None:
    file.write_bytes(bundled(b"no database"))
    before = tree(tmp_path)
    with pytest.raises(BundleError, match="not an SQLite database"):
        b.take(file)
    assert tree(tmp_path) == before
