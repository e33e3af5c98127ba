"""A write-ahead log that is gone after a crash: put back where it is held, told where that is certain, not guessed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import killed_close
import pytest
from credentials import Clock, pair, run_sql
from support.killing import CALLS, kill_everywhere
from support.logins import logins
from support.whatsapp import fresh_number, loopback_whatsapp

from wakit.errors import CredentialError
from wakit.redact import account_hash
from wakit.vault import StartTicket, Vault, write_ahead
from wakit.vault.layout import Layout
from wakit.vault.manifest import Why
from wakit.vault.problems import Problem

LOG, INDEX, HELD = "creds.db-wal", "creds.db-shm", "held.wal"


def crashed(vault: Vault) -> Path:
    """A session whose client was killed, with a row that is in the log only."""
    folder = pair(vault, "a")
    vault.prepare_restore("a")
    killed_while_writing(folder)
    return folder


def killed_while_writing(folder: Path) -> None:
    """Write a row that stays in the log, into the very file that is held."""
    aside = {name: folder / f"kept-{name}" for name in ("creds.db", INDEX)}
    with closing(sqlite3.connect(folder / "creds.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE whatsmeow_newest (x)")
        for name, path in aside.items():
            shutil.copy2(folder / name, path)
        os.link(folder / LOG, folder / "kept-log")
    for name, path in aside.items():
        path.rename(folder / name)
    (folder / "kept-log").rename(folder / LOG)


def has_newest(folder: Path) -> bool:
    with closing(sqlite3.connect(folder / "creds.db")) as connection:
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'whatsmeow_newest'").fetchall())


def remove(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink()


def closed_in_order(folder: Path) -> None:
    """Somebody looks into the database by hand."""
    past = datetime.now(UTC).timestamp() - 5
    os.utime(folder / LOG, (past, past))  # the client was killed some time ago
    run_sql(folder / "creds.db", "SELECT 1 FROM whatsmeow_device")


def test_a_start_holds_the_log_that_is_about_to_be_written(vault: Vault) -> None:
    folder = crashed(vault)
    assert (folder / HELD).samefile(folder / LOG)
    assert (folder / LOG).stat().st_mode & 0o777 == 0o600
    ticket = vault.prepare_restore("a")
    assert ticket.recovered is None
    assert has_newest(folder)


def test_a_stop_in_order_lets_it_go(vault: Vault) -> None:
    folder = crashed(vault)
    vault.mark_stopped("a")
    assert not (folder / HELD).exists()
    assert vault.prepare_restore("a").recovered is None


def test_a_first_start_is_held_from_the_moment_it_is_linked(vault: Vault) -> None:
    folder = vault.prepare_pairing("a").directory
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / "creds.db", isolation_level=None)) as client:
        client.execute("PRAGMA journal_mode=WAL")
        client.execute("CREATE TABLE whatsmeow_device (jid TEXT PRIMARY KEY, noise_key bytea)")
        vault.mark_paired("a", "0" * 16)
        assert (folder / HELD).samefile(folder / LOG)


@pytest.mark.parametrize("gone", [(LOG,), (LOG, INDEX)], ids=["the log", "the log and its index"])
def test_a_removed_log_comes_back(vault: Vault, gone: tuple[str, ...]) -> None:
    folder = crashed(vault)
    remove(folder, *gone)
    ticket = vault.prepare_restore("a")
    recovery = told(ticket)
    assert recovery.lossless
    assert recovery.words(datetime.now(UTC)).endswith("it is in its place again; nothing is lost")
    assert has_newest(folder)
    assert ticket.epoch == 3
    assert vault.prepare_restore("a").recovered is None, "once"


def test_so_it_does_for_an_export(vault: Vault) -> None:
    folder = crashed(vault)
    remove(folder, LOG, INDEX)
    vault.examine("a")
    assert has_newest(folder)


def test_looking_into_what_is_left_does_not_cost_the_log(vault: Vault) -> None:
    folder = crashed(vault)
    remove(folder, LOG, INDEX)
    vault.backup("a", Why.MANUAL)  # leaves an empty log and an index beside a database that nobody has open
    assert (folder / LOG).stat().st_size == 0
    assert told(vault.prepare_restore("a")).lossless
    assert has_newest(folder)


def test_an_index_without_a_log_is_told(vault: Vault) -> None:
    folder = crashed(vault)
    remove(folder, LOG, HELD)
    for _ in range(2):
        with pytest.raises(CredentialError, match=r"write-ahead log .* was removed"):
            vault.examine("a")  # an export, say; looking does not make it look sound
    recovery = told(vault.prepare_restore("a"))
    assert not recovery.lossless
    assert recovery.backup == ""
    words = recovery.words(datetime.now(UTC))
    assert "the link is intact" in words
    assert words.endswith("no backup is newer, so it goes on with that")
    assert not has_newest(folder)
    assert vault.prepare_restore("a").recovered is None, "once"


def written_at(folder: Path, moment: datetime) -> None:
    os.utime(folder / "creds.db", (moment.timestamp(), moment.timestamp()))


@pytest.mark.parametrize(
    ("before", "put_back"), [(timedelta(hours=1), True), (timedelta(seconds=1), False), (timedelta(hours=-1), False)]
)
def test_a_backup_takes_its_place_only_if_it_has_more(vault: Vault, before: timedelta, put_back: bool) -> None:
    folder = crashed(vault)
    taken = vault.backup("a", Why.SCHEDULE)
    assert taken is not None
    assert taken.backup.manifest is not None
    remove(folder, LOG, HELD)
    (folder / INDEX).touch()
    written_at(folder, taken.backup.manifest.created_at - before)
    recovery = told(vault.prepare_restore("a"))
    assert recovery.backup == (taken.backup.name if put_back else "")
    assert has_newest(folder) is put_back


def test_a_backup_of_an_earlier_start_never_takes_its_place(vault: Vault) -> None:
    pair(vault, "a")
    vault.prepare_restore("a")
    vault.backup("a", Why.SCHEDULE)
    vault.prepare_restore("a")
    folder = vault.folder("a")
    killed_while_writing(folder)
    remove(folder, LOG, HELD)
    written_at(folder, datetime(2020, 1, 1, tzinfo=UTC))
    assert told(vault.prepare_restore("a")).backup == ""


@pytest.mark.parametrize("gone", [(), (HELD,)], ids=["held", "not held"])
def test_a_close_in_order_is_no_damage(vault: Vault, gone: tuple[str, ...]) -> None:
    folder = crashed(vault)
    closed_in_order(folder)
    remove(folder, *gone)
    assert vault.prepare_restore("a").recovered is None
    assert has_newest(folder)


def test_what_was_written_after_a_close_in_order_stays(vault: Vault) -> None:
    folder = crashed(vault)
    closed_in_order(folder)
    run_sql(folder / "creds.db", "DROP TABLE whatsmeow_newest")
    assert vault.prepare_restore("a").recovered is None
    assert not has_newest(folder), "no older page came back"


def test_a_close_at_the_very_moment_of_the_crash_is_no_damage(vault: Vault) -> None:
    folder = crashed(vault)
    run_sql(folder / "creds.db", "SELECT 1 FROM whatsmeow_device")
    written = (folder / "creds.db").stat().st_mtime_ns
    os.utime(folder / HELD, ns=(written, written))
    assert vault.prepare_restore("a").recovered is None
    assert has_newest(folder)


@pytest.mark.parametrize("spoil", [lambda held: held.unlink(), lambda held: held.write_bytes(b"")])
def test_what_nobody_can_know_is_not_guessed(vault: Vault, spoil: Callable[[Path], object]) -> None:
    folder = crashed(vault)
    remove(folder, LOG, INDEX)
    spoil(folder / HELD)
    assert vault.prepare_restore("a").recovered is None


def test_a_log_in_which_nothing_was_is_not_missed(vault: Vault) -> None:
    folder = pair(vault, "a")
    vault.prepare_restore("a")
    (folder / INDEX).touch()
    remove(folder, LOG)
    assert vault.prepare_restore("a").recovered is None


def test_a_link_in_its_place_is_not_followed(vault: Vault, tmp_path: Path) -> None:
    folder = crashed(vault)
    (folder / LOG).rename(tmp_path / "elsewhere")
    remove(folder, INDEX, HELD)
    (folder / HELD).symlink_to(tmp_path / "elsewhere")
    assert not write_ahead.bring_back(folder / "creds.db")
    assert vault.prepare_restore("a").recovered is None


def test_a_disk_without_links_starts_all_the_same(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    folder = pair(vault, "a")
    assert vault.prepare_restore("a").epoch == 2
    assert not (folder / HELD).exists()


def told(ticket: StartTicket):
    assert ticket.recovered is not None
    assert ticket.recovered.problem is Problem.LOG_MISSING
    return ticket.recovered


@pytest.mark.long
@pytest.mark.skipif(not CALLS, reason="the numbers of this machine's system calls are not known")
@pytest.mark.parametrize("operation", killed_close.OPERATIONS)
def test_no_killed_close_looks_like_a_removed_log(operation: str, layout: Layout, tmp_path: Path) -> None:
    """Whoever closes a database and is killed leaves a log without an index, never the other way round."""
    folder = crashed(Vault(layout, "shared", Clock()))
    points, calls = kill_everywhere(killed_close.__file__, operation, folder, tmp_path / "killed")
    names = [Path(path).name for call, path in calls if call == "unlink"]
    assert names.index(INDEX) < names.index(LOG)
    for point in points:
        assert not write_ahead.removed(point.folder / "creds.db"), point.where


@pytest.mark.long
def test_what_a_killed_client_left_comes_back_and_connects(layout: Layout, tmp_path: Path) -> None:
    vault, number = Vault(layout, "shared", lambda: datetime.now(UTC)), fresh_number()
    with loopback_whatsapp() as whatsapp, logins(whatsapp, tmp_path / "log") as client:
        folder = vault.prepare_pairing("a").directory
        client.pair(number, folder / "creds.db")
        vault.mark_paired("a", account_hash(number[1:], vault.key))
        assert (folder / HELD).samefile(folder / LOG)
        assert (folder / INDEX).exists(), "the library closes nothing"
        remove(folder, LOG, INDEX)
        ticket = vault.prepare_restore("a")
        assert told(ticket).lossless, "what it wrote when it was linked was in the log"
        client.crash(number, folder / "creds.db")
        assert (folder / HELD).samefile(folder / LOG), "the library writes into the log that is held"
        remove(folder, LOG)
        vault.prepare_restore("a")
        client.log_in(number, folder / "creds.db", "after its log was removed")
