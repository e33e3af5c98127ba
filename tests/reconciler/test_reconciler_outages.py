"""One incident instead of many: the network is lost, WhatsApp is away, the client is outdated."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from fakes import NUMBERS, Fleet

from wakit.control.schemas import PairRequest
from wakit.core.breaker import Trouble
from wakit.core.clock import Jump, Surprise
from wakit.core.declaration import Pacing, RestartPolicy, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.release import Release
from wakit.errors import HeldError, WorkerError
from wakit.redact import Secret
from wakit.whatsapp.port import (
    Banned,
    ClientEnded,
    Connected,
    ConnectionLost,
    DialFailed,
    DialFailure,
    Outdated,
    Paired,
    PairingExpired,
    SessionEvent,
)

NO_NAME = DialFailed(cause=DialFailure.NAME_LOOKUP, detail="name look-up of web.whatsapp.com failed")
TIMED_OUT = DialFailed(cause=DialFailure.TIMEOUT, detail="no answer from web.whatsapp.com")
GAVE_UP = ClientEnded(why="the connection failed", cause=DialFailure.NAME_LOOKUP)
FEW = "abcde"
MANY = "abcdefghijklmnopqrst"


def lose(fleet: Fleet, *names: str, event: SessionEvent = NO_NAME) -> None:
    """The connections drop, and the first redial fails."""
    for name in names:
        fleet.workers.tell(name, ConnectionLost(why="the connection dropped"))
        fleet.workers.tell(name, event)


def offline(fleet: Fleet, names: str = FEW) -> None:
    """A fleet whose network is gone; new clients say nothing by themselves."""
    fleet.paired(*names)
    fleet.advance(120)
    fleet.workers.silent = True
    lose(fleet, *names)
    fleet.advance(0.1)
    assert fleet.roster.outlook.outage is not None


def fail(fleet: Fleet, name: str) -> None:
    """The first dial of a start fails, which ends the client."""
    fleet.workers.tell(name, NO_NAME)
    fleet.workers.tell(name, GAVE_UP)


def running(fleet: Fleet) -> set[str]:
    return {name for name, tracked in fleet.roster.sessions.items() if tracked.running is not None}


# -- the network -----------------------------------------------------------------------------------------------------


def test_one_whose_retirement_waits_counts_as_one_of_the_fleet(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c")
    fleet.advance(120)
    fleet.declare(SessionSpec("a"))
    fleet.advance(1)
    assert {fleet.info(name).held is not None for name in "bc"} == {True}
    fleet.workers.tell("b", ConnectionLost(why="the connection dropped"))
    for _ in range(6):  # of a fleet of one, three were enough
        fleet.workers.tell("b", TIMED_OUT)
        fleet.advance(10)
    assert fleet.ledger.told("outage") == [], "the others are connected"
    lose(fleet, "c")
    fleet.workers.tell("b", NO_NAME)
    fleet.advance(0.1)
    (opened,) = fleet.ledger.told("outage")
    assert opened.detail["sessions"] == 2
    fleet.workers.crash("c")
    fleet.advance(120)
    assert fleet.state("c") is State.CONNECTED, "the probe was one of them"
    assert len(fleet.ledger.told("outage_over")) == 1


def test_a_lost_network_is_one_event_for_all_and_one_when_it_is_back(fleet: Fleet) -> None:
    offline(fleet)
    (opened,) = fleet.ledger.told("outage")
    assert (opened.session, opened.code, opened.detail["sessions"]) == (None, "network", 2)
    for name in FEW:
        assert fleet.state(name) is State.RECONNECTING
        assert "the network is lost since 2026-01-01" in fleet.info(name).reason
    info = fleet.desk.daemon().outage
    assert info is not None
    assert (info.trouble, info.sessions) == ("network", len(FEW))

    fleet.advance(60)
    fleet.workers.tell("c", Connected())
    fleet.advance(0.1)
    (over,) = fleet.ledger.told("outage_over")
    assert (over.session, over.code, over.detail["sessions"]) == (None, "network", len(FEW))
    assert over.detail["seconds"] == pytest.approx(60, abs=1)
    assert "c got through" in over.reason
    assert fleet.desk.daemon().outage is None


def test_one_that_is_renamed_meanwhile_counts_once(fleet: Fleet) -> None:
    offline(fleet, "abc")
    fleet.declare(SessionSpec("x", renamed_from="a"), SessionSpec("b"), SessionSpec("c"))
    fleet.advance(1)
    assert "x" in fleet.roster.sessions
    for _ in range(60):
        for name in running(fleet):
            fail(fleet, name)
        fleet.advance(1)
    fleet.workers.silent = False
    fleet.advance(120)
    (over,) = fleet.ledger.told("outage_over")
    assert over.detail["sessions"] == 3
    assert "it hit 3 sessions" in over.reason


def test_nobody_is_started_while_it_lasts_but_one_probe_at_a_time(fleet: Fleet) -> None:
    offline(fleet)
    launched = len(fleet.workers.launches)
    for name in FEW:
        fleet.workers.tell(name, GAVE_UP)
    fleet.advance(1)
    assert running(fleet) == set()
    assert len(fleet.workers.launches) == launched
    for _ in range(240):
        fleet.advance(1)
        assert len(running(fleet)) <= 1
        for name in running(fleet):
            fail(fleet, name)
    probes = [start.name for launch in fleet.workers.launches[launched:] for start in launch.sessions]
    assert set(probes) == set(FEW), "each has its turn: one of them may have a trouble of its own"
    # Pauses that grow by a twentieth, from four seconds to half a minute, drawn at 0.5, and a start between them.
    assert 30 <= len(probes) <= 45
    assert len(fleet.ledger.told("outage")) == 1
    for name in FEW:
        assert (fleet.info(name).attempt, fleet.tracked(name).failures.at) == (0, ())


def test_all_that_wait_come_back_at_once_when_one_gets_through(fleet: Fleet) -> None:
    offline(fleet)
    for name in FEW:
        fleet.workers.tell(name, GAVE_UP)
    fleet.advance(600)
    fleet.workers.silent = False
    for name in running(fleet):
        fail(fleet, name)
    fleet.advance(120)
    (over,) = fleet.ledger.told("outage_over")
    back = {name: fleet.tracked(name).last_connected_at for name in FEW}
    assert all(moment is not None and moment - over.ts <= timedelta(seconds=1) for moment in back.values()), back


def test_whom_the_library_would_let_wait_is_started_anew_and_nobody_pays_for_it(fleet: Fleet) -> None:
    offline(fleet)
    fleet.advance(14)
    fleet.workers.silent = False
    fleet.workers.tell("a", Connected())
    fleet.advance(0.5)
    assert {fleet.state(name) for name in FEW[1:]} == {State.RECONNECTING}, "its next redial is near"
    lose(fleet, "a")
    lose(fleet, "b")
    fleet.advance(1)
    fleet.workers.tell("a", Connected())
    fleet.advance(2)
    assert {fleet.state(name) for name in FEW} == {State.CONNECTED}
    assert all(fleet.info(name).attempt == 0 for name in FEW)


def test_whose_dial_is_under_way_when_it_is_over_is_left_to_it(fleet: Fleet) -> None:
    """Taken down, it would dial and log in a second time within a second."""
    names = FEW + "f"
    offline(fleet, names)
    fleet.advance(13)
    fleet.roster.queue("f", True)
    fleet.advance(2)
    for name in "abcd":
        fleet.workers.dial(name)
    fleet.workers.tell("d", NO_NAME)
    fleet.workers.silent = False
    fleet.workers.releases.clear()
    fleet.workers.tell("a", Connected())
    fleet.advance(0.5)
    assert {name for name, _ in fleet.workers.releases} == {"d", "e"}, "their libraries pause"
    fleet.workers.tell("b", Connected())
    fleet.advance(2)
    assert {fleet.state(name) for name in "abde"} == {State.CONNECTED}
    assert {name for name, _ in fleet.workers.releases} == {"d", "e"}
    fleet.advance(1)
    assert {name for name, _ in fleet.workers.releases} == {"c", "d", "e"}, "nothing came of it"
    fleet.roster.queue("f", False)
    fleet.workers.tell("f", NO_NAME)
    fleet.advance(1)
    assert {name for name, _ in fleet.workers.releases} == {"c", "d", "e", "f"}, "its turn did not come in time"
    assert {fleet.state(name) for name in names} == {State.CONNECTED}
    assert len(fleet.launches("b")) == 1


def test_who_logs_in_before_it_is_taken_out_of_its_worker_stays(fleet: Fleet) -> None:
    offline(fleet, "abc")
    fleet.advance(20)
    fleet.workers.releases.clear()
    fleet.workers.silent = False

    async def at_one_moment() -> None:
        fleet.workers.tell("a", Connected())
        assert fleet.tracked("b").busy
        fleet.workers.tell("b", Connected())

    fleet.run(at_one_moment())
    fleet.advance(30)
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}
    assert "b" not in {name for name, _ in fleet.workers.releases}


def test_while_the_library_waits_two_take_turns_as_the_probe(fleet: Fleet) -> None:
    """Its pauses grow by two seconds with each redial that fails, without an end."""
    offline(fleet)
    launched = len(fleet.workers.launches)
    fleet.advance(14)
    assert len(fleet.workers.launches) == launched, "the library's own redials are left alone at first"
    for _ in range(180):
        fleet.advance(1)
        probing = [name for name in running(fleet) if fleet.tracked(name).by_start]
        assert len(probing) <= 1
        for name in probing:
            fail(fleet, name)
    probes = [start.name for launch in fleet.workers.launches[launched:] for start in launch.sessions]
    assert probes[:10] == [*"ababababab"], "the others are left to the library"
    assert "c" in probes[10:20], "but after ten in vain one more takes turns"
    assert "e" not in probes
    fleet.workers.silent = False
    fleet.advance(20)
    assert {fleet.state(name) for name in FEW} == {State.CONNECTED}
    assert all(fleet.info(name).attempt == 0 for name in FEW)
    assert len(fleet.ledger.told("outage_over")) == 1


def test_a_short_loss_is_left_to_the_library(fleet: Fleet) -> None:
    offline(fleet)
    launched = len(fleet.workers.launches)
    fleet.advance(5)
    for name in FEW:
        fleet.workers.tell(name, Connected())
    fleet.advance(1)
    assert {fleet.state(name) for name in FEW} == {State.CONNECTED}
    assert len(fleet.workers.launches) == launched


def test_a_fleet_that_shares_workers_comes_back_in_shared_ones(fleet: Fleet) -> None:
    offline(fleet, MANY)
    for name in MANY:
        fleet.workers.tell(name, GAVE_UP)
    fleet.advance(300)
    fleet.workers.silent = False
    for name in running(fleet):
        fail(fleet, name)
    launched = len(fleet.workers.launches)
    fleet.advance(60)
    assert {fleet.state(name) for name in MANY} == {State.CONNECTED}
    # The probes, which were alone, and the workers that all the others share.
    assert len(fleet.workers.launches) - launched <= 4


def test_with_connected_ones_aboard_the_library_has_more_time(fleet: Fleet) -> None:
    """One that does not leave in time takes the whole worker along."""
    fleet.workers.one_may_leave = False
    fleet.paired(*MANY)
    fleet.advance(120)
    fleet.restart()
    fleet.advance(60)
    (shared,) = {fleet.tracked(name).worker_id for name in MANY}
    assert shared is not None
    fleet.workers.silent = True
    lost = MANY[:5]
    lose(fleet, *lost, event=TIMED_OUT)
    fleet.advance(0.1)
    assert fleet.roster.outlook.outage is not None
    fleet.advance(120)
    assert {fleet.state(name) for name in MANY[5:]} == {State.CONNECTED}
    assert fleet.workers.releases == []


def test_the_first_whom_the_library_lets_wait_are_those_without_a_proxy(fleet: Fleet) -> None:
    proxy = Secret("socks5://user:hunter2@127.0.0.1:1")
    fleet.paired(*FEW)
    fleet.declare(*(SessionSpec(name, proxy=proxy if name in "ab" else None) for name in FEW))
    fleet.advance(120)
    fleet.workers.silent = True
    lose(fleet, *FEW)
    fleet.advance(25)
    assert fleet.roster.outlook.outage is not None
    assert fleet.roster.outlook.outage.probing == "c"


def test_a_probe_that_does_not_leave_its_worker_is_followed_by_another(fleet: Fleet) -> None:
    offline(fleet)
    fleet.workers.release_failures = [OSError("no")]
    fleet.advance(20)
    launched = [start.name for launch in fleet.workers.launches[len(FEW) :] for start in launch.sessions]
    assert launched[:1] == ["b"], launched


def test_an_alarm_within_an_outage_leaves_the_librarys_redials_alone(fleet: Fleet) -> None:
    """They are the logins that say most about it."""
    offline(fleet)
    fleet.advance(14)
    fleet.tracked("a").entrusted_at = fleet.tracked("b").entrusted_at = fleet.now() - timedelta(seconds=60)
    fleet.workers.tell("c", Outdated())
    fleet.advance(1)
    outage = fleet.roster.outlook.outage
    assert outage is not None
    assert outage.trouble is Trouble.OUTDATED
    assert running(fleet) == set(FEW) - {"c"}
    fleet.workers.dial("a")
    fleet.workers.tell("a", Connected())
    fleet.advance(0.1)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.roster.outlook.outage.disputed_by == "a"


def test_one_that_could_not_leave_is_tried_again_while_the_others_start(fleet: Fleet) -> None:
    offline(fleet, MANY)
    fleet.advance(16)
    probe = {name for name in MANY if fleet.tracked(name).by_start}
    fleet.workers.silent = False
    fleet.workers.release_failures = [OSError("no")]
    fleet.workers.tell("c", Connected())
    fleet.advance(30)
    assert {fleet.state(name) for name in set(MANY) - probe} == {State.CONNECTED}
    assert not fleet.workers.release_failures


@pytest.mark.parametrize("hangs", [False, True])
def test_those_who_leave_shared_workers_start_once_the_last_has_left(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """But for one that hangs, which is waited for no longer than two seconds."""
    offline(fleet, MANY)
    fleet.advance(16)
    probe = {name for name in MANY if fleet.tracked(name).by_start}
    launched, release = len(fleet.workers.launches), fleet.workers.release

    async def slowly(worker_id: str, session: str, *, why: str) -> None:
        if session == "t" and hangs:
            await asyncio.sleep(10)
        await release(worker_id, session, why=why)

    monkeypatch.setattr(fleet.workers, "release", slowly)
    fleet.workers.silent = False
    fleet.workers.tell("c", Connected())
    rest = set(MANY) - probe - {"c", "t"}
    fleet.advance(1)
    assert {fleet.state(name) for name in rest} == ({State.RECONNECTING} if hangs else {State.CONNECTED})
    fleet.advance(1.5)
    assert {fleet.state(name) for name in rest} == {State.CONNECTED}
    assert len(fleet.workers.launches) - launched == 1, "they share a worker"
    assert (fleet.state("t") is State.CONNECTED) is not hangs
    fleet.advance(10)
    assert fleet.state("t") is State.CONNECTED


def test_failures_from_before_it_was_known_are_given_back(fleet: Fleet) -> None:
    fleet.paired(*FEW)
    fleet.advance(120)
    fleet.workers.silent = True
    lose(fleet, "a")
    fleet.workers.tell("a", GAVE_UP)
    assert (fleet.info("a").attempt, len(fleet.tracked("a").failures.at)) == (1, 1)
    lose(fleet, "b")
    assert fleet.roster.outlook.outage is not None
    assert (fleet.info("a").attempt, len(fleet.tracked("a").failures.at)) == (0, 0)


def test_one_broken_proxy_is_that_sessions_own_trouble(fleet: Fleet) -> None:
    proxy = Secret("socks5://user:hunter2@127.0.0.1:1")
    fleet.paired("a", "b")
    fleet.declare(SessionSpec("a", proxy=proxy), SessionSpec("b"))
    fleet.advance(3)
    fleet.workers.silent = True
    down = DialFailure.PROXY_UNREACHABLE
    lose(fleet, "a", event=DialFailed(cause=down, detail="the session's proxy does not answer"))
    fleet.workers.tell("a", ClientEnded(why="it failed", cause=down))
    fleet.advance(0.1)
    assert fleet.roster.outlook.outage is None
    assert "the session's proxy does not answer" in fleet.info("a").reason
    assert fleet.info("a").attempt == 1


def test_a_new_session_waits_like_the_others_and_one_that_a_person_asks_for_does_not(fleet: Fleet) -> None:
    offline(fleet)
    for name in FEW:
        fleet.workers.tell(name, GAVE_UP)
    fleet.advance(0.5)
    fleet.declare(*(SessionSpec(name) for name in (*FEW, "x")))
    fleet.advance(0.5)
    assert fleet.state("x") is State.DECLARED
    assert "the network is lost" in fleet.info("x").reason
    fleet.run(fleet.desk.pair("x", PairRequest()))
    fleet.advance(1)
    assert fleet.tracked("x").running is not None
    fail(fleet, "x")
    launched = len(fleet.launches("x"))
    fleet.advance(29)
    assert len(fleet.launches("x")) == launched, "what is asked for is tried again, but not without a pause"
    fleet.advance(3)
    assert len(fleet.launches("x")) == launched + 1


def test_when_nobody_waits_any_more_it_is_over(fleet: Fleet) -> None:
    offline(fleet, "ab")
    for name in "ab":
        fleet.run(fleet.desk.park(name))
    fleet.advance(120)
    assert fleet.roster.outlook.outage is None
    (over,) = fleet.ledger.told("outage_over")
    assert "nobody waits" in over.reason


def test_an_edit_of_the_file_tries_at_once(fleet: Fleet) -> None:
    offline(fleet)
    for name in FEW:
        fleet.workers.tell(name, GAVE_UP)
    fleet.advance(300)
    for name in running(fleet):
        fail(fleet, name)
    fleet.advance(0.1)
    outage = fleet.roster.outlook.outage
    assert outage is not None
    assert outage.probe_at - fleet.now() > timedelta(seconds=2)
    fleet.run(fleet.desk.apply(confirm=False))
    fleet.advance(0.5)
    assert len(running(fleet)) == 1


# -- WhatsApp --------------------------------------------------------------------------------------------------------


def test_logins_that_are_answered_with_503_are_one_incident(fleet: Fleet) -> None:
    fleet.paired(*FEW)
    fleet.workers.silent = True
    for name in FEW:
        fleet.workers.tell(name, ConnectionLost(why="WhatsApp sent stream error 503", code="503"))
    assert fleet.roster.outlook.outage is None, "a server that restarts sends its clients away, and takes them back"
    for name in FEW:
        fleet.workers.tell(name, ConnectionLost(why="WhatsApp answered 503", code="503"))
    (opened,) = fleet.ledger.told("outage")
    assert (opened.code, opened.session) == ("service", None)
    assert "WhatsApp serves nobody since" in fleet.info("a").reason


# -- an outdated client ----------------------------------------------------------------------------------------------


def outdated(fleet: Fleet) -> None:
    """a is told that it is outdated while b is connected and c is on its way."""
    fleet.paired("a", "b", "c")
    fleet.workers.silent = True
    for name in "ac":
        fleet.run(fleet.desk.restart(name))
    fleet.advance(1)
    assert {fleet.state(name) for name in "ac"} == {State.STARTING}
    fleet.workers.tell("a", Outdated())
    fleet.advance(1)


def test_one_outdated_client_is_an_alarm_for_all_and_nobody_else_is_started(fleet: Fleet) -> None:
    outdated(fleet)
    (opened,) = fleet.ledger.told("outage")
    assert (opened.code, opened.session) == ("outdated", None)
    assert fleet.state("a") is State.OUTDATED
    assert "WhatsApp refuses this version" in fleet.desk.plan().waiting["a"], "not a person: it is tried again"
    assert fleet.info("a").reason.endswith("upgrade wakit, then `wakit down` and `wakit up`")
    assert fleet.state("b") is State.CONNECTED
    assert fleet.state("c") is State.RECONNECTING
    for name in "ac":
        assert "upgrade wakit" in fleet.info(name).reason
    launched = len(fleet.workers.launches)
    fleet.declare(*(SessionSpec(name) for name in "abcd"))
    fleet.declare(SessionSpec("a"), SessionSpec("b", device_name="other"), SessionSpec("c"), SessionSpec("d"))
    fleet.advance(1500)
    assert len(fleet.workers.launches) == launched
    assert running(fleet) == {"b"}
    assert "upgrade wakit" in fleet.info("d").reason


def test_after_a_long_pause_one_that_was_refused_tries_and_all_come_back_with_it(fleet: Fleet) -> None:
    outdated(fleet)
    fleet.workers.silent = False
    fleet.advance(1900)
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}
    first, *_ = [start.name for launch in fleet.workers.launches for start in launch.sessions][-2:]
    assert first == "a"
    (over,) = fleet.ledger.told("outage_over")
    assert over.code == "outdated"


def test_a_probe_that_is_refused_again_waits_longer(fleet: Fleet) -> None:
    outdated(fleet)
    launched = len(fleet.workers.launches)
    for _ in range(24 * 60):
        fleet.advance(60)
        if fleet.tracked("a").running is not None:
            assert fleet.tracked("c").running is None
            fleet.workers.tell("a", Outdated())
            fleet.advance(1)
    assert 3 <= len(fleet.workers.launches) - launched <= 8, "a few tries a day"
    assert len(fleet.ledger.told("outage")) == 1


def test_a_person_who_restarts_one_after_an_upgrade_brings_all_back(fleet: Fleet) -> None:
    outdated(fleet)
    fleet.workers.silent = False
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(2)
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}


def test_who_restarts_a_refused_one_twice_brings_it_back_all_the_same(fleet: Fleet) -> None:
    outdated(fleet)
    fleet.workers.launch_takes = 5.0
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    fleet.run(fleet.desk.restart("a"))  # it is starting: whoever asked saw an older word
    fleet.workers.silent = False
    fleet.advance(30)
    assert [fleet.state(name) for name in "abc"] == [State.CONNECTED] * 3


def test_a_connected_one_that_a_person_restarts_meanwhile_comes_back(fleet: Fleet) -> None:
    outdated(fleet)
    fleet.workers.silent = False
    fleet.run(fleet.desk.restart("b"))
    fleet.advance(10)
    assert [fleet.state(name) for name in "abc"] == [State.OUTDATED, State.CONNECTED, State.RECONNECTING]


def test_who_only_loses_a_connection_meanwhile_is_not_said_to_be_outdated(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c", "d")
    fleet.workers.silent = True
    fleet.workers.tell("d", ConnectionLost(why="the connection dropped"))
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    fleet.workers.tell("a", Outdated())
    fleet.advance(1)
    fleet.workers.tell("b", ConnectionLost(why="the connection dropped"))
    fleet.workers.tell("c", TIMED_OUT)
    fleet.advance(1)
    assert "WhatsApp refuses this version" in fleet.info("a").reason
    for name, own in (("b", "the connection dropped"), ("c", "no answer from"), ("d", "the connection dropped")):
        assert own in fleet.info(name).reason, name
        assert own in fleet.ledger.told("state", name)[-1].reason, name


def launches_of(fleet: Fleet, name: str) -> int:
    return sum(start.name == name for launch in fleet.workers.launches for start in launch.sessions)


def test_a_restart_that_the_alarm_stopped_says_so_and_is_tried_once_each_time_a_person_asks(fleet: Fleet) -> None:
    outdated(fleet)  # c was on its way because a person asked
    assert "upgrade wakit" in fleet.info("c").reason
    assert "upgrade wakit" in fleet.desk.plan().waiting["c"]
    before = launches_of(fleet, "c")
    fleet.advance(1500)
    assert launches_of(fleet, "c") == before
    for tries in (1, 2):
        fleet.run(fleet.desk.restart("c"))
        fleet.advance(1)
        assert launches_of(fleet, "c") == before + tries
        fleet.workers.tell("c", Outdated())
        fleet.advance(60)
        assert launches_of(fleet, "c") == before + tries, "nobody asked again"
        assert fleet.state("c") is State.OUTDATED
        assert "upgrade wakit" in fleet.info("c").reason


def test_a_pairing_that_the_alarm_stopped_goes_on_with_the_next_probe_and_at_once_if_asked_again(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.declare(SessionSpec("a"), SessionSpec("new"))
    fleet.advance(1)
    fleet.workers.silent = True
    fleet.workers.tell("new", PairingExpired())
    fleet.advance(1)
    fleet.run(fleet.desk.restart("a"))
    fleet.run(fleet.desk.pair("new", PairRequest()))
    fleet.advance(1)
    fleet.workers.tell("a", Outdated())
    fleet.advance(1)
    assert running(fleet) == set()
    before = launches_of(fleet, "new")
    assert "upgrade wakit" in fleet.info("new").reason
    assert "next try in" in fleet.desk.plan().waiting["new"]
    fleet.advance(1500)
    assert launches_of(fleet, "new") == before
    fleet.run(fleet.desk.pair("new", PairRequest()))
    fleet.advance(1)
    assert launches_of(fleet, "new") == before + 1


def test_one_that_is_resumed_during_the_alarm_is_not_started_and_says_why(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.run(fleet.desk.park("b"))
    fleet.workers.silent = True
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    fleet.workers.tell("a", Outdated())
    fleet.advance(1)
    before = launches_of(fleet, "b")
    fleet.run(fleet.desk.resume("b"))
    assert "upgrade wakit" in fleet.desk.plan().waiting["b"], "what `wakit resume` answers"
    fleet.advance(1500)
    assert (launches_of(fleet, "b"), fleet.state("b")) == (before, State.DECLARED)
    assert "upgrade wakit" in fleet.info("b").reason


def log_in(fleet: Fleet, name: str, *, dials: bool = True) -> None:
    """The line of a connected session drops, and its library redials."""
    fleet.workers.tell(name, ConnectionLost(why="the connection dropped"))
    if dials:
        fleet.workers.dial(name)
    fleet.workers.tell(name, Connected())


def test_another_one_that_logs_in_meanwhile_has_a_refused_one_tried_within_a_minute(fleet: Fleet) -> None:
    outdated(fleet)
    launched = len(fleet.workers.launches)
    fleet.advance(100)
    log_in(fleet, "b")
    fleet.advance(1)
    told = fleet.desk.daemon().outage
    assert told is not None
    assert told.next_probe_at is not None
    assert timedelta(seconds=25) <= told.next_probe_at - fleet.now() <= timedelta(seconds=60)
    for reason in (told.reason, fleet.info("c").reason, fleet.desk.plan().waiting["c"]):
        assert "b logged in with it meanwhile" in reason
    assert (fleet.state("a"), fleet.state("c")) == (State.OUTDATED, State.RECONNECTING), "nothing is proved yet"
    assert len(fleet.workers.launches) == launched
    fleet.workers.silent = False
    fleet.advance(62)
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}
    assert fleet.workers.launches[launched].sessions[0].name == "a", "its answer says most"
    (over,) = fleet.ledger.told("outage_over")
    assert (over.code, over.detail["probes"]) == ("outdated", 1)


def test_a_login_that_was_dialled_before_the_alarm_says_nothing_about_it(fleet: Fleet) -> None:
    outdated(fleet)
    planned = fleet.roster.outlook.outage
    log_in(fleet, "b", dials=False)
    assert fleet.roster.outlook.outage == planned


@pytest.mark.parametrize("by", [-7200.0, 3600.0])
def test_a_clock_that_is_set_makes_no_earlier_dial_a_later_one(fleet: Fleet, by: float) -> None:
    outdated(fleet)
    fleet.reconciler.clockwork.take(Jump(Surprise.SET, seconds=abs(by), shift=by))
    log_in(fleet, "b", dials=False)
    outage = fleet.roster.outlook.outage
    assert outage is not None
    assert outage.disputed_by is None


def test_who_stays_refused_while_others_log_in_is_tried_ever_more_seldom_and_never_two_at_once(fleet: Fleet) -> None:
    fleet.paired(*FEW)
    fleet.workers.silent = True
    for name in "abc":
        fleet.run(fleet.desk.restart(name))
    fleet.advance(1)
    for name in "ab":
        fleet.workers.tell(name, Outdated())
    fleet.advance(1)
    launched, tries = len(fleet.workers.launches), []
    for _ in range(4 * 3600 // 5):
        log_in(fleet, "de"[len(tries) % 2])
        fleet.advance(5)
        on_their_way = {name for name in "abc" if fleet.workers.client(name) is not None}
        assert len(on_their_way) <= 1
        for name in on_their_way:
            tries.append((name, fleet.now()))
            fleet.workers.tell(name, Outdated())
            fleet.advance(1)
    pauses = [(later - sooner).total_seconds() for (_, sooner), (_, later) in pairwise(tries)]
    # Drawn at 0.5; told and seen a few seconds later.
    assert pauses == pytest.approx([60, 120, 240, 480, 960, *[1800] * 6], abs=15)
    assert [name for name, _ in tries[:4]] == ["a", "b", "a", "b"], "each refused one in turn, and nobody else"
    assert len(fleet.workers.launches) - launched == len(tries)
    assert len(fleet.ledger.told("outage")) == 1


def test_a_refused_one_that_tells_nothing_leaves_the_next_try_to_another(fleet: Fleet) -> None:
    outdated(fleet)
    log_in(fleet, "b")
    tried = set()
    for _ in range(600):
        fleet.advance(1)
        for name in running(fleet) - {"b"}:
            tried.add(name)
            fail(fleet, name)
        if tried == {"a", "c"}:
            break
    assert tried == {"a", "c"}
    assert fleet.roster.outlook.outage is not None
    assert fleet.roster.outlook.outage.trouble is Trouble.OUTDATED


def test_once_the_one_that_stays_refused_is_parked_the_next_probe_is_another_and_frees_all_who_wait(
    fleet: Fleet,
) -> None:
    outdated(fleet)
    log_in(fleet, "b")
    fleet.run(fleet.desk.park("a"))
    fleet.workers.silent = False
    fleet.advance(62)
    assert [fleet.state(name) for name in "abc"] == [State.PARKED, State.CONNECTED, State.CONNECTED]
    (over,) = fleet.ledger.told("outage_over")
    assert "c got through" in over.reason


def test_a_new_daemon_begins_without_the_alarm(fleet: Fleet) -> None:
    outdated(fleet)
    fleet.restart()
    fleet.advance(2)
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}


# -- the budget ------------------------------------------------------------------------------------------------------


def crash_until_failed(fleet: Fleet, name: str) -> int:
    crashes = 0
    for _ in range(4000):
        if fleet.workers.crash(name):
            crashes += 1
        fleet.advance(1)
        if fleet.state(name) is State.FAILED:
            return crashes
    raise AssertionError("it was never left alone")


def test_a_session_that_crashes_again_and_again_is_left_alone_and_a_person_gives_it_a_new_budget(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    assert crash_until_failed(fleet, "a") == 20
    info = fleet.info("a")
    assert info.needs_person
    assert "20 tries failed since 2026-01-01" in info.reason
    assert "`wakit restart a` tries again" in info.reason
    launched = len(fleet.launches("a"))
    fleet.advance(7200)
    assert len(fleet.launches("a")) == launched
    assert fleet.state("b") is State.CONNECTED
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.tracked("a").failures.at == ()


def test_a_daemon_that_is_killed_gives_nobody_a_new_budget(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c")
    assert crash_until_failed(fleet, "a") == 20
    said = fleet.info("a").reason
    for _ in range(5):
        fleet.workers.crash("b")
        fleet.advance(70)
        fleet.workers.crash("b")
        fleet.advance(1)
    tries = len(fleet.tracked("b").failures.at)
    for _ in range(2):  # the second one knows of the first only what that one was told
        fleet.restart(kill=True)
        launched = len(fleet.launches("a"))
        fleet.advance(3600)
        assert (fleet.state("a"), fleet.info("a").reason) == (State.FAILED, said)
        assert len(fleet.launches("a")) == launched
    assert {fleet.state(name) for name in "bc"} == {State.CONNECTED}
    assert tries >= 1
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    fleet.restart(kill=True)
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED, "a person has decided since"


def test_daemons_that_crash_one_after_the_other_spend_one_budget(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    crashes = 0
    while fleet.state("a") is not State.FAILED:
        fleet.workers.crash("a")
        crashes += 1
        fleet.advance(0.1)
        if crashes % 3 == 0:
            fleet.restart(kill=True)
        assert crashes <= 20
        while fleet.state("a") not in (State.CONNECTED, State.FAILED):
            fleet.advance(1)
    assert crashes == 20


def test_a_daemon_that_was_ended_and_started_again_tries_everybody(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    crash_until_failed(fleet, "a")
    fleet.restart()
    fleet.advance(3)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.tracked("a").failures.at == ()


def test_the_budget_can_be_set(fleet: Fleet) -> None:
    fleet.paired("a", restarts=RestartPolicy(limit=3, window=600))
    assert crash_until_failed(fleet, "a") == 3


def test_being_connected_for_a_while_gives_the_budget_back(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    for _ in range(15):
        fleet.workers.crash("a")
        fleet.advance(61 + 300)
        assert fleet.state("a") is State.CONNECTED
    assert len(fleet.tracked("a").failures.at) <= 1


def test_the_crash_of_a_worker_that_others_share_costs_nobody_anything(fleet: Fleet) -> None:
    fleet.paired(*FEW, sessions_per_worker=10)
    for name in FEW:
        fleet.run(fleet.desk.restart(name))
    fleet.advance(3)
    crew = max(fleet.workers.live.values(), key=lambda worker: len(worker.clients))
    assert len(crew.clients) > 1
    fleet.workers.end(crew.worker_id, asked=False, cause="it was killed")
    assert all(fleet.tracked(name).failures.at == () for name in crew.clients)


NO_WORKER = WorkerError("Worker w could not start", why="it exited with code 1", hint="run `wakit doctor`")


@pytest.mark.parametrize("limit", [3, 20])
def test_a_worker_that_cannot_be_started_is_nobodys_own_fault(fleet: Fleet, limit: int) -> None:
    fleet.paired(*FEW, sessions_per_worker=10, restarts=RestartPolicy(limit=limit, window=3600))
    fleet.restart()
    fleet.advance(3)
    fleet.workers.failures += [NO_WORKER] * 500
    fleet.workers.crash("a")
    launched = len(fleet.workers.launches)
    fleet.advance(2 * 3600)
    tries = len(fleet.workers.launches) - launched
    assert 2 * limit < tries < 200, "the pauses grow to five minutes, for each of the two halves"
    for name in FEW:
        assert (fleet.state(name), fleet.tracked(name).failures.at) == (State.RECONNECTING, ())
        info = fleet.info(name)
        assert "could not start: it exited with code 1; run `wakit doctor`" in info.reason
        assert "not its own fault, so it is tried again without being counted; next try in " in info.reason
        assert info.attempt > limit
        assert not info.needs_person
    assert fleet.ledger.told("try_failed") == []
    fleet.workers.failures.clear()
    fleet.advance(300)
    assert {fleet.state(name) for name in FEW} == {State.CONNECTED}


@pytest.mark.parametrize("mended", ["another release", "an edit"])
def test_those_whose_worker_could_not_be_started_try_at_once_when_that_may_be_mended(fleet: Fleet, mended: str) -> None:
    fleet.paired("a", "b")
    fleet.workers.failures += [NO_WORKER] * 500
    fleet.workers.crash("a")
    fleet.advance(600)
    fleet.workers.failures.clear()
    fleet.tracked("a").next_try_at = fleet.now() + timedelta(seconds=250)
    if mended == "an edit":
        fleet.declare(SessionSpec("a"), SessionSpec("b", labels={"new": "label"}))
    else:
        fleet.installed = Release("0.2.0", "0.5.2", "second")
        fleet.advance(20)
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED


def test_a_disk_that_gives_no_credential_is_nobodys_own_fault(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.disk_faults += [OSError(28, "no space left on device")] * 500
    fleet.workers.crash("a")
    fleet.advance(2 * 3600)
    assert len(fleet.disk_faults) < 480
    assert fleet.state("a") is State.RECONNECTING
    assert len(fleet.tracked("a").failures.at) == 1, "the crash of its worker, in which it was alone"


def test_a_credential_that_somebody_holds_is_the_sessions_own_trouble(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.disk_faults += [HeldError("a is not started", why="another process uses its credential")] * 500
    fleet.workers.crash("a")
    fleet.advance(2 * 3600)
    assert fleet.state("a") is State.FAILED
    assert "20 tries failed" in fleet.info("a").reason


def test_a_pairing_that_a_person_asked_for_and_that_always_crashes_ends(fleet: Fleet) -> None:
    fleet.declare(SessionSpec("a"), SessionSpec("b"), pacing=Pacing(pairings=4))
    fleet.advance(1)
    fleet.run(fleet.desk.pair("a", PairRequest(method="code", phone="+" + NUMBERS["a"])))
    assert crash_until_failed(fleet, "a") <= 21
    fleet.advance(3600)
    assert fleet.tracked("a").running is None


# -- deadlines -------------------------------------------------------------------------------------------------------


def test_the_librarys_redials_are_left_alone_until_their_deadline(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.workers.silent = True
    launched = len(fleet.launches("a"))
    lose(fleet, "a", event=DialFailed(cause=DialFailure.PROXY_DENIED, detail="the session's proxy said no"))
    for _ in range(17):
        fleet.advance(10)
        fleet.workers.tell("a", DialFailed(cause=DialFailure.PROXY_DENIED, detail="the session's proxy said no"))
        assert len(fleet.launches("a")) == launched
    fleet.advance(45)
    assert len(fleet.launches("a")) == launched + 1
    assert fleet.state("a") is State.RECONNECTING
    assert fleet.info("a").since == fleet.ledger.told("state", "a")[-1].ts, "it is still the same outage"
    # The new client has the time of a start, however long the outage is already.
    fleet.advance(500)
    assert len(fleet.launches("a")) == launched + 1


def test_a_client_that_says_nothing_after_it_was_linked_is_started_anew(fleet: Fleet) -> None:
    fleet.workers.silent = True
    fleet.declare(SessionSpec("a"), SessionSpec("b"))
    fleet.advance(1)
    fleet.workers.link("a", NUMBERS["a"], tell=False)
    fleet.workers.tell("a", Paired(account=Secret(NUMBERS["a"])))
    fleet.workers.silent = False
    fleet.advance(130)
    assert fleet.state("a") is State.CONNECTED


def test_whoever_waits_for_a_turn_to_dial_is_not_overdue(fleet: Fleet) -> None:
    fleet.paired("a", "b", pacing=Pacing(dials_per_second=1 / 3600))
    fleet.workers.silent = True
    launched = len(fleet.launches("a"))
    fleet.workers.tell("a", ConnectionLost(why="the connection dropped"))
    fleet.advance(3000)
    assert len(fleet.launches("a")) == launched


def test_a_ban_is_not_ended_by_the_network(fleet: Fleet) -> None:
    fleet.paired(*FEW)
    fleet.workers.silent = True
    fleet.workers.tell("e", Banned(code="101", seconds=7200))
    lose(fleet, *"abcd")
    fleet.advance(60)
    fleet.workers.tell("a", Connected())
    fleet.advance(5)
    assert fleet.state("e") is State.BANNED
    assert fleet.tracked("e").running is None
