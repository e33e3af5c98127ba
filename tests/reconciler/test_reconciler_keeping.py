"""Backups in time, and credentials that were damaged while nobody used them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import NUMBERS, Fleet, write_something

from wakit.core.declaration import RetirePolicy, SessionSpec, VaultPolicy
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import ControlError, CredentialError, WakitError
from wakit.redact import Secret
from wakit.vault.backups import Taken
from wakit.vault.manifest import Why
from wakit.whatsapp.port import Connected, ConnectionLost, LoggedOut

A, B = SessionSpec("a"), SessionSpec("b")


@contextmanager
def keeping(fleet: Fleet) -> Iterator[None]:
    """The keeper at work beside the loop, as in the daemon."""
    task = fleet.loop.create_task(fleet.executor.keeper.run())
    try:
        yield
    finally:
        task.cancel()
        fleet.run(asyncio.gather(task, return_exceptions=True))


def whys(fleet: Fleet, name: str) -> list[str]:
    return [str((record.detail or {})["why"]) for record in fleet.ledger.told("backup", name)]


def database(fleet: Fleet, name: str) -> Path:
    return fleet.layout.session(name, "shared") / "creds.db"


def full(_name: str, _why: Why) -> None:
    raise WakitError("There is no room")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_linked_is_backed_up_once_it_logged_in(fleet: Fleet) -> None:
    with keeping(fleet):
        fleet.paired("a")
        fleet.advance(5)
        assert whys(fleet, "a") == ["paired"]
        for _ in range(3):
            fleet.workers.tell("a", ConnectionLost(why="a lost connection"))
            fleet.workers.tell("a", Connected(account=Secret(NUMBERS["a"])))
            fleet.advance(5)
    assert whys(fleet, "a") == ["paired"], "the library's own reconnects change nothing"
    (backup,) = fleet.run(fleet.desk.backups("a")).backups
    assert (backup.why, backup.problem) == ("paired", "")


def stopped_with_changes(fleet: Fleet) -> None:
    """A fleet whose credentials have changed since their backups, and whose next daemon has not looked yet."""
    fleet.paired("a", "b", vault=VaultPolicy(interval=3600.0))
    with keeping(fleet):
        fleet.advance(10)
    for name in "ab":
        fleet.workers.write(name)
    fleet.restart()


def test_while_the_fleet_starts_nothing_is_backed_up_but_what_has_no_copy_yet(fleet: Fleet) -> None:
    stopped_with_changes(fleet)
    fleet.workers.silent = True
    with keeping(fleet):
        fleet.advance(5)
        fleet.workers.tell("b", Connected())
        fleet.workers.silent = False
        fleet.advance(25)
        assert fleet.state("a") is State.STARTING
        assert [whys(fleet, name) for name in "ab"] == [["paired"], ["paired"]]
        fleet.declare(A, B, SessionSpec("c"), vault=VaultPolicy(interval=3600.0))
        fleet.advance(1)
        assert fleet.workers.scan("c", NUMBERS["c"])
        fleet.advance(5)
        assert [whys(fleet, name) for name in "abc"] == [["paired"], ["paired"], ["paired"]]
        fleet.workers.tell("a", Connected())
        fleet.advance(5)
    assert [whys(fleet, name) for name in "ab"] == [["paired", "connected"], ["paired", "connected"]]


def test_what_is_linked_anew_while_it_waits_for_the_start_is_backed_up_at_once(fleet: Fleet) -> None:
    stopped_with_changes(fleet)
    fleet.workers.silent = True
    with keeping(fleet):
        fleet.advance(5)
        fleet.workers.tell("b", Connected())
        fleet.advance(5)
        assert whys(fleet, "b") == ["paired"]
        fleet.executor.keeper.ask(fleet.tracked("b"), Why.PAIRED)
        fleet.executor.keeper.ask(fleet.tracked("b"), Why.CONNECTED)
        fleet.advance(5)
    assert whys(fleet, "b") == ["paired", "paired"]


def looks(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have the keeper note when it looks for what is due."""
    at: list[float] = []
    due = fleet.executor.keeper._due

    def noted() -> list[tuple[str, Why]]:
        at.append(fleet.loop.time())
        return due()

    monkeypatch.setattr(fleet.executor.keeper, "_due", noted)
    return at


@pytest.mark.parametrize("failing", [False, True])
def test_who_is_not_kept_any_more_wakes_nobody(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, failing: bool) -> None:
    fleet.paired("a", "b", "c", vault=VaultPolicy(interval=3600.0))
    with keeping(fleet):
        with monkeypatch.context() as disk:
            if failing:
                disk.setattr(fleet.vault, "backup", full)
            fleet.advance(30)
            fleet.declare(A, SessionSpec("c"), vault=VaultPolicy(interval=3600.0))
            fleet.workers.tell("c", LoggedOut(code="401"))
            fleet.advance(1)
        assert [fleet.state(name) for name in "bc"] == [State.RETIRED, State.LOGGED_OUT]
        fleet.advance(7200)
        looked = looks(fleet, monkeypatch)
        fleet.advance(3600)
    assert len(looked) < 20, "about every ten minutes, and for a"


def test_who_pauses_after_a_failure_wakes_nobody_meanwhile(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.paired("a", vault=VaultPolicy(interval=3600.0))
    with keeping(fleet):
        fleet.advance(30)
        monkeypatch.setattr(fleet.vault, "backup", full)
        fleet.advance(6 * 3600)
        looked = looks(fleet, monkeypatch)
        fleet.advance(3600)
    assert len(looked) < 20, "about every ten minutes, and for each try"


def test_a_start_that_does_not_end_puts_backups_off_for_minutes_only(fleet: Fleet) -> None:
    stopped_with_changes(fleet)
    fleet.workers.launch_takes = 600.0  # it lives, and speaks
    with keeping(fleet):
        fleet.advance(240)
        assert fleet.state("b") is State.CONNECTED
        assert whys(fleet, "b") == ["paired"]
        fleet.advance(120)
    assert whys(fleet, "b") == ["paired", "connected"]


def test_every_interval_a_changed_credential_is_backed_up(fleet: Fleet) -> None:
    fleet.paired("a", "b", vault=VaultPolicy(interval=3600.0))
    with keeping(fleet):
        fleet.advance(10)
        assert len(fleet.ledger.told("backup")) == 2
        fleet.advance(3 * 3600 + 60)
        assert len(fleet.ledger.told("backup")) == 2, "nothing had changed"
        fleet.workers.write("a")
        fleet.advance(3600)
    assert whys(fleet, "a")[-1] == Why.SCHEDULE
    assert len(fleet.ledger.told("backup")) == 3


def test_a_daemon_that_finds_an_old_backup_takes_a_new_one(fleet: Fleet) -> None:
    fleet.paired("a", "b", vault=VaultPolicy(interval=3600.0))
    with keeping(fleet):
        fleet.advance(10)
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    write_something(database(fleet, "a"))
    fleet.restart()
    fleet.advance(7200)
    with keeping(fleet):
        fleet.advance(10)
    assert whys(fleet, "a") == ["paired", "schedule"]


@pytest.mark.parametrize("spoil", [lambda db: db.write_bytes(b""), lambda db: db.unlink(), flip])
def test_a_damaged_credential_is_replaced_by_its_backup_and_nobody_is_asked(fleet: Fleet, spoil: object) -> None:
    fleet.paired("a", "b")
    with keeping(fleet):
        fleet.advance(5)
    fleet.stop()
    fleet.run(fleet.executor.keeper.finish(4.0))
    spoil(database(fleet, "a"))  # type: ignore[operator]
    fleet.restart(kill=True)
    with keeping(fleet):
        fleet.advance(60)
    assert {fleet.state(name) for name in "ab"} == {State.CONNECTED}
    (recovery,) = fleet.ledger.told("recovery")
    assert recovery.session == "a"
    assert recovery.code in ("empty", "missing", "changed", "damaged")
    assert "is in use now: nothing is lost" in recovery.reason
    assert len(fleet.ledger.told("pair_started", "a")) == 1
    kept = list(database(fleet, "a").parent.glob("evidence/*/creds.db"))
    assert len(kept) == (recovery.code != "missing"), "what was damaged is kept"


def test_without_a_backup_a_person_is_told(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.stop()
    database(fleet, "a").write_bytes(b"")
    fleet.restart(kill=True)
    fleet.advance(60)
    assert fleet.state("a") is State.FAILED
    assert fleet.info("a").needs_person
    assert not fleet.ledger.told("recovery")


def test_a_backup_that_fails_is_said_once_and_tried_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def full(name: str, why: Why) -> None:
        tries.append(why)
        raise WakitError("There is no room", why="3.0 MB are missing", hint="free some")

    monkeypatch.setattr(fleet.vault, "backup", full)
    fleet.paired("a", vault=VaultPolicy(interval=3600.0))
    with keeping(fleet):
        fleet.advance(20 * 3600)
        told = [record for record in fleet.ledger.told("warning", "a") if record.code == "no_backup"]
        assert len(told) == 1
        assert "3.0 MB are missing" in told[0].reason
        assert 20 < len(tries) < 200, "about once an hour"
        assert fleet.state("a") is State.CONNECTED
        monkeypatch.undo()
        monkeypatch.setattr("os.fsync", lambda _descriptor: None)
        fleet.advance(2 * 3600)
    assert fleet.ledger.told("backup", "a")


def test_the_first_copy_is_tried_again_for_what_it_is(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    backup, rooms = fleet.vault.backup, iter([False, False])

    def full_at_first(name: str, why: Why) -> Taken | None:
        if not next(rooms, True):
            raise WakitError("There is no room", why="3.0 MB are missing", hint="free some")
        return backup(name, why)

    monkeypatch.setattr(fleet.vault, "backup", full_at_first)
    fleet.paired("a", vault=VaultPolicy(interval=86400.0))
    with keeping(fleet):
        fleet.advance(600)
        assert whys(fleet, "a") == ["paired"]
        fleet.advance(600)
        assert whys(fleet, "a") == ["paired"]


def test_the_last_backups_of_an_ending_daemon_are_of_what_changed(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    with keeping(fleet):
        fleet.advance(5)
    fleet.workers.write("a")
    fleet.stop()
    fleet.run(fleet.executor.keeper.finish(4.0))
    assert [(record.session, (record.detail or {})["why"]) for record in fleet.ledger.told("backup")][2:] == [
        ("a", "shutdown")
    ]


def test_a_person_puts_a_backup_back(fleet: Fleet) -> None:
    fleet.paired("a")
    taken = fleet.run(fleet.desk.backup("a"))
    assert taken.new
    assert not fleet.run(fleet.desk.backup("a")).new
    fleet.workers.write("a")
    with pytest.raises(CredentialError, match="no backup of that name"):
        fleet.run(fleet.desk.restore("a", "20200101T000000000000Z-00000000"))
    assert fleet.state("a") is State.CONNECTED, "a mistake costs nothing"
    before = len(fleet.launches("a"))
    fleet.run(fleet.desk.restore("a", taken.backup.id))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.launches("a")) == before + 1
    (recovery,) = fleet.ledger.told("recovery", "a")
    assert "a person asked for it" in recovery.reason
    assert taken.backup.id in recovery.reason


def test_what_was_unlinked_gets_no_backup_back(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.run(fleet.desk.backup("a"))
    fleet.workers.tell("a", LoggedOut(code="401"))
    fleet.advance(1)
    with pytest.raises(ControlError, match="it was unlinked"):
        fleet.run(fleet.desk.restore("a", None))
    with pytest.raises(ControlError, match="no credential in use"):
        fleet.run(fleet.desk.backup("a"))


def test_before_it_is_retired_a_session_is_backed_up(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare(A)
    fleet.advance(1)
    assert whys(fleet, "b") == ["before_retire"]
    assert fleet.run(fleet.desk.backups("a")).backups == []


@pytest.mark.parametrize("confirmed", [True, False])
def test_what_does_not_run_is_logged_in_to_be_unlinked(fleet: Fleet, confirmed: bool) -> None:
    fleet.paired("a", "b", retire=RetirePolicy.LOGOUT)
    fleet.run(fleet.desk.park("b"))
    fleet.advance(1)
    assert fleet.workers.client("b") is None
    fleet.workers.can_log_out = confirmed
    fleet.declare(A, retire=RetirePolicy.LOGOUT)
    fleet.advance(5)
    assert fleet.workers.logouts == ["b"]
    assert fleet.state("b") is State.RETIRED
    assert fleet.workers.client("b") is None
    assert fleet.vault.find("b").credential is (Credential.UNLINKED if confirmed else Credential.ARCHIVED)


def test_what_cannot_log_in_is_archived_and_said_to_be_linked_still(fleet: Fleet) -> None:
    fleet.paired("a", "b", retire=RetirePolicy.LOGOUT)
    fleet.run(fleet.desk.park("b"))
    fleet.advance(1)
    fleet.workers.silent = True
    fleet.declare(A, retire=RetirePolicy.LOGOUT)
    fleet.advance(40)
    assert fleet.workers.logouts == []
    assert fleet.vault.find("b").credential is Credential.ARCHIVED
    (told,) = [record for record in fleet.ledger.told("warning", "b") if "unlink it on the phone" in record.reason]
    assert "was not logged in" in told.reason


def test_an_interval_of_an_older_backup_is_not_waited_for_twice(fleet: Fleet) -> None:
    fleet.paired("a", vault=VaultPolicy(interval=3600.0))
    with keeping(fleet):
        fleet.advance(10)
        first = fleet.run(fleet.desk.backups("a")).backups[0].created_at
        fleet.workers.write("a")
        fleet.advance(3700)
        newest = fleet.run(fleet.desk.backups("a")).backups[0].created_at
    assert first is not None
    assert newest is not None
    assert timedelta(hours=1) <= newest - first < timedelta(hours=1, minutes=2)
