"""Everything a client can say, in every state it can be believed to be in."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any, get_args

import pytest
from fakes import NUMBERS, START, Fleet

from wakit.core.declaration import SessionSpec
from wakit.core.lifecycle import FINAL, TRANSITIONS, State
from wakit.core.observation import Credential
from wakit.redact import Secret, account_hash
from wakit.vault.record import SessionRecord, read_record
from wakit.whatsapp.port import (
    AccountHeld,
    Banned,
    ClientEnded,
    CodeShown,
    Connected,
    ConnectionLost,
    CredentialBad,
    DialFailed,
    DialFailure,
    HearsAgain,
    LoggedOut,
    Outdated,
    Paired,
    PairingExpired,
    PairingFailed,
    PasskeyAsked,
    QrShown,
    Refused,
    Replaced,
    SessionEvent,
    WentDeaf,
    WorkerExited,
)

NUMBER = NUMBERS["a"]
LATER = START + timedelta(hours=1)
EVENTS: dict[str, SessionEvent] = {
    type(event).__name__: event
    for event in (
        QrShown(payload=Secret("https://wa.me/x#qr-in-secret"), expires_at=LATER),
        CodeShown(code=Secret("ABCD-2345"), expires_at=LATER),
        PairingExpired(),
        PairingFailed(why="the phone's answer could not be used"),
        PasskeyAsked(),
        Paired(account=Secret(NUMBER)),
        Connected(account=Secret(NUMBER)),
        WentDeaf(errors=3),
        HearsAgain(),
        ConnectionLost(why="WhatsApp sent stream error 503", code="503"),
        DialFailed(cause=DialFailure.NAME_LOOKUP, detail="the name web.whatsapp.com is not known"),
        ClientEnded(why="the connection was closed"),
        Replaced(),
        AccountHeld(why="process 4711 on box holds it"),
        LoggedOut(code="401"),
        Banned(code="101", seconds=600.0),
        Outdated(),
        Refused(code="409", why="rejected"),
        CredentialBad(why="the stored device is gone"),
    )
}


def record(fleet: Fleet, name: str = "a") -> SessionRecord:
    return read_record(fleet.layout.session(name, "shared"))


def linked(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.silent = True


def pairing(fleet: Fleet) -> None:
    fleet.workers.silent = True
    fleet.declare(SessionSpec("a"))
    fleet.advance(0.5)


def restoring(fleet: Fleet) -> None:
    linked(fleet)
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)


# How a session gets into a state in which a client of it is alive; a verdict leaves it so until its worker has ended.
WAYS: dict[State, tuple[Any, tuple[str, ...]]] = {
    State.STARTING: (restoring, ()),
    State.PAIRING: (pairing, ("QrShown",)),
    State.PAIRED: (pairing, ("QrShown", "Paired")),
    State.CONNECTED: (linked, ()),
    State.DEGRADED: (linked, ("WentDeaf",)),
    State.RECONNECTING: (linked, ("ConnectionLost",)),
    State.DECLARED: (pairing, ("QrShown", "PairingExpired")),
    State.PASSKEY_REQUIRED: (pairing, ("QrShown", "PasskeyAsked")),
    State.CONFLICT: (linked, ("Replaced",)),
    State.LOGGED_OUT: (linked, ("LoggedOut",)),
    State.BANNED: (linked, ("Banned",)),
    State.OUTDATED: (linked, ("Outdated",)),
    State.FAILED: (linked, ("Refused",)),
}


def bring(fleet: Fleet, state: State) -> None:
    prepare, words = WAYS[state]
    fleet.ledger.secrets |= {"qr-in-secret", "ABCD-2345"}
    prepare(fleet)
    fleet.workers.release_takes = 5.0  # the worker of a client that ended is still there
    for word in words:
        fleet.workers.tell("a", EVENTS[word])
    fleet.advance(0.1)
    assert fleet.state("a") is state
    assert fleet.workers.client("a") is not None


def test_every_event_of_the_port_is_tried() -> None:
    assert set(EVENTS) == {event.__name__ for event in get_args(SessionEvent)}


@pytest.mark.parametrize(("state", "name"), list(product(WAYS, EVENTS)))
def test_every_event_in_every_state(fleet: Fleet, state: State, name: str) -> None:
    bring(fleet, state)
    event, tracked = EVENTS[name], fleet.tracked("a")
    was = tracked.info(fleet.now()).model_dump()
    waited = (tracked.waits_for_person, tracked.next_try_at, tracked.why_waits)
    was_linked = tracked.credential is Credential.PRESENT
    fleet.workers.tell("a", event)
    fleet.advance(0.1)

    expected = TRANSITIONS.get((state, event.happening))
    if was_linked and isinstance(event, PairingExpired | PairingFailed | PasskeyAsked | QrShown | CodeShown):
        expected = None  # such a word about a linked session is late, or a mistake; it is not believed
    assert tracked.state is (expected or state)
    if expected is None and not isinstance(event, LoggedOut | Paired):
        assert (tracked.waits_for_person, tracked.next_try_at, tracked.why_waits) == waited
        assert tracked.info(fleet.now()).model_dump() == was
    # A code is shown only while somebody may use it.
    assert (tracked.shown is not None) == (tracked.state is State.PAIRING)
    # Whoever will not dial again must not keep its worker, or it would look alive for ever.
    fleet.workers.release_takes = 0.0
    fleet.chance = 0.999
    fleet.advance(6)
    if tracked.state in FINAL or (tracked.waits_for_person and tracked.state is State.DECLARED):
        assert fleet.workers.client("a") is None
        assert tracked.worker_pid is None
    # What was ever linked says so on disk, and an unlinked one too.
    if tracked.credential is Credential.PRESENT:
        assert record(fleet).paired_at is not None
    if tracked.credential is Credential.UNLINKED:
        assert record(fleet).unlinked_at is not None


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("Replaced", State.CONFLICT, "`wakit restart a` takes the session back"),
        ("AccountHeld", State.CONFLICT, "process 4711 on box holds it; end that one"),
        ("LoggedOut", State.LOGGED_OUT, "`wakit pair a` links it again"),
        ("Banned", State.BANNED, "code 101"),
        ("Outdated", State.OUTDATED, "upgrade wakit"),
        ("Refused", State.FAILED, "409"),
        ("Refused", State.FAILED, "`wakit restart a` tries again"),
        ("CredentialBad", State.FAILED, "the stored device is gone"),
    ],
)
def test_a_verdict_says_why_and_what_to_do(fleet: Fleet, name: str, state: State, words: str) -> None:
    linked(fleet)
    fleet.workers.tell("a", EVENTS[name])
    fleet.advance(60)
    assert fleet.state("a") is state
    assert words in fleet.info("a").reason
    assert len(fleet.launches("a")) == 1, "it is not started again by itself"
    assert fleet.info("a").needs_person is (state is not State.BANNED)


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("Replaced", True),
        ("AccountHeld", True),
        ("LoggedOut", True),
        ("Banned", True),
        ("Outdated", False),
        ("Refused", False),
    ],
)
def test_what_outlives_the_daemon_and_what_the_next_one_tries_again(
    fleet: Fleet, name: str, waits: bool, kill: bool
) -> None:
    linked(fleet)
    fleet.workers.tell("a", EVENTS[name])
    fleet.advance(1)
    state, reason = fleet.state("a"), fleet.info("a").reason.partition(";")[0]
    fleet.restart(kill=kill)
    fleet.advance(60)
    if waits:
        assert fleet.state("a") is state
        assert fleet.info("a").reason.startswith(reason)
        assert not fleet.launches("a")
    else:
        assert fleet.state("a") is State.CONNECTED, "an upgrade may have mended it"


def test_a_ban_ends_by_itself_also_for_the_next_daemon(fleet: Fleet) -> None:
    linked(fleet)
    fleet.workers.tell("a", EVENTS["Banned"])
    fleet.advance(1)
    fleet.restart()
    fleet.advance(590)
    assert fleet.state("a") is State.BANNED
    fleet.advance(20)
    assert fleet.state("a") is State.CONNECTED


def test_a_ban_without_an_end_is_kept_for_an_hour(fleet: Fleet) -> None:
    linked(fleet)
    fleet.workers.tell("a", Banned())
    fleet.advance(3500)
    assert fleet.state("a") is State.BANNED
    fleet.workers.silent = False
    fleet.advance(200)
    assert fleet.state("a") is State.CONNECTED


@pytest.mark.parametrize("name", ["PairingExpired", "PairingFailed", "PasskeyAsked"])
def test_a_pairing_that_came_to_nothing_waits_for_a_person_and_for_every_daemon(fleet: Fleet, name: str) -> None:
    pairing(fleet)
    fleet.workers.tell("a", EVENTS["QrShown"])
    fleet.workers.tell("a", EVENTS[name])
    fleet.advance(100)
    state, reason = fleet.state("a"), fleet.info("a").reason
    assert state is {
        "PairingExpired": State.DECLARED, "PairingFailed": State.FAILED, "PasskeyAsked": State.PASSKEY_REQUIRED
    }[name]  # fmt: skip
    fleet.restart()
    fleet.advance(100)
    assert (fleet.state("a"), fleet.info("a").reason) == (state, reason)
    assert not fleet.launches("a")
    assert fleet.info("a").needs_person


def test_nobody_scans(fleet: Fleet) -> None:
    fleet.declare(SessionSpec("a"))
    fleet.advance(100)
    assert fleet.state("a") is State.PAIRING
    assert len(fleet.ledger.told("qr")) == 3
    fleet.advance(100)
    assert fleet.state("a") is State.DECLARED
    assert fleet.info("a").reason.startswith("nobody scanned or typed the code in time")
    fleet.advance(3600)
    assert len(fleet.launches("a")) == 1


def test_a_link_is_remembered_before_anything_builds_on_it(fleet: Fleet) -> None:
    fleet.declare(SessionSpec("a"))
    fleet.advance(1)
    fleet.workers.scan("a", NUMBER)
    assert fleet.info("a").account == account_hash(NUMBER, fleet.vault.key)
    assert fleet.state("a") is State.PAIRED
    fleet.advance(0.01)
    assert record(fleet).paired_at is not None
    fleet.restart(kill=True)
    fleet.advance(1)
    assert fleet.state("a") is State.CONNECTED
    assert not fleet.ledger.told("pair_started")[1:]


def test_a_login_whose_link_was_not_told_tells_it(fleet: Fleet) -> None:
    pairing(fleet)
    fleet.workers.tell("a", EVENTS["Connected"])
    fleet.advance(1)
    assert fleet.info("a").paired
    assert fleet.state("a") is State.CONNECTED
    assert record(fleet).paired_at is not None


def test_the_phone_that_scans_when_the_last_code_runs_out(fleet: Fleet) -> None:
    pairing(fleet)
    fleet.workers.release_takes = 2.0
    fleet.workers.tell("a", EVENTS["QrShown"])
    fleet.workers.tell("a", PairingExpired())
    fleet.workers.link("a", NUMBER)
    fleet.workers.silent = False
    fleet.advance(5)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.launches("a")[-1].pairing is None


def test_a_crash_between_the_link_and_its_report_pairs_nobody_anew(fleet: Fleet) -> None:
    fleet.declare(SessionSpec("a"))
    fleet.advance(1)
    fleet.workers.link("a", NUMBER, tell=False)
    fleet.workers.crash("a")
    fleet.advance(5)
    assert fleet.state("a") is State.CONNECTED
    assert [start.pairing is None for start in fleet.launches("a")] == [False, True]


def test_a_crash_is_told_and_mended_at_once(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    before = len(fleet.launches("b"))
    fleet.workers.crash("a", "it was killed by signal 9")
    assert fleet.state("a") is State.RECONNECTING
    assert "next try in" in fleet.info("a").reason
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.launches("b")) == before
    (exit_,) = fleet.ledger.told("worker_exit", "a")
    assert exit_.reason == "it was killed by signal 9"
    assert exit_.worker_pid is not None


def test_crashes_in_a_row_slow_down_and_a_minute_online_forgives_them(fleet: Fleet) -> None:
    fleet.paired("a")
    pauses = []
    for _ in range(6):
        fleet.workers.crash("a")
        tracked = fleet.tracked("a")
        assert tracked.next_try_at is not None
        pauses.append((tracked.next_try_at - fleet.now()).total_seconds())
        fleet.advance(pauses[-1] + 1)
        assert fleet.state("a") is State.CONNECTED
    assert pauses == [0.125, 0.25, 0.5, 1.0, 2.0, 4.0]
    assert fleet.tracked("a").quarantine, "it has a worker of its own until it has proved itself"
    fleet.workers.tell("a", WentDeaf(errors=1))
    fleet.advance(61)
    fleet.workers.crash("a")
    assert fleet.info("a").attempt == 1


def test_a_crash_of_many_finds_its_culprit_while_the_others_are_in_service(fleet: Fleet) -> None:
    names = tuple("abcdefghij")
    fleet.paired(*names, sessions_per_worker=32)
    fleet.restart()
    fleet.advance(3)
    assert [len(worker.clients) for worker in fleet.workers.live.values()] == [10], "they share one worker"

    crashes = []
    for _ in range(5):
        worker = fleet.workers.worker_of("d")
        assert worker is not None
        crashes.append(len(worker.clients))
        fleet.workers.crash("d")
        away = {name for name in names if fleet.state(name) is not State.CONNECTED}
        assert away == set(worker.clients), "nobody else flinches"
        fleet.advance(9)
        assert {fleet.state(name) for name in names} == {State.CONNECTED}
    assert crashes == [10, 5, 2, 1, 1]
    told = fleet.ledger.told("worker_exit", "d")
    assert [(exit_.detail or {})["aboard"] for exit_ in told[-5:]] == crashes
    assert [(exit_.detail or {})["culprit"] for exit_ in told[-5:]] == [False, False, False, True, True]
    assert "come back in two workers" in (told[-3].reason or "")
    assert "the fault is its own" in (told[-1].reason or "")
    alone = [set(worker.clients) for worker in fleet.workers.live.values()]
    assert {"d"} in alone
    assert len(alone) == 4, "the halves that did not crash again stay together"


def test_those_who_were_hit_by_one_crash_are_back_at_one_moment_and_soon(fleet: Fleet) -> None:
    names = tuple("abcdefghijkl")
    fleet.paired(*names, sessions_per_worker=32)
    fleet.restart()
    fleet.advance(3)
    fleet.workers.crash("a")
    moments = {fleet.tracked(name).next_try_at for name in names}
    assert len(moments) == 1
    (moment,) = moments
    assert moment is not None
    assert (moment - fleet.now()).total_seconds() <= 0.25


@pytest.mark.parametrize("known", [True, False])
def test_a_first_dial_that_fails_is_tried_again_with_its_true_reason(fleet: Fleet, known: bool) -> None:
    restoring(fleet)
    if known:
        fleet.workers.tell("a", EVENTS["DialFailed"])
    fleet.workers.tell("a", ClientEnded(why="websocket: bad handshake"))
    fleet.advance(0.1)
    why = "the name web.whatsapp.com is not known" if known else "websocket: bad handshake"
    assert fleet.info("a").reason.startswith(f"{why}; next try in")
    fleet.workers.silent = False
    fleet.advance(10)
    assert fleet.state("a") is State.CONNECTED
    # The reason of one try is not the reason of the next.
    fleet.workers.tell("a", ClientEnded(why="something else"))
    assert fleet.info("a").reason.startswith("something else")


def test_an_outage_that_lasts_is_tried_ever_more_rarely(fleet: Fleet) -> None:
    linked(fleet)
    fleet.workers.tell("a", ClientEnded(why="the network is gone"))
    fleet.chance = 0.999
    for _ in range(2000):
        fleet.advance(5)
        if fleet.workers.client("a") is not None and fleet.tracked("a").next_try_at is None:
            fleet.workers.tell("a", ClientEnded(why="the network is gone"))
    assert 30 < len(fleet.launches("a")) < 60, "ten thousand seconds, at most one try in five minutes in the end"


def test_a_worker_that_is_gone_is_not_believed(fleet: Fleet) -> None:
    linked(fleet)
    former = fleet.tracked("a").worker_id
    fleet.workers.crash("a")
    fleet.workers.silent = False
    fleet.advance(5)
    for event in EVENTS.values():
        fleet.workers.tell("a", event, former)
        assert fleet.state("a") is State.CONNECTED
    gone = WorkerExited(worker_id=former or "", pid=1, sessions=("a",), asked=False, cause="late")
    fleet.reconciler.take(gone)
    assert fleet.state("a") is State.CONNECTED
    fleet.workers.tell("nobody", Connected(), former)


def test_a_linked_session_shows_no_code_and_leaves_the_client_that_wants_to(fleet: Fleet) -> None:
    restoring(fleet)
    fleet.workers.tell("a", EVENTS["QrShown"])
    assert fleet.tracked("a").shown is None
    fleet.workers.silent = False
    fleet.advance(1)
    assert ("a", "it asked to be paired although it is paired") in fleet.workers.releases
    assert not fleet.ledger.told("qr", "a")[1:], "only the one of its pairing"


def test_no_secret_is_told(fleet: Fleet) -> None:
    """The ledger and :meth:`Fleet.check` refuse them; this makes sure that there were some to refuse."""
    bring(fleet, State.PAIRING)
    shown = fleet.desk.pairing("a")
    assert shown is not None
    assert shown.payload == "https://wa.me/x#qr-in-secret"
    assert "qr-in-secret" not in repr(shown)
    fleet.workers.tell("a", EVENTS["CodeShown"])
    assert fleet.desk.pairing("a").code == "ABCD-2345"  # type: ignore[union-attr]
    fleet.advance(3601)
    assert fleet.desk.pairing("a") is None, "a code that is no longer valid is not shown"
    with pytest.raises(AssertionError, match="a secret was told"):
        fleet.ledger.check(f"{NUMBER}@s.whatsapp.net")
