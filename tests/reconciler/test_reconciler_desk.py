"""What people ask for, in every situation, and what they are told when it cannot be."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes import NUMBERS, Fleet

from wakit.control.schemas import EventLogged, Gap, Hello, PairingFrame, PairRequest, PlanRequest, SessionChanged
from wakit.core.declaration import Declaration, Pacing, Pairing, RestartPolicy, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import ControlError, DeclarationError, Location, UnknownSessionError, WorkerError
from wakit.redact import PhoneNumber, Secret
from wakit.whatsapp.port import Banned, CodeShown, LoggedOut, Refused, Replaced

A, B = SessionSpec("a"), SessionSpec("b")
PHONE = "+" + NUMBERS["a"]


def pair(fleet: Fleet, name: str = "a", **how: Any) -> None:
    fleet.workers.asked.add(name)
    fleet.run(fleet.desk.pair(name, PairRequest(**how)))


def refused(fleet: Fleet, ask: Callable[[], Any], why: str) -> ControlError:
    with pytest.raises(ControlError) as caught:
        fleet.run(ask())
    error = caught.value
    assert why in str(error)
    assert error.hint, "it says how to mend it"
    for secret in fleet.ledger.secrets:
        assert secret not in repr(error)
    return error


@pytest.mark.parametrize("request_", ["pair", "restart", "park", "resume"])
def test_nobody_of_that_name(fleet: Fleet, request_: str) -> None:
    fleet.paired("a")
    arguments = [PairRequest()] if request_ == "pair" else []
    with pytest.raises(UnknownSessionError, match="There is no session 'z'") as caught:
        fleet.run(getattr(fleet.desk, request_)("z", *arguments))
    assert caught.value.hint == "declared are a"
    for look in (fleet.desk.session, fleet.desk.pairing, lambda name: fleet.desk.logs(name, 1)):
        with pytest.raises(UnknownSessionError):
            look("../z")
    assert fleet.desk.find("z") is None


@pytest.mark.parametrize("request_", ["pair", "restart"])
def test_what_may_not_run_is_not_started(fleet: Fleet, request_: str) -> None:
    def ask() -> Any:
        return getattr(fleet.desk, request_)("a", *([PairRequest()] if request_ == "pair" else []))

    fleet.paired("a", "b", "c")
    fleet.declare(replace(A, enabled=False), B, SessionSpec("c"))
    fleet.advance(1)
    assert "enabled = true" in refused(fleet, ask, "it is not enabled").hint
    fleet.declare(A, B, SessionSpec("c"))
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    assert "wakit resume a" in refused(fleet, ask, "it is parked").hint
    fleet.run(fleet.desk.resume("a"))
    fleet.declare(replace(A, phone=PhoneNumber("+34611111111")), B, SessionSpec("c"))
    fleet.advance(1)
    refused(fleet, ask, "another number")
    fleet.declare(SessionSpec("c"))
    fleet.advance(1)
    assert fleet.info("a").held, "it left the file, and waits for a confirmation"
    refused(fleet, ask, "no longer in the file")
    for park in (fleet.desk.park, fleet.desk.resume):
        refused(fleet, lambda park=park: park("a"), "no longer in the file")


def test_a_restart_replaces_the_client(fleet: Fleet) -> None:
    fleet.paired("a")
    first = fleet.tracked("a").worker_id
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.tracked("a").worker_id != first
    assert ("a", "a person asked") in fleet.workers.releases


@pytest.mark.parametrize("event", [Replaced(), Banned(code="101", seconds=3000), Refused(code="409")])
@pytest.mark.parametrize("request_", ["pair", "restart"])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_person_ends_a_verdict(fleet: Fleet, event: Any, request_: str, at_once: bool) -> None:
    fleet.paired("a")
    fleet.workers.release_takes = 1.0
    fleet.workers.tell("a", event)
    fleet.advance(0.1 if at_once else 5)
    fleet.run(getattr(fleet.desk, request_)("a", *([PairRequest()] if request_ == "pair" else [])))
    fleet.advance(5)
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.launches("a")) == 2
    assert len(fleet.ledger.told("pair_started")) == 1, "it was linked all the time"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("kill", [True, False, None])
def test_an_unlinked_session_is_paired_when_a_person_asks(fleet: Fleet, at_once: bool, kill: bool | None) -> None:
    fleet.paired("a")
    fleet.workers.release_takes = 1.0
    fleet.workers.unlink("a")
    fleet.advance(0.1 if at_once else 60)
    if kill is not None:
        fleet.restart(kill=kill)
        fleet.advance(5)
    assert fleet.state("a") is State.LOGGED_OUT
    refused(fleet, lambda: fleet.desk.restart("a"), "its credential is unlinked")
    pair(fleet)
    fleet.advance(5)
    assert fleet.state("a") is State.PAIRING
    fleet.workers.scan("a", NUMBERS["a"])
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED


def test_a_pairing_is_chosen_for_this_once(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.advance(1)
    pair(fleet, method="code", phone=PHONE)
    pair(fleet, method="code", phone=PHONE)
    fleet.advance(1)
    pair(fleet, method="code", phone=PHONE)
    fleet.advance(1)
    starts = [(start.pairing, start.phone) for start in fleet.launches("a")]
    assert starts == [(Pairing.QR, None), (Pairing.CODE, PhoneNumber(PHONE))], "asked thrice, begun once"
    pair(fleet, method="code", phone="+34611111111")
    fleet.advance(1)
    assert fleet.launches("a")[-1].phone == PhoneNumber("+34611111111")
    fleet.advance(300)
    pair(fleet)
    fleet.advance(1)
    assert fleet.launches("a")[-1].pairing is Pairing.QR, "the next time it is as the file says"


def test_a_choice_made_while_the_other_way_is_being_launched_is_not_lost(fleet: Fleet) -> None:
    fleet.workers.launch_takes = 2.0
    fleet.declare(A)
    fleet.advance(1)
    pair(fleet, method="code", phone=PHONE)
    fleet.advance(10)
    assert [start.pairing for start in fleet.launches("a")] == [Pairing.QR, Pairing.CODE]


def test_whoever_asks_while_a_code_is_shown_sees_that_code(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.advance(1)
    shown = fleet.desk.pairing("a")
    pair(fleet)
    fleet.advance(1)
    assert shown is not None
    assert fleet.desk.pairing("a") == shown
    assert len(fleet.launches("a")) == 1


def test_a_person_does_not_wait_for_a_place(fleet: Fleet) -> None:
    fleet.declare(A, B, pacing=Pacing(pairings=1))
    fleet.advance(1)
    pair(fleet, "b")
    fleet.advance(1)
    assert [fleet.state(name) for name in "ab"] == [State.PAIRING, State.PAIRING]


def test_bad_numbers_are_refused_without_being_repeated(fleet: Fleet) -> None:
    fleet.declare(replace(A, phone=PhoneNumber(PHONE)), B)
    fleet.advance(1)
    fleet.ledger.secrets |= {"34611111111", "12ab"}
    refused(fleet, lambda: fleet.desk.pair("b", PairRequest(method="code")), "needs the account's number")
    refused(fleet, lambda: fleet.desk.pair("a", PairRequest(phone="+34611111111")), "not the one the file declares")
    unchecked = PairRequest.model_construct(method="code", phone="12ab")
    refused(fleet, lambda: fleet.desk.pair("b", unchecked), "8 to 15 digits")
    assert len(fleet.workers.launches) == 2


def test_parked_by_a_person_until_resumed_also_for_the_next_daemon(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    assert (fleet.state("a"), fleet.workers.client("a")) == (State.PARKED, None)
    fleet.restart(kill=True)
    fleet.advance(5)
    assert [fleet.state(name) for name in "ab"] == [State.PARKED, State.CONNECTED]
    assert fleet.reconciler.converged()
    fleet.run(fleet.desk.resume("a"))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED


def test_a_parked_session_shows_no_try(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.chance = 0.999
    fleet.workers.failures += [WorkerError("It did not start")] * 8
    fleet.workers.crash("a")
    fleet.advance(5)
    assert fleet.info("a").attempt > 1
    assert fleet.info("a").next_try_at is not None
    fleet.run(fleet.desk.park("a"))
    fleet.advance(60)
    assert (fleet.info("a").attempt, fleet.info("a").next_try_at) == (0, None)


def test_a_session_that_was_given_up_shows_as_many_tries_as_its_reason_says(fleet: Fleet) -> None:
    fleet.paired("a", restarts=RestartPolicy(limit=3, window=3600))
    while fleet.state("a") is not State.FAILED:
        fleet.workers.crash("a")
        fleet.advance(0.5)
    assert "3 tries failed" in fleet.info("a").reason
    assert fleet.info("a").attempt == 3


def test_a_login_is_a_sign_of_life(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    for name in "ab":
        assert fleet.info(name).last_seen_at == fleet.info(name).last_connected_at is not None
    before = fleet.info("a").last_seen_at
    fleet.workers.crash("a")
    fleet.advance(3)
    assert fleet.info("a").last_seen_at == fleet.info("a").last_connected_at != before


def test_workers_that_ended_are_counted_not_who_was_aboard(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c", sessions_per_worker=3)
    fleet.restart()
    fleet.advance(3)
    assert len(fleet.workers.live) == 1
    fleet.workers.crash("a")
    assert len(fleet.ledger.told("worker_exit")) >= 3
    assert fleet.desk.counters().worker_exits == 1
    fleet.advance(3)
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    fleet.run(fleet.desk.park("b"))
    fleet.advance(1)
    fleet.run(fleet.desk.park("c"))
    fleet.advance(1)
    assert not fleet.workers.live
    assert fleet.desk.counters().worker_exits == 3, "the two halves"


def test_while_the_daemon_ends_nobody_is_shown_as_connected_without_a_worker(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.run(fleet.desk.park("b"))
    fleet.advance(1)
    fleet.desk.waits_for = lambda: "1 workers to end"
    assert fleet.desk.session("a").state == "connected"
    worker = fleet.workers.worker_of("a")
    assert worker is not None
    fleet.workers.end(worker.worker_id, asked=True, cause="the daemon is ending")
    shown = {session.name: session for session in fleet.desk.status().sessions}
    assert (shown["a"].state, shown["a"].status, shown["a"].worker_pid) == ("declared", "pending", None)
    assert shown["a"].reason == "its client was stopped, for the daemon is ending"
    assert shown["b"].state == "parked"
    assert fleet.desk.find("a") == fleet.desk.session("a") == shown["a"]
    assert fleet.ledger.states("a")[-1] == "connected", "the next daemon takes it up as it was"


def test_parked_is_said_once_it_would_survive_the_daemon(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.run(fleet.desk.park("a"))
    fleet.restart(kill=True)
    fleet.advance(5)
    assert [fleet.state(name) for name in "ab"] == [State.PARKED, State.CONNECTED]
    fleet.run(fleet.desk.resume("a"))
    fleet.restart(kill=True)
    fleet.advance(5)
    assert fleet.state("a") is State.CONNECTED


def test_parked_on_a_full_disk_is_parked_and_says_for_how_long(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_name: str, **_changes: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fleet.paired("a")
    monkeypatch.setattr(fleet.vault, "update", full)
    refused(fleet, lambda: fleet.desk.park("a"), "No space left on device")
    fleet.advance(1)
    assert fleet.state("a") is State.PARKED


def test_who_parks_after_asking_for_a_restart_means_it(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.workers.release_takes = 2.0
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    fleet.run(fleet.desk.resume("a"))
    fleet.run(fleet.desk.restart("a"))
    fleet.run(fleet.desk.park("a"))
    fleet.advance(10)
    assert (fleet.state("a"), fleet.tracked("a").request) == (State.PARKED, None)
    assert len(fleet.launches("a")) == 1


def test_a_copy_that_was_put_back_is_found_by_a_restart(fleet: Fleet) -> None:
    fleet.paired("a")
    database = fleet.layout.session("a", "shared") / "creds.db"
    fleet.stop()
    shutil.move(database, database.with_suffix(".copy"))
    fleet._boot()
    fleet.advance(5)
    assert fleet.state("a") is State.FAILED
    refused(fleet, lambda: fleet.desk.restart("a"), "its credential is damaged")
    shutil.move(database.with_suffix(".copy"), database)
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED


def test_a_damaged_credential_can_be_paired_anew_and_is_kept_as_evidence(fleet: Fleet) -> None:
    fleet.paired("a")
    folder = fleet.layout.session("a", "shared")
    fleet.stop()
    (folder / "creds.db").write_bytes(b"")
    fleet._boot()
    fleet.advance(5)
    pair(fleet)
    fleet.advance(1)
    assert fleet.state("a") is State.PAIRING
    assert len(list(folder.glob("evidence/*/creds.db"))) == 1
    fleet.workers.scan("a", NUMBERS["a"])
    fleet.advance(1)
    assert fleet.state("a") is State.CONNECTED


def test_a_plan_and_an_apply(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c")
    fleet.declare(A, B)
    shown = fleet.desk.plan()
    assert [(action.action, action.session) for action in shown.actions] == [("retire", "c")]
    assert shown.actions[0].text.startswith("retire c: no longer in the file")
    applied = fleet.run(fleet.desk.apply(confirm=False))
    assert applied.actions == shown.actions
    fleet.advance(1)
    assert not fleet.desk.plan().actions


def test_a_hold_says_what_ends_it(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.declare(A, B)
    fleet.advance(1)
    fleet.workers.scan("b", NUMBERS["a"])
    fleet.advance(2)
    told = fleet.desk.plan()
    assert set(told.held) == {"b"}
    assert told.hints == {"b": "take b out of the file; its credential is then archived"}
    assert fleet.run(fleet.desk.apply(confirm=True)).hints == told.hints, "confirming does not help"
    fleet.declare(A)
    fleet.advance(1)
    assert fleet.vault.find("b").credential is Credential.ARCHIVED
    assert fleet.desk.plan().hints == {}


def test_a_draft_is_planned_for_and_nothing_is_done(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c")
    text = '[sessions.a]\nenabled = false\n[sessions.d]\n[sessions.e]\nrenamed_from = "b"\n'
    before = len(fleet.ledger.records)
    told = fleet.run(fleet.desk.plan_of(PlanRequest(path="/y/draft.toml", text=text)))
    assert {action.session: action.action for action in told.actions} == {
        "a": "park",
        "c": "retire",
        "d": "create",
        "e": "rename",
    }
    assert told.declaration.path == "/y/draft.toml"
    fleet.advance(60)
    assert len(fleet.ledger.records) == before
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}
    assert fleet.desk.daemon().declaration.path == "/x/sessions.toml"


def test_a_draft_that_would_hold_something_says_what_ends_it(fleet: Fleet) -> None:
    fleet.paired(*"abc")
    told = fleet.run(fleet.desk.plan_of(PlanRequest(path="/y/draft.toml", text="[wakit]\n")))
    assert {action.action for action in told.actions} == {"hold"}
    assert set(told.held) == set("abc")
    assert all("wakit apply --confirm" in hint for hint in told.hints.values())


def test_a_draft_is_adapted_as_the_file_is(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal takes no proxy: a copy of its own file must not look like a change."""
    fleet.paired("a")
    text = '[sessions.a]\nproxy = "socks5://u:hunter2@127.0.0.1:1"\n'
    ask = PlanRequest(path="/y/draft.toml", text=text)
    assert [action.action for action in fleet.run(fleet.desk.plan_of(ask)).actions] == ["restart"]

    def without_proxies(found: Declaration) -> Declaration:
        return replace(found, sessions={name: replace(spec, proxy=None) for name, spec in found.sessions.items()})

    monkeypatch.setattr(fleet.desk, "_adapt", without_proxies)
    assert not fleet.run(fleet.desk.plan_of(ask)).actions


@pytest.mark.parametrize("text", ["x" * ((1 << 20) + 1), "\ud800"])
def test_a_draft_that_is_no_file_is_refused_before_anything_reads_it(text: str) -> None:
    with pytest.raises(ValueError, match="text") as caught:
        PlanRequest(path="/y/draft.toml", text=text)
    assert "xxx" not in str(caught.value)


def test_a_draft_that_is_no_declaration_is_refused(fleet: Fleet) -> None:
    fleet.paired("a")
    with pytest.raises(DeclarationError, match="unknown key") as caught:
        fleet.run(fleet.desk.plan_of(PlanRequest(path="/y/draft.toml", text="[sessions.a]\nenabld = true\n")))
    assert caught.value.location == Location("/y/draft.toml", 2, 1)


def test_apply_does_not_wait_for_a_pause(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.disk_faults.append(OSError(28, "no space left on device"))
    fleet.chance = 0.999
    fleet.declare(B)
    fleet.advance(0.5)
    assert fleet.vault.find("a").credential is Credential.PRESENT
    fleet.run(fleet.desk.apply(confirm=False))
    fleet.advance(0.5)
    assert fleet.vault.find("a").credential is Credential.ARCHIVED


def test_what_is_known_of_the_daemon_and_its_file(fleet: Fleet) -> None:
    assert fleet.desk.daemon().declaration.rev == 0
    fleet.paired("b", "a")
    status = fleet.desk.status()
    assert [session.name for session in status.sessions] == ["b", "a"], "in the file's order"
    assert status.daemon.converged
    assert status.daemon.declaration.rev == 1
    fleet.reconciler.refuse(
        DeclarationError("The number +34 600 000 001 is declared twice", location=Location("s.toml", 2, 1), hint="one")
    )
    error = fleet.desk.daemon().declaration.error or ""
    assert error.startswith("s.toml:2:1: The number")
    assert "600" not in error
    counters = fleet.desk.counters()
    assert (counters.events_logged, counters.worker_exits) == (len(fleet.ledger.records), 0)
    assert fleet.desk.journal(since=0).seq == len(fleet.ledger.records)
    assert fleet.run(fleet.desk.sql("SELECT 1", None, seconds=1.0, max_rows=5)) == b"SELECT 1 None 1.0 5"
    assert status.daemon.stuck_queries == 0
    fleet.ledger.unstoppable = 2
    assert fleet.desk.daemon().stuck_queries == 2
    assert fleet.desk.logs("a", 3) == ["a 3"]
    fleet.run(fleet.desk.shutdown())
    assert fleet.stopped


def test_a_live_stream_begins_with_everything_and_tells_each_event_once(fleet: Fleet) -> None:
    fleet.paired("a")

    async def listen() -> list[Any]:
        frames: list[Any] = []
        stream = fleet.desk.live(pairing="a", since=3)
        frames.append(await anext(stream))
        fleet.roster.log("warning", reason="while the replay is read")
        overlap = fleet.ledger.last_seq()
        fleet.feed.gap(2, 4)
        fleet.workers.tell("a", LoggedOut(code="401"))
        fleet.feed.close()
        frames += [frame async for frame in stream]
        assert overlap in [f.event.seq for f in frames if isinstance(f, EventLogged)]
        return frames

    frames = fleet.run(listen())
    assert isinstance(frames[0], Hello)
    assert [session.state for session in frames[0].sessions] == ["connected"]
    numbers = [frame.event.seq for frame in frames if isinstance(frame, EventLogged)]
    assert numbers == list(range(4, fleet.ledger.last_seq() + 1))
    assert not [frame for frame in frames if isinstance(frame, Gap)], "what the replay told is not missing"
    assert [frame.session.state for frame in frames if isinstance(frame, SessionChanged)] == ["logged_out"]
    assert any(isinstance(frame, PairingFrame) and frame.shown is None for frame in frames)


def test_only_who_asks_for_a_pairing_is_told_its_code(fleet: Fleet) -> None:
    fleet.declare(A)
    fleet.workers.silent = True
    fleet.advance(1)

    async def listen(pairing: str | None) -> list[Any]:
        with fleet.feed.listening(pairing) as listener:
            until = fleet.now().replace(year=2027)
            fleet.workers.tell("a", CodeShown(code=Secret("WXYZ-6789"), expires_at=until))
            listener.close()
            return [frame async for frame in listener.frames()]

    fleet.ledger.secrets.add("WXYZ-6789")
    told = fleet.run(listen("a"))
    assert [frame.shown.code for frame in told if isinstance(frame, PairingFrame)] == ["WXYZ-6789"]
    others = "".join(frame.model_dump_json() for frame in fleet.run(listen(None)))
    assert "WXYZ" not in others
    with pytest.raises(UnknownSessionError):
        fleet.run(anext(fleet.desk.live(pairing="z")))


def test_a_long_past_is_told_as_a_gap_and_its_newest_events(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wakit.reconciler.desk.REPLAYED", 3)
    fleet.paired("a")
    last = fleet.ledger.last_seq()
    all_of_them = fleet.ledger.events_since

    async def newest(seq: int) -> Any:
        return (await all_of_them(seq))[-3:]

    monkeypatch.setattr(fleet.ledger, "events_since", newest)

    async def listen() -> list[Any]:
        fleet.feed.close()
        return [frame async for frame in fleet.desk.live(since=2)]

    told = [(f.first, f.last) if isinstance(f, Gap) else f.event.seq for f in fleet.run(listen())[1:]]
    assert told == [(3, last - 3), last - 2, last - 1, last]


def test_whoever_names_no_way_to_pair_sees_what_is_shown(fleet: Fleet) -> None:
    """A plain `wakit pair` in a second terminal must not void the code that is being typed."""
    fleet.declare(SessionSpec("a"))
    fleet.advance(1)
    pair(fleet, "a", method="code", phone="+34600000009")
    fleet.advance(2)
    begun = len(fleet.launches("a"))
    assert fleet.launches("a")[-1].pairing is Pairing.CODE
    pair(fleet, "a")
    fleet.advance(2)
    assert len(fleet.launches("a")) == begun
