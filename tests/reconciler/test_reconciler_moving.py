"""Credentials that another command gives away or brings in, beside a daemon that runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Fleet

from wakit.control.schemas import PairRequest
from wakit.core.declaration import RetirePolicy, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import ControlError
from wakit.vault import Vault, bundle, giving, taking
from wakit.vault.layout import open_layout

A, B = SessionSpec("a"), SessionSpec("b")


@pytest.fixture
def elsewhere(fleet: Fleet, tmp_path: Path) -> Vault:
    return Vault(open_layout(tmp_path / "elsewhere"), "shared", fleet.now)


def move(source: Vault, target: Vault, *names: str) -> None:
    """What ``wakit export`` and ``wakit import`` do, but for telling the daemon."""
    take(target, give(source, *names))


def give(source: Vault, *names: str) -> Path:
    file = source.layout.root / "moved.age"
    giving.give(source, names, file, lambda data: data, overwrite=True)
    return file


def take(target: Vault, file: Path) -> None:
    taking.take(target, bundle.read(file.read_bytes()), names={}, dry_run=False)


def tell(fleet: Fleet) -> None:
    fleet.run(fleet.desk.apply(confirm=False))
    fleet.advance(3)


def away(fleet: Fleet, elsewhere: Vault, *names: str) -> None:
    """Sessions that ran here and were moved away; the daemon was told."""
    fleet.paired(*names)
    for name in names:
        fleet.run(fleet.desk.park(name))
    fleet.advance(2)
    move(fleet.vault, elsewhere, *names)
    tell(fleet)


def test_what_was_given_away_says_so_and_is_not_started(fleet: Fleet, elsewhere: Vault) -> None:
    away(fleet, elsewhere, "a", "b")
    for name in ("a", "b"):
        assert fleet.tracked(name).credential is Credential.GIVEN_AWAY
        assert (fleet.state(name), fleet.info(name).needs_person) == (State.FAILED, True)
        assert "given away on" in fleet.info(name).reason
        assert "`wakit import`" in fleet.info(name).reason
        assert not fleet.tracked(name).parked, "it was parked to be exported"
    launched = len(fleet.workers.launches)
    fleet.advance(3600)
    fleet.restart()
    fleet.advance(3600)
    assert fleet.state("a") is State.FAILED
    reason = fleet.info("a").reason
    assert "given away on" in reason
    for helps in ("`wakit import`", "remove it from the file", "`wakit pair a`"):
        assert helps in reason
    assert "wakit restore" not in reason, "which refuses it"
    assert len(fleet.workers.launches) == 0 < launched


def test_it_comes_back_by_itself(fleet: Fleet, elsewhere: Vault) -> None:
    away(fleet, elsewhere, "a")
    elsewhere.prepare_restore("a")
    move(elsewhere, fleet.vault, "a")
    tell(fleet)
    assert fleet.state("a") is State.CONNECTED
    assert any(event.code == "import" and event.session == "a" for event in fleet.ledger.records)


def test_a_daemon_that_was_not_told_finds_out_at_the_start(fleet: Fleet, elsewhere: Vault) -> None:
    fleet.paired("a")
    fleet.run(fleet.desk.park("a"))
    fleet.advance(2)
    file = give(fleet.vault, "a")
    fleet.run(fleet.desk.resume("a"))
    fleet.advance(2)
    assert (fleet.tracked("a").credential, fleet.state("a")) == (Credential.GIVEN_AWAY, State.FAILED)
    assert "wakit import" in fleet.info("a").reason
    with pytest.raises(ControlError, match="given away on") as caught:
        fleet.run(fleet.desk.restart("a"))
    assert "wakit import" in caught.value.hint
    assert "wakit pair a" in caught.value.hint
    take(fleet.vault, file)
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED


def test_a_person_may_link_it_anew(fleet: Fleet, elsewhere: Vault) -> None:
    away(fleet, elsewhere, "a")
    fleet.workers.asked.add("a")
    fleet.run(fleet.desk.pair("a", PairRequest()))
    fleet.advance(2)
    assert fleet.state("a") is State.PAIRING
    fleet.advance(200)
    assert fleet.tracked("a").credential is Credential.GIVEN_AWAY, "nobody scanned"
    fleet.workers.asked.add("a")
    fleet.run(fleet.desk.pair("a", PairRequest()))
    fleet.advance(2)
    assert fleet.workers.scan("a", "34655509999")
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    fleet.restart()
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED


def test_one_that_nobody_scanned_is_restored_once_its_credential_came(fleet: Fleet, elsewhere: Vault) -> None:
    """The file had it first: it showed a QR, and waits for a person."""
    away(fleet, elsewhere, "a")
    other = Fleet(fleet.root / "other")
    try:
        other.declare(A)
        other.advance(300)
        assert other.tracked("a").waits_for_person
        elsewhere.prepare_restore("a")
        move(elsewhere, other.vault, "a")
        other.advance(60)
        assert other.state("a") is State.DECLARED, "nobody told it"
        tell(other)
        assert other.state("a") is State.CONNECTED
    finally:
        other.close()


def test_one_that_is_not_in_the_file_rests_until_it_is(fleet: Fleet, elsewhere: Vault) -> None:
    away(fleet, elsewhere, "a")
    other = Fleet(fleet.root / "other")
    try:
        other.declare(B, retire=RetirePolicy.LOGOUT)
        other.advance(300)
        move(elsewhere, other.vault, "a")
        tell(other)
        other.restart()
        other.advance(60)
        assert other.vault.find("a").credential is Credential.PRESENT, "nobody retired it"
        other.declare(A, B)
        other.advance(3)
        assert other.state("a") is State.CONNECTED
        assert other.launches("a")[-1].pairing is None
    finally:
        other.close()


def test_what_was_given_away_leaves_the_file_in_peace(fleet: Fleet, elsewhere: Vault) -> None:
    away(fleet, elsewhere, "a", "b")
    fleet.declare(SessionSpec("c"))  # both leave at once, which would be held if anything were lost by it
    fleet.advance(3)
    assert fleet.state("a") is State.RETIRED
    fleet.declare(A, SessionSpec("c"))
    fleet.advance(3)
    assert not fleet.launches("a")[1:], "it is not taken for a new one"
    assert "given away" in fleet.info("a").reason
    elsewhere.prepare_restore("a")
    elsewhere.prepare_restore("b")
    move(elsewhere, fleet.vault, "a", "b")
    tell(fleet)
    assert fleet.state("a") is State.CONNECTED


def test_it_keeps_its_memory_under_another_name(fleet: Fleet, elsewhere: Vault) -> None:
    away(fleet, elsewhere, "a")
    fleet.declare(replace(B, renamed_from="a"))
    fleet.advance(3)
    assert fleet.tracked("b").credential is Credential.GIVEN_AWAY
    assert not fleet.launches("b")


def test_looking_again_starts_nothing_that_waits_for_a_person(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.stop()
    (fleet.vault.folder("a") / "creds.db").write_bytes(b"SQLite format 3\0 and then nothing that is right")
    fleet.restart()
    fleet.advance(3)
    assert fleet.tracked("a").credential is Credential.DAMAGED
    begun = fleet.begun["Restore"]
    tell(fleet)
    assert (fleet.tracked("a").credential, fleet.state("b")) == (Credential.DAMAGED, State.CONNECTED)
    assert fleet.begun["Restore"] == begun
