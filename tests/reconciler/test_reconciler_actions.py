"""What the loop does with edits and failures, and what happens when two things happen at once."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import NUMBERS, Fleet
from filelock import FileLock

from wakit.control.schemas import PairRequest
from wakit.core.actions import Plan
from wakit.core.declaration import Endpoint, Pacing, Pairing, RetirePolicy, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.core.retry import AFTER_CRASH
from wakit.errors import CredentialUnreadableError, DeclarationError, Location, WorkerError
from wakit.redact import PhoneNumber, Secret
from wakit.whatsapp.port import Banned, Connected, LoggedOut, PairingExpired, Replaced

PROXY = Secret("socks5://user:hunter2@127.0.0.1:1080")
A, B, C = SessionSpec("a"), SessionSpec("b"), SessionSpec("c")


def kinds(fleet: Fleet) -> dict[str, int]:
    return dict(fleet.begun)


# -- edits -----------------------------------------------------------------------------------------------------------


def test_who_was_aboard_of_a_worker_that_one_could_not_leave_starts_anew_with_that_reason(fleet: Fleet) -> None:
    fleet.paired("a", "b", sessions_per_worker=2)
    fleet.restart()
    fleet.advance(3)
    fleet.workers.one_may_leave = False
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(5)
    # In the words of the one who ends it (wakit.runtime.staffing says them for both).
    assert [fleet.ledger.told("state", name)[-2].reason for name in "ab"] == ["starts anew: a person asked"] * 2


def test_a_start_says_why_it_is_one(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(5)
    fleet.declare(SessionSpec("a", device_name="other"))
    fleet.advance(5)
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    fleet.run(fleet.desk.resume("a"))
    fleet.advance(5)
    fleet.workers.tell("a", Replaced())
    fleet.advance(1)
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(5)
    assert [event.reason for event in fleet.ledger.told("state", "a") if event.state_to == "starting"][1:] == [
        "starts anew: a person asked",
        "starts anew: its declaration changed",
        "starts with its credential",
        "starts with its credential: a person asked",
    ]
    assert fleet.state("a") is State.CONNECTED


def test_a_session_lives_as_the_file_says(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare(A)
    fleet.advance(1)
    assert fleet.state("b") is State.RETIRED
    assert fleet.vault.find("b").credential is Credential.ARCHIVED
    fleet.declare(A, B)
    fleet.advance(2)
    assert fleet.state("b") is State.CONNECTED
    assert len(fleet.ledger.told("pair_started", "b")) == 1, "what was retired is revived, not paired"
    assert kinds(fleet) == {"Create": 2, "Retire": 1, "Revive": 1, "Restore": 1}
    words = " | ".join(record.reason for record in fleet.ledger.told("plan"))
    assert "retire b: no longer in the file; its credential is archived and can be revived" in words
    assert "revive b: declared again" in words


@pytest.mark.parametrize("policy", list(RetirePolicy))
def test_what_leaves_the_file_is_put_away_as_the_policy_says(fleet: Fleet, policy: RetirePolicy) -> None:
    fleet.paired("a", "b", retire=policy)
    fleet.declare(A, retire=policy)
    fleet.advance(1)
    assert fleet.state("b") is State.RETIRED
    assert fleet.workers.client("b") is None
    assert fleet.workers.logouts == (["b"] if policy is RetirePolicy.LOGOUT else [])
    fleet.declare(A, B, retire=policy)
    fleet.advance(2)
    if policy is RetirePolicy.LOGOUT:
        # What was linked once is not paired by itself, not even after it was unlinked on purpose.
        assert fleet.state("b") is State.DECLARED
        assert fleet.info("b").needs_person
        assert "wakit pair b" in fleet.info("b").reason
        fleet.workers.asked.add("b")
        fleet.run(fleet.desk.pair("b", PairRequest()))
        fleet.advance(1)
        assert fleet.state("b") is State.PAIRING
    else:
        assert fleet.state("b") is State.CONNECTED


def test_a_logout_that_fails_says_so_and_the_credential_is_archived(fleet: Fleet) -> None:
    fleet.paired("a", "b", retire=RetirePolicy.LOGOUT)
    fleet.workers.can_log_out = False
    fleet.declare(A, retire=RetirePolicy.LOGOUT)
    fleet.advance(1)
    assert fleet.vault.find("b").credential is Credential.ARCHIVED
    assert any("unlink it on the phone" in record.reason for record in fleet.ledger.told("warning", "b"))


@pytest.mark.parametrize("back", [True, False])
def test_who_was_unlinked_and_could_not_be_put_away_is_known_to_be_unlinked(fleet: Fleet, back: bool) -> None:
    """The library tells nobody of an end that it was asked for, so nothing else would ever say so."""
    fleet.paired("a", "b", retire=RetirePolicy.LOGOUT)
    fleet.workers.release_failures = [WorkerError("It did not let go")]
    fleet.declare(A, retire=RetirePolicy.LOGOUT)
    if back:
        fleet.declare(A, B, retire=RetirePolicy.LOGOUT)
    fleet.advance(0.2)
    assert fleet.state("b") is State.LOGGED_OUT
    assert fleet.tracked("b").credential is Credential.UNLINKED
    fleet.advance(60)
    assert fleet.workers.logouts == ["b"], "nobody is unlinked twice"
    assert fleet.workers.client("b") is None
    assert fleet.vault.find("b").credential is Credential.UNLINKED
    assert not any("still linked" in record.reason for record in fleet.ledger.told("warning"))
    if not back:
        assert fleet.state("b") is State.RETIRED
        return
    assert "`wakit pair b` links it again" in fleet.info("b").reason
    assert fleet.info("b").needs_person
    fleet.restart()
    fleet.advance(2)
    assert fleet.info("b").needs_person, "the next daemon knows it, too"


def test_a_session_that_is_declared_again_is_told_as_declared(fleet: Fleet) -> None:
    """It was never linked, so nothing is left of it but what the journal says last, which is no longer true."""
    fleet.declare(A, replace(B, enabled=False))
    fleet.advance(1)
    fleet.declare(A)
    fleet.advance(1)
    assert "b" not in fleet.roster.sessions
    fleet.declare(A, B, pacing=Pacing(pairings=1))
    fleet.advance(1)
    told = [(r.state_from, r.state_to) for r in fleet.ledger.told("state", "b")]
    assert told == [("declared", "parked"), ("parked", "retired"), ("retired", "declared")]


def test_a_rename_of_a_running_session_moves_it(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare(B, SessionSpec("c", renamed_from="a"))
    fleet.advance(2)
    assert fleet.state("c") is State.CONNECTED
    assert "a" not in fleet.roster.sessions  # nothing is left under the old name
    assert not list(fleet.desk.status().sessions[2:])
    assert not fleet.ledger.told("pair_started", "c")
    fleet.restart()
    fleet.advance(2)
    assert {n: fleet.state(n) for n in "bc"} == {"b": State.CONNECTED, "c": State.CONNECTED}


@pytest.mark.parametrize("days", [0, 3])
def test_a_renaming_that_is_taken_back_costs_no_pairing(fleet: Fleet, days: int) -> None:
    fleet.paired("a", "b")
    for name, before in (("c", "a"), ("d", "c")):
        fleet.declare(B, SessionSpec(name, renamed_from=before))
        fleet.advance(2)
        assert fleet.state(name) is State.CONNECTED
    if days:
        fleet.declare(B)
        fleet.advance(days * 86400)
        fleet.restart()
    fleet.declare(B, SessionSpec("c", renamed_from="a"))
    fleet.advance(2)
    assert fleet.state("c") is State.CONNECTED
    fleet.restart(kill=True)
    fleet.declare(A, B)
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert [record.session for record in fleet.ledger.told("pair_started")] == ["a", "b"]


def test_the_former_name_may_go_once_the_rename_is_done(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare(B, SessionSpec("c", renamed_from="a"))
    fleet.advance(2)
    began = kinds(fleet)
    fleet.declare(B, C)
    fleet.advance(2)
    assert kinds(fleet) == began
    fleet.restart()
    fleet.advance(2)
    assert {n: fleet.state(n) for n in "bc"} == {"b": State.CONNECTED, "c": State.CONNECTED}
    assert not fleet.ledger.told("pair_started", "c")


@pytest.mark.parametrize("retire", [RetirePolicy.ARCHIVE, RetirePolicy.LOGOUT])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_former_name_that_is_used_again_is_another_session(fleet: Fleet, retire: RetirePolicy, enabled: bool) -> None:
    fleet.paired("a", "b")
    fleet.declare(B, SessionSpec("c", renamed_from="a"))
    fleet.advance(2)
    fleet.declare(B, C, SessionSpec("a", enabled=enabled), retire=retire)
    fleet.advance(2)
    fleet.restart(kill=True)
    fleet.advance(2)
    fleet.declare(B, SessionSpec("a", enabled=enabled), retire=retire)
    fleet.advance(3600)  # also once nobody has used a code
    assert fleet.tracked("a").credential is Credential.ABSENT
    assert not [record for record in fleet.ledger.told("action", "a") if record.code == "rename"]
    assert fleet.vault.find("c").credential in (Credential.ARCHIVED, Credential.UNLINKED)


def test_names_that_come_and_go_are_forgotten_unless_they_were_linked(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    for number in range(50):
        fleet.declare(A, B, SessionSpec(f"n{number}", enabled=False))
        fleet.advance(1)
    assert set(fleet.roster.sessions) == {"a", "b", "n49"}
    fleet.declare(B)
    fleet.advance(5)
    assert set(fleet.roster.sessions) == {"a", "b"}
    fleet.declare(A, B)
    fleet.advance(5)
    assert fleet.state("a") is State.CONNECTED


@pytest.mark.parametrize("event", [Banned(code="101", seconds=900), Replaced(), LoggedOut(code="401")])
def test_a_new_name_is_no_way_round_a_verdict(fleet: Fleet, event: Banned | Replaced | LoggedOut) -> None:
    fleet.paired("a")
    fleet.workers.tell("a", event)
    fleet.advance(1)
    fleet.declare(SessionSpec("c", renamed_from="a"))
    fleet.advance(600)
    assert not fleet.launches("c")
    assert fleet.info("c").needs_person is not isinstance(event, Banned)
    assert fleet.info("c").reason
    fleet.advance(600)
    assert (fleet.state("c") is State.CONNECTED) is isinstance(event, Banned)


def test_who_was_parked_by_a_person_stays_parked_under_another_name(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    fleet.declare(SessionSpec("c", renamed_from="a"))
    fleet.advance(1)
    assert fleet.state("c") is State.PARKED
    fleet.restart()
    fleet.advance(1)
    assert fleet.state("c") is State.PARKED


def test_two_names_for_one_credential_take_it_once(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.declare(SessionSpec("b", renamed_from="a"), SessionSpec("c", renamed_from="a"))
    fleet.advance(300)
    assert fleet.state("b") is State.CONNECTED
    assert fleet.workers.client("a") is None
    assert not [r for r in fleet.ledger.told("warning") if "failed" in r.reason]


def test_disabled_and_enabled(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.declare(replace(A, enabled=False))
    fleet.advance(1)
    assert (fleet.state("a"), fleet.workers.client("a")) == (State.PARKED, None)
    assert fleet.reconciler.converged(), "a parked session is where it should be"
    fleet.declare(A)
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED


def test_a_session_that_is_enabled_and_has_to_wait_says_so(fleet: Fleet) -> None:
    fleet.declare(A, replace(B, enabled=False), pacing=Pacing(pairings=1))
    fleet.advance(1)
    assert [fleet.state(name) for name in "ab"] == [State.PAIRING, State.PARKED]
    fleet.declare(A, B, pacing=Pacing(pairings=1))
    fleet.advance(1)
    assert (fleet.state("b"), fleet.info("b").reason) == (State.DECLARED, "waits for its turn to pair")
    fleet.workers.scan("a", NUMBERS["a"])
    fleet.advance(1)
    assert fleet.state("b") is State.PAIRING


def test_a_verdict_keeps_its_words_through_parking(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.tell("a", Replaced())
    fleet.advance(1)
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    assert fleet.state("a") is State.PARKED
    fleet.run(fleet.desk.resume("a"))
    fleet.advance(1)
    assert fleet.state("a") is State.DECLARED
    assert "another client logged in" in fleet.info("a").reason
    assert fleet.info("a").needs_person


def test_a_label_restarts_nobody_and_a_proxy_does(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.declare(replace(A, labels={"team": "x"}))
    fleet.advance(1)
    assert len(fleet.launches("a")) == 1
    assert fleet.info("a").labels == {"team": "x"}
    fleet.declare(replace(A, proxy=PROXY))
    fleet.advance(2)
    assert [start.proxy for start in fleet.launches("a")] == [None, PROXY]
    assert fleet.state("a") is State.CONNECTED


def test_another_phone_on_a_paired_session_is_refused_and_the_client_stays(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.declare(replace(A, phone=PhoneNumber("+34611111111")))
    fleet.advance(1)
    assert fleet.state("a") is State.CONNECTED
    assert "another number" in (fleet.info("a").held or "")
    assert fleet.desk.plan().held.keys() == {"a"}
    fleet.declare(replace(A, phone=PhoneNumber("+" + NUMBERS["a"])))
    fleet.advance(1)
    assert fleet.info("a").held is None
    assert len(fleet.launches("a")) == 1


def test_one_account_linked_twice_leaves_the_older_link_in_service(fleet: Fleet) -> None:
    fleet.declare(A, B)
    fleet.advance(1)
    fleet.workers.scan("b", NUMBERS["a"])
    fleet.advance(1)
    fleet.workers.scan("a", NUMBERS["a"])
    fleet.advance(2)
    assert [fleet.state(name) for name in "ab"] == [State.PARKED, State.CONNECTED]
    assert "linked as 'b' already" in (fleet.info("a").held or "")
    assert fleet.looks < 60


def test_only_so_many_pair_at_once(fleet: Fleet) -> None:
    fleet.declare(*(SessionSpec(name) for name in "abcdef"), pacing=Pacing(pairings=2))
    fleet.advance(1)
    assert [fleet.state(name) for name in "abc"] == [State.PAIRING, State.PAIRING, State.DECLARED]
    fleet.advance(3600)
    assert all(len(fleet.launches(name)) == 1 for name in "abcdef"), "each had its turn, once"
    assert len(fleet.ledger.told("pair_started")) == 6


def test_a_changed_way_of_pairing_takes_effect_while_it_pairs(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.advance(1)
    fleet.declare(SessionSpec("a", pairing=Pairing.CODE, phone=PhoneNumber("+" + NUMBERS["a"])))
    fleet.advance(1)
    assert [start.pairing for start in fleet.launches("a")] == [Pairing.QR, Pairing.CODE]
    assert fleet.state("a") is State.PAIRING


def test_an_edit_has_a_session_tried_again_that_nobody_scanned(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.advance(300)
    assert fleet.tracked("a").waits_for_person
    fleet.declare(replace(A, labels={"owner": "maria"}))
    fleet.advance(1)
    assert fleet.state("a") is State.PAIRING


# -- what must never retire anything ---------------------------------------------------------------------------------


def test_a_broken_file_changes_nothing(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.reconciler.refuse(DeclarationError("Invalid", location=Location("sessions.toml", 3, 9), hint="mend it"))
    fleet.advance(100)
    assert {fleet.state(name) for name in "ab"} == {State.CONNECTED}
    told = fleet.desk.daemon().declaration
    assert told.error == "sessions.toml:3:9: Invalid"
    assert told.hint == "mend it"
    fleet.declare(A, B)
    assert fleet.desk.daemon().declaration.error is None


def test_an_empty_file_retires_nothing_until_a_person_confirms(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    empty = fleet.declare()
    fleet.advance(100)
    assert {fleet.state(name) for name in "ab"} == {State.CONNECTED}
    assert set(fleet.desk.plan().held) == {"a", "b"}
    assert len(fleet.ledger.told("plan")) == 2, "a hold is told once"
    fleet.restart()
    fleet.advance(100)
    assert not fleet.launches("a"), "nobody wants them, and nobody may retire them"
    assert fleet.state("a") is State.HELD
    fleet.run(fleet.desk.apply(confirm=True))
    fleet.advance(1)
    assert {fleet.state(name) for name in "ab"} == {State.RETIRED}
    assert fleet.roster.confirmed == empty.sha256


def test_what_waits_for_a_confirmation_stays_in_service(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c")
    fleet.declare(replace(C, enabled=False), A, B)
    fleet.advance(1)
    fleet.declare()
    fleet.advance(1)
    before = len(fleet.launches("a"))
    fleet.workers.crash("a")
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.launches("a")) == before + 1
    assert fleet.info("a").held
    assert fleet.workers.client("c") is None, "parked it was, and parked it stays"


@pytest.mark.parametrize("kill", [True, False])
def test_what_waits_for_a_confirmation_is_brought_back_by_the_next_daemon(fleet: Fleet, kill: bool) -> None:
    fleet.paired("a", "b", "c")
    whole = fleet.declare(A, B, replace(C, proxy=PROXY))
    text = '[sessions.a]\n[sessions.b]\nenabled = false\n[sessions.c]\nproxy = "socks5://[credentials]@127.0.0.1:1"\n'
    fleet.run(fleet.reconciler.accept(replace(whole, masked_text=text, sha256="whole")))
    fleet.advance(2)
    fleet.declare()
    fleet.advance(1)
    for _ in range(2):
        fleet.restart(kill=kill)
        fleet.advance(5)
        assert fleet.workers.client("a") is not None
        assert fleet.info("a").held
        assert fleet.workers.client("b") is None, "it was not enabled"
        assert fleet.workers.client("c") is None, "nobody knows its proxy any more, and it has to take that one"
    fleet.run(fleet.desk.apply(confirm=True))
    fleet.advance(2)
    assert {fleet.state(name) for name in "abc"} == {State.RETIRED}


def test_what_left_the_file_while_no_daemon_ran_is_not_started(fleet: Fleet) -> None:
    """It may be a copy of the state directory, on a machine that was never meant to run these."""
    whole = fleet.declare(A, B)
    fleet.paired("a", "b")
    fleet.run(fleet.reconciler.accept(replace(whole, masked_text="[sessions.a]\n[sessions.b]\n", sha256="whole")))
    fleet.declaration = replace(whole, masked_text="", sha256="empty", sessions={})
    for _ in range(2):  # nor by one that only goes on with what the first one did
        fleet.restart()
        fleet.advance(100)
        assert not fleet.launches("a")
        assert fleet.state("a") is State.HELD


def test_a_confirmation_is_for_one_edit_and_not_for_the_same_bytes_another_day(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare()
    fleet.advance(1)
    fleet.run(fleet.desk.apply(confirm=True))
    fleet.advance(1)
    fleet.declare(A, B)
    fleet.advance(5)
    assert {fleet.state(name) for name in "ab"} == {State.CONNECTED}
    fleet.declare()
    fleet.advance(100)
    assert {fleet.state(name) for name in "ab"} == {State.CONNECTED}


def test_what_is_no_longer_held_goes_on_as_before(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c")
    for name in "abc":
        fleet.workers.tell(name, Replaced())
    fleet.advance(1)
    fleet.declare(C)
    fleet.advance(1)
    assert fleet.state("a") is State.HELD
    fleet.declare(A, B, C)
    fleet.advance(1)
    assert fleet.info("a").held is None
    assert fleet.state("a") is State.DECLARED
    assert "another client logged in" in fleet.info("a").reason


# -- races -----------------------------------------------------------------------------------------------------------


def test_a_session_that_returns_while_it_is_retired_keeps_its_proxy(fleet: Fleet) -> None:
    spec = replace(A, proxy=PROXY)
    fleet.paired("a", "b")
    fleet.declare(spec, B)
    fleet.advance(2)
    fleet.workers.release_takes = 2.0
    fleet.declare(B)
    fleet.advance(1)
    assert fleet.tracked("a").busy
    fleet.declare(spec, B)
    fleet.advance(30)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.launches("a")[-1].proxy == PROXY
    assert len(fleet.launches("a")) == 3


def test_an_unlinking_while_it_is_restarted_pairs_nobody(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.release_takes = 2.0
    fleet.declare(replace(A, proxy=PROXY))
    fleet.advance(1)
    fleet.workers.unlink("a")
    fleet.advance(30)
    assert fleet.state("a") is State.LOGGED_OUT
    assert len(fleet.ledger.told("pair_started")) == 1


def test_a_verdict_that_comes_before_the_launch_returns_stands(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.silent = True
    fleet.workers.launch_takes = 5.0
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    fleet.workers.tell("a", Banned(code="101", seconds=600))
    fleet.workers.tell("a", Connected())
    fleet.advance(500)
    assert fleet.state("a") is State.BANNED
    assert fleet.workers.client("a") is None
    assert len(fleet.launches("a")) == 2


def test_a_worker_that_ends_before_its_launch_returns(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.workers.launch_takes = 5.0
    fleet.advance(1)
    fleet.workers.crash("a")
    assert fleet.state("a") is State.RECONNECTING
    fleet.workers.launch_takes = 0.1
    fleet.advance(6)
    assert fleet.state("a") is State.PAIRING
    assert fleet.info("a").attempt == 1


def test_a_release_that_was_asked_for_during_a_launch_that_fails_is_over_with_it(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.silent = True
    fleet.workers.launch_takes = 2.0
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    fleet.tracked("a").leaving = "it ended"
    assert fleet.workers.crash("a", "it crashed")
    assert fleet.tracked("a").leaving is None
    fleet.workers.silent = False
    fleet.advance(20)
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.launches("a")) == 3


def test_a_crash_while_it_is_stopped_begins_nothing_beside_it(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.advance(1)
    fleet.workers.release_takes = 2.0
    fleet.declare(replace(A, enabled=False))
    fleet.advance(1)
    fleet.workers.crash("a")
    fleet.loop.work_takes = lambda: 1.0
    fleet.advance(0.5)
    assert fleet.tracked("a").busy
    fleet.advance(10)
    assert fleet.state("a") is State.PARKED
    assert fleet.info("a").reason == "enabled = false"


def test_an_edit_during_a_start_is_carried_out_after_it(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.launch_takes = 5.0
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    fleet.declare(replace(A, enabled=False))
    fleet.advance(1)
    assert fleet.state("a") is State.CONNECTED, "it came online before its launch returned"
    fleet.advance(10)
    assert (fleet.state("a"), fleet.workers.client("a")) == (State.PARKED, None)


def test_a_session_that_leaves_while_somebody_links_it_is_archived_as_linked(fleet: Fleet) -> None:
    fleet.declare(A, B)
    fleet.advance(1)
    fleet.workers.release_takes = 2.0
    fleet.declare(B)
    fleet.advance(0.5)
    fleet.workers.link("a", NUMBERS["a"], tell=False)
    fleet.advance(5)
    assert fleet.vault.find("a").credential is Credential.ARCHIVED
    fleet.declare(A, B)
    fleet.advance(5)
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.ledger.told("pair_started", "a")) == 1


@pytest.mark.parametrize("one_may_leave", [True, False])
def test_who_leaves_a_shared_worker_takes_nobody_along_for_good(fleet: Fleet, one_may_leave: bool) -> None:
    fleet.paired("a", "b", "c", sessions_per_worker=3)
    fleet.restart()
    fleet.advance(2)
    fleet.workers.one_may_leave = one_may_leave
    assert len(fleet.workers.live) == 1
    fleet.declare(replace(A, enabled=False), B, C, sessions_per_worker=3)
    fleet.advance(2)
    assert [fleet.state(name) for name in "abc"] == [State.PARKED, State.CONNECTED, State.CONNECTED]
    assert len(fleet.launches("b")) == (1 if one_may_leave else 2)
    assert fleet.info("b").attempt == 0, "that was no failure of its own"
    fleet.workers.crash("b")
    fleet.advance(2)
    assert [fleet.state(name) for name in "abc"] == [State.PARKED, State.CONNECTED, State.CONNECTED]


def test_who_was_aboard_of_a_crash_is_kept_apart_until_it_has_proved_itself(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c", sessions_per_worker=3)
    fleet.restart()
    fleet.advance(2)
    fleet.workers.crash("a")
    fleet.advance(10)
    assert sorted(sorted(worker.clients) for worker in fleet.workers.live.values()) == [["a", "b"], ["c"]]
    fleet.advance(100)
    for name in "abc":
        fleet.run(fleet.desk.restart(name))
    fleet.advance(10)
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}
    fleet.restart()
    fleet.advance(2)
    assert len(fleet.workers.live) == 1


# -- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        WorkerError("Worker w1 was not started", why="it said nothing"),
        OSError(11, "no more processes"),
        ValueError("?"),
    ],
)
def test_a_launch_that_fails_is_tried_again_and_never_leaves_starting(fleet: Fleet, error: Exception) -> None:
    fleet.paired("a")
    fleet.workers.failures += [error] * 8
    fleet.workers.crash("a")
    fleet.chance = 0.999
    fleet.advance(20)
    tracked = fleet.tracked("a")
    assert tracked.running is None or tracked.busy
    assert fleet.state("a") is State.RECONNECTING
    assert 3 <= len(fleet.launches("a")) - 1 <= 8
    fleet.advance(300)
    assert fleet.state("a") is State.CONNECTED


def test_a_pairing_that_was_asked_for_survives_launches_that_fail_without_a_spin(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.unlink("a")
    fleet.advance(1)
    fleet.workers.failures += [WorkerError("It did not start")] * 4
    fleet.workers.asked.add("a")
    fleet.run(fleet.desk.pair("a", PairRequest(method="code", phone="+" + NUMBERS["a"])))
    fleet.advance(60)
    assert fleet.state("a") is State.PAIRING
    starts = fleet.launches("a")[1:]
    assert len(starts) == 5
    assert {(start.pairing, start.phone) for start in starts} == {(Pairing.CODE, PhoneNumber("+" + NUMBERS["a"]))}


def test_a_crash_in_the_middle_of_a_pairing_that_was_asked_for_begins_it_anew(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.unlink("a")
    fleet.advance(1)
    fleet.workers.asked.add("a")
    fleet.run(fleet.desk.pair("a", PairRequest()))
    fleet.advance(1)
    fleet.workers.crash("a")
    fleet.advance(5)
    assert fleet.state("a") is State.PAIRING
    fleet.advance(200)
    assert fleet.state("a") is State.DECLARED
    fleet.advance(3600)
    assert len(fleet.launches("a")) == 3, "it was asked for once, not for ever"


@pytest.mark.parametrize("kind", ["retire", "revive", "rename", "restore", "create"])
def test_a_full_disk_is_waited_for_without_a_spin(fleet: Fleet, kind: str) -> None:
    fleet.paired("a", "b")
    if kind == "revive":
        fleet.declare(B)
        fleet.advance(1)
    fleet.disk_faults += [OSError(28, "no space left on device")] * 6
    match kind:
        case "retire":
            fleet.declare(B)
        case "revive":
            fleet.declare(A, B)
        case "rename":
            fleet.declare(B, SessionSpec("c", renamed_from="a"))
        case "restore":
            fleet.workers.crash("a")
        case _:
            fleet.declare(A, B, C)
    fleet.advance(5)
    assert len(fleet.ledger.records) < 80
    name = {"rename": "c", "create": "c"}.get(kind, "a")
    assert "no space left on device" in fleet.info(name).reason
    fleet.chance = 0.0
    fleet.advance(60)
    assert not fleet.disk_faults, "it was tried again and again"
    expected = {"retire": State.RETIRED, "create": State.PAIRING}.get(kind, State.CONNECTED)
    assert fleet.state(name) is expected


def test_a_credential_that_somebody_holds_is_waited_for_and_said(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare(replace(A, enabled=False), B)
    fleet.advance(1)
    lock = FileLock(fleet.layout.session("a", "shared") / "lock")
    with lock:
        fleet.declare(A, B)
        fleet.advance(30)
        assert fleet.state("a") is State.RECONNECTING
        assert "in use" in fleet.info("a").reason
        assert len(fleet.launches("a")) == 1
        fleet.declare(B)
        fleet.advance(30)
        assert "in use" in fleet.info("a").reason
    fleet.advance(300)
    assert fleet.state("a") is State.RETIRED


def test_a_release_that_fails_is_tried_again(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.release_failures += [RuntimeError("the host is confused")] * 2
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    assert fleet.state("a") is State.CONNECTED
    fleet.advance(60)
    assert len(fleet.launches("a")) == 2
    assert fleet.state("a") is State.CONNECTED


@pytest.mark.parametrize("kill", [False, True])
def test_a_damaged_credential_is_never_given_to_the_library(fleet: Fleet, kill: bool) -> None:
    fleet.paired("a", "b")
    fleet.kill() if kill else fleet.stop()
    (fleet.layout.session("a", "shared") / "creds.db").write_bytes(b"SQLite format 3\x00 and nothing else")
    fleet._boot()
    fleet.advance(5)
    assert [fleet.state(name) for name in "ab"] == [State.FAILED, State.CONNECTED]
    assert not fleet.launches("a")
    assert "wakit pair a" in fleet.info("a").reason


def test_a_session_that_cannot_be_read_keeps_nobody_else_down(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.stop()
    fleet.unreadable.add("a")
    fleet._boot()
    fleet.advance(5)
    assert [fleet.state(name) for name in "ab"] == [State.FAILED, State.CONNECTED]
    assert fleet.info("a").reason.endswith("permission denied; `wakit restart a` looks again")
    with pytest.raises(CredentialUnreadableError):
        fleet.run(fleet.desk.restart("a"))
    fleet.unreadable.clear()
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.ledger.told("pair_started", "a")) == 1


@pytest.mark.parametrize("kill", [False, True])
def test_a_record_that_is_no_file_is_a_damaged_one(fleet: Fleet, kill: bool) -> None:
    fleet.paired("a", "b")
    fleet.kill() if kill else fleet.stop()
    record = fleet.layout.session("a", "shared") / "session.json"
    record.unlink()
    record.mkdir()
    fleet._boot()
    fleet.advance(5)
    assert [fleet.state(name) for name in "ab"] == [State.FAILED, State.CONNECTED]


def test_a_credential_that_vanished_is_noticed_before_its_next_start(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare(replace(A, enabled=False), B)
    fleet.advance(1)
    shutil.rmtree(fleet.layout.session("a", "shared"))
    fleet.declare(A, B)
    fleet.advance(300)
    assert len(fleet.launches("a")) == 1, "it was paired once; only a person pairs it again"
    assert fleet.state("a") is not State.CONNECTED
    assert fleet.info("a").reason


# -- the loop --------------------------------------------------------------------------------------------------------


def test_at_rest_only_the_resync_looks(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.advance(10)
    before = fleet.looks
    fleet.advance(300)
    assert fleet.looks - before == 10
    assert not fleet.reconciler.decide().actions
    assert fleet.reconciler.converged()


def test_it_looks_the_moment_a_pause_is_over(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.advance(10)
    fleet.chance = 0.9
    fleet.workers.crash("a")
    tracked = fleet.tracked("a")
    assert tracked.next_try_at is not None
    due = (tracked.next_try_at - fleet.now()).total_seconds()
    assert due == pytest.approx(AFTER_CRASH.pause(1, 0.9))
    fleet.advance(due - 0.001)
    assert len(fleet.launches("a")) == 1
    fleet.advance(0.02)
    assert len(fleet.launches("a")) == 2


def test_convergence_is_told_as_it_is(fleet: Fleet) -> None:
    told = []
    fleet.reconciler._on_convergence = lambda: told.append(fleet.reconciler.converged())
    assert not fleet.reconciler.converged(), "nothing is in force"
    fleet.paired("a")
    assert told == [True]
    fleet.declare(A, B)
    assert not fleet.reconciler.converged(), "an edit that nobody looked at yet"
    fleet.advance(1)
    assert told == [True, False]
    fleet.workers.scan("b", NUMBERS["b"])
    fleet.advance(1)
    assert told == [True, False, True]
    fleet.workers.tell("b", Replaced())
    fleet.advance(1)
    assert told[-1] is False


def test_an_end_in_order_begins_nothing_and_leaves_nobody(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.stop()
    assert fleet.executor.jobs.idle()
    assert not fleet.workers.live
    assert len(fleet.workers.launches) == 2


@pytest.mark.parametrize("kill", [False, True])
def test_a_new_daemon_brings_everybody_back_without_a_code(fleet: Fleet, kill: bool) -> None:
    fleet.paired(*"abcd")
    codes = len(fleet.ledger.told("qr"))
    fleet.restart(kill=kill)
    fleet.advance(2)
    assert {fleet.state(name) for name in "abcd"} == {State.CONNECTED}
    assert len(fleet.ledger.told("qr")) == codes


def test_a_loopback_endpoint_goes_with_every_launch(fleet: Fleet) -> None:
    endpoint = Endpoint("http://127.0.0.1:1", "/ca.pem", "00" * 32)
    fleet.declare(A, endpoint=endpoint)
    fleet.advance(1)
    assert fleet.workers.launches[0].endpoint == endpoint
    assert Path(fleet.launches("a")[0].directory).is_dir()
    fleet.workers.tell("a", PairingExpired())


# -- what nobody else ends -------------------------------------------------------------------------------------------


def test_a_link_that_never_logs_in_is_started_anew(fleet: Fleet) -> None:
    """After the 515 the library redials once; if that fails it is silent for ever."""
    fleet.declare(A)
    fleet.advance(1)
    fleet.workers.link("a", NUMBERS["a"])
    fleet.advance(60)
    assert fleet.state("a") is State.PAIRED
    fleet.advance(90)
    assert fleet.state("a") is State.CONNECTED
    assert [start.pairing for start in fleet.launches("a")] == [Pairing.QR, None], "restored, not paired anew"


def test_a_link_whose_redial_never_comes_is_started_anew(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.advance(1)
    fleet.workers.link("a", NUMBERS["a"])
    fleet.advance(60)
    assert fleet.state("a") is State.PAIRED
    fleet.advance(100)
    assert fleet.state("a") is State.CONNECTED
    assert [start.pairing for start in fleet.launches("a")] == [Pairing.QR, None]


def test_half_a_file_unlinks_nobody(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c", retire=RetirePolicy.LOGOUT)
    whole = fleet.declare(A, B, C, retire=RetirePolicy.LOGOUT)
    text = "[sessions.a]\n[sessions.b]\n[sessions.c]\n"
    fleet.run(fleet.reconciler.accept(replace(whole, masked_text=text, sha256="whole")))
    half = replace(whole, masked_text=text[:26], sha256="half", sessions={"a": A, "b": B})
    fleet.run(fleet.reconciler.accept(half))
    fleet.advance(5)
    assert fleet.state("c") is State.CONNECTED
    assert "cut off" in str(fleet.info("c").held)
    fleet.run(fleet.reconciler.accept(replace(whole, masked_text=text, sha256="whole")))
    fleet.advance(1)
    assert (fleet.state("c"), fleet.info("c").held) == (State.CONNECTED, None)
    assert fleet.workers.logouts == []


WHOLE = "[sessions.a]\n[sessions.b]\n# Ana, [number]\n[sessions.c]\n"


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.parametrize("text", [WHOLE[:26], WHOLE[:26] + "# Ana, +346"])
def test_half_a_file_unlinks_nobody_after_a_restart(fleet: Fleet, text: str, kill: bool) -> None:
    """Saved while no daemon ran, and then before the daemon's next start, too."""
    fleet.paired("a", "b", "c", retire=RetirePolicy.LOGOUT)
    whole = fleet.declare(A, B, C, retire=RetirePolicy.LOGOUT)
    fleet.run(fleet.reconciler.accept(replace(whole, masked_text=WHOLE, sha256="whole")))
    half = replace(whole, masked_text=text, sha256="half", sessions={"a": A, "b": B})
    fleet.declaration = half
    for _ in range(3):
        fleet.restart(kill=kill)
        fleet.advance(5)
        assert "cut off" in str(fleet.info("c").held)
        assert fleet.vault.find("c").credential is Credential.PRESENT
    assert fleet.workers.logouts == []
    fleet.run(fleet.desk.apply(confirm=True))
    fleet.advance(5)
    assert fleet.vault.find("c").credential is Credential.ARCHIVED


def test_a_file_that_was_edited_between_two_daemons_is_meant(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c", retire=RetirePolicy.LOGOUT)
    whole = fleet.declare(A, B, C, retire=RetirePolicy.LOGOUT)
    fleet.run(fleet.reconciler.accept(replace(whole, masked_text=WHOLE, sha256="whole")))
    edited = WHOLE.replace("[sessions.a]\n", "")
    fleet.declaration = replace(whole, masked_text=edited, sha256="edited", sessions={"b": B, "c": C})
    fleet.restart()
    fleet.advance(5)
    assert fleet.vault.find("a").credential is not Credential.PRESENT


def test_a_link_that_was_overlooked_is_found_when_an_action_fails_on_it(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.declare(A, C)
    fleet.advance(1)
    fleet.workers.launch_takes = fleet.workers.release_takes = 2.0
    fleet.declare(A, replace(C, enabled=False))
    fleet.advance(0.5)
    fleet.workers.link("c", NUMBERS["c"], tell=False)
    fleet.workers.crash("c")
    fleet.advance(5)
    fleet.declare(SessionSpec("c", renamed_from="a"), B)
    fleet.advance(60)
    assert fleet.state("c") is State.CONNECTED, "it is what it was linked to; nothing is moved over it"
    assert fleet.state("a") is State.RETIRED
    assert fleet.vault.find("a").credential is Credential.ARCHIVED


def test_whoever_waits_for_the_first_starts_does_not_end_them_when_its_time_is_over(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.restart()

    async def launch(_launch: object) -> int:
        await asyncio.sleep(30)
        return await real(_launch)

    real = fleet.workers.launch
    fleet.workers.launch = launch  # type: ignore[method-assign, assignment]
    fleet.run(fleet.reconciler.started(1.0))
    fleet.advance(60)
    assert {fleet.state(name) for name in "ab"} == {State.CONNECTED}


def test_a_pairing_that_was_asked_for_is_not_kept_for_a_session_that_the_file_parks(fleet: Fleet) -> None:
    fleet.declare(SessionSpec("a"), SessionSpec("d", enabled=False))
    fleet.advance(5)
    fleet.disk_faults += [OSError(28, "no space left on device")]
    fleet.declare(SessionSpec("a"))
    fleet.advance(0.001)
    fleet.declare(SessionSpec("a"), SessionSpec("d"))
    fleet.run(fleet.desk.pair("d", PairRequest()))
    assert fleet.tracked("d").busy, "its retirement is still under way, so nobody begins to pair it"
    fleet.declare(SessionSpec("a"), SessionSpec("d", enabled=False))
    fleet.advance(3600)
    assert fleet.tracked("d").request is None
    assert fleet.state("d") is State.PARKED


@pytest.mark.parametrize(("a_look_takes", "at_most"), [(0.001, 200), (0.1, 5)])
def test_what_many_tell_at_one_moment_is_seen_in_few_looks(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, a_look_takes: float, at_most: int
) -> None:
    """A fifth of the time at most goes into looking, but never is a look put off by more than a tenth of a second."""
    fleet.paired("a")
    looks: list[float] = []
    decide = fleet.reconciler.decide

    def slowly() -> Plan:
        looks.append(fleet.loop.time())
        fleet.loop.pass_time(a_look_takes)
        return decide()

    async def many_tell() -> None:
        until = fleet.loop.time() + 1.0
        while fleet.loop.time() < until:
            fleet.reconciler.wake()
            await asyncio.sleep(0.0005)

    monkeypatch.setattr(fleet.reconciler, "decide", slowly)
    fleet.run(many_tell())
    assert at_most / 2 <= len(looks) <= at_most + 1
    told = fleet.loop.time()
    fleet.reconciler.wake()
    fleet.advance(0.25)
    assert looks[-1] >= told, "who told something last is seen, too"
