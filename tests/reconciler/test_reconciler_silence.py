"""The network falls silent, without a reset: one incident, noticed within seconds, over for all at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from fakes import NUMBERS, Fleet
from lines import Lines

from wakit.core.clock import Jump, Surprise
from wakit.core.declaration import HealthPolicy, Pacing, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.redact import Secret
from wakit.whatsapp.port import Connected, HearsAgain, Outdated, Pulse, WentDeaf, WorkerBeat

ALL = [f"s{number:03d}" for number in range(117)]
MANY = ALL[:50]
FEW = "abcdefghijkl"


def crowd(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, names: Sequence[str] = MANY, **settings: object) -> Lines:
    """A fleet that shares workers, and its connections."""
    for number, name in enumerate(names):
        monkeypatch.setitem(NUMBERS, name, f"3465551{number:04d}")
    fleet.paired(*names, pacing=Pacing(pairings=len(names)), **settings)
    fleet.restart()
    fleet.advance(5)
    lines = Lines(fleet, names)
    lines.pass_(60)
    return lines


def few(fleet: Fleet, **settings: object) -> Lines:
    fleet.paired(*FEW, **settings)
    fleet.advance(5)
    lines = Lines(fleet, FEW)
    lines.pass_(60)
    return lines


def degraded(fleet: Fleet) -> set[str]:
    return {name for name, tracked in fleet.roster.sessions.items() if tracked.state is State.DEGRADED}


def lost(fleet: Fleet) -> None:
    assert fleet.roster.outlook.outage is not None, "the outage is not seen"


def test_a_silent_loss_is_one_outage_dated_to_the_last_byte_and_hits_all(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = crowd(fleet, monkeypatch, ALL)
    workers = {fleet.tracked(name).worker_id for name in ALL}
    at = fleet.now()
    lines.lose()
    lines.pass_(20)
    lost(fleet)
    outage = fleet.desk.daemon().outage
    assert outage is not None
    assert abs(outage.since - at) <= timedelta(seconds=2)
    assert "no connection hears anything of WhatsApp any more" in outage.reason
    lines.pass_(100)
    told = fleet.desk.daemon().outage
    assert told is not None
    assert told.sessions == len(ALL)
    deaf = degraded(fleet)
    assert len(deaf) >= len(ALL) - 2, "two take turns as the probe, and nobody else loses a connection"
    assert all("the network is lost since" in fleet.info(name).reason for name in deaf)

    launched = len(fleet.workers.launches)
    lines.find()
    lines.pass_(6)
    assert fleet.roster.outlook.outage is None
    lines.pass_(60)
    assert {fleet.state(name) for name in ALL} == {State.CONNECTED}
    assert len(fleet.workers.launches) - launched <= 3, "whose connection lives is left alone"
    assert workers & {fleet.tracked(name).worker_id for name in deaf} == workers
    (opened,) = fleet.ledger.told("outage")
    (over,) = fleet.ledger.told("outage_over")
    assert (opened.code, opened.session, over.detail["sessions"]) == ("network", None, len(ALL))
    for name in ALL:
        assert fleet.info(name).attempt == 0
        assert fleet.tracked(name).failures.at == ()


def test_twelve_that_fall_silent_are_one_outage_that_hit_twelve(fleet: Fleet) -> None:
    lines = few(fleet)
    at = fleet.now()
    lines.lose()
    lines.pass_(100)
    lines.find()
    lines.pass_(60)
    (over,) = fleet.ledger.told("outage_over")
    assert over.detail["sessions"] == len(FEW)
    (opened,) = fleet.ledger.told("outage")
    assert abs(opened.ts - timedelta(seconds=opened.detail["began_seconds_before"]) - at) <= timedelta(seconds=8)
    assert {fleet.state(name) for name in FEW} == {State.CONNECTED}


def test_one_that_goes_deaf_costs_only_itself(fleet: Fleet) -> None:
    lines = few(fleet, health=HealthPolicy(restart_after=30))
    lines.cut("c")
    launched = [start.name for launch in fleet.workers.launches for start in launch.sessions]
    lines.pass_(120)
    assert fleet.ledger.told("outage") == []
    assert [s.name for launch in fleet.workers.launches for s in launch.sessions][len(launched) :] == ["c"]
    assert {fleet.state(name) for name in FEW} == {State.CONNECTED}


def test_several_that_go_deaf_while_others_hear_are_no_outage(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = crowd(fleet, monkeypatch)
    lines.cut(*MANY[:15])
    lines.pass_(59)
    assert len(degraded(fleet)) > 10
    assert fleet.ledger.told("outage") == []
    lines.pass_(120)
    assert {fleet.state(name) for name in MANY} == {State.CONNECTED}
    assert fleet.ledger.told("outage") == []


def test_dead_connections_are_replaced_together_once_a_new_one_gets_through(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = crowd(fleet, monkeypatch, health=HealthPolicy(restart_after=15))
    launched = len(fleet.workers.launches)
    lines.cut(*MANY)
    lines.pass_(44)
    (over,) = fleet.ledger.told("outage_over")
    assert "got through" in over.reason
    assert over.detail["sessions"] == len(MANY)
    lines.pass_(6)
    assert {fleet.state(name) for name in MANY} == {State.CONNECTED}
    assert len(fleet.workers.launches) - launched <= 4, "they share workers on the way back"
    lines.pass_(120)
    assert len(fleet.ledger.told("outage")) == 1
    assert {name: fleet.tracked(name).failures.at for name in MANY} == dict.fromkeys(MANY, ())


def test_after_a_short_loss_nobody_is_replaced(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = crowd(fleet, monkeypatch, health=HealthPolicy(restart_after=15))
    launched = len(fleet.workers.launches)
    lines.lose()
    lines.pass_(20)
    lost(fleet)
    lines.find()
    lines.pass_(120)
    assert len(fleet.workers.launches) - launched <= 1
    assert {fleet.state(name) for name in MANY} == {State.CONNECTED}
    assert len(fleet.ledger.told("outage")) == 1


def test_a_server_that_is_slow_makes_no_storm(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers come too late for the library, on old connections and on new ones."""
    lines = crowd(fleet, monkeypatch)
    launched = sum(len(fleet.launches(name)) for name in MANY)
    lines.answers_after = 12.0
    lines.pass_(300)
    assert len(fleet.ledger.told("outage")) <= 1, "until the first answers come it looks like one"
    assert all(len(fleet.launches(name)) <= 6 for name in MANY)
    # As fast as four at a time, and a heartbeat between them.
    assert sum(len(fleet.launches(name)) for name in MANY) - launched <= 300 / 5 * 4


def test_new_connections_that_go_deaf_as_well_are_not_replaced_together_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = crowd(fleet, monkeypatch)
    lines.cut(*MANY)
    lines.pass_(50)
    assert {fleet.state(name) for name in MANY} == {State.CONNECTED}
    launched = sum(len(fleet.launches(name)) for name in MANY)
    lines.pass_(1)
    lines.cut(*MANY)
    lines.pass_(70)
    assert sum(len(fleet.launches(name)) for name in MANY) - launched <= 2 * 4


@pytest.mark.parametrize("surprise", [Surprise.SUSPENDED, Surprise.AHEAD, Surprise.STOOD_STILL])
def test_time_in_which_nothing_ran_is_no_evidence(fleet: Fleet, surprise: Surprise) -> None:
    fleet.paired(*"abc")
    fleet.advance(60)
    fleet.workers.tell("a", WentDeaf(errors=1))
    fleet.reconciler.clockwork.take(Jump(surprise, seconds=30.0))
    fleet.workers.tell("b", WentDeaf(errors=1))
    fleet.advance(1)
    assert fleet.ledger.told("outage") == []
    fleet.workers.tell("c", WentDeaf(errors=1))
    fleet.advance(1)
    assert len(fleet.ledger.told("outage")) == 1


def test_a_deaf_one_that_hears_again_ends_it_and_the_others_have_a_chance(fleet: Fleet) -> None:
    fleet.paired(*FEW, health=HealthPolicy(restart_after=15))
    fleet.advance(60)
    for name in FEW[:6]:
        fleet.workers.tell(name, WentDeaf(errors=1))
    fleet.advance(5)
    lost(fleet)
    fleet.workers.tell("a", HearsAgain())
    fleet.advance(40)
    assert degraded(fleet) == set("bcdef")
    fleet.workers.tell("b", HearsAgain())
    fleet.advance(10)
    assert {fleet.state(name) for name in FEW} == {State.CONNECTED}
    assert [len(fleet.launches(name)) for name in "abcdef"] == [1, 1, 2, 2, 2, 2]
    assert len(fleet.ledger.told("outage")) == 1


def test_who_has_a_proxy_of_its_own_is_no_sign_of_the_network(fleet: Fleet) -> None:
    proxy = Secret("socks5://user:hunter2@127.0.0.1:1")
    fleet.paired(*FEW)
    fleet.declare(*(SessionSpec(name, proxy=proxy if name in "abcdef" else None) for name in FEW))
    fleet.advance(60)
    for name in "abcdef":
        fleet.workers.tell(name, WentDeaf(errors=1))
    fleet.advance(1)
    assert fleet.ledger.told("outage") == []
    fleet.workers.tell("g", WentDeaf(errors=1))
    fleet.advance(1)
    assert len(fleet.ledger.told("outage")) == 1, "most of the fleet"


def test_a_probe_that_logs_in_says_so_and_a_parked_deaf_one_stays_parked(fleet: Fleet) -> None:
    fleet.paired(*"abc")
    fleet.advance(60)
    fleet.workers.silent = True
    for name in "abc":
        fleet.workers.tell(name, WentDeaf(errors=1))
    fleet.advance(20)
    outage = fleet.roster.outlook.outage
    assert outage is not None
    assert outage.probing is not None
    others = [name for name in "abc" if name != outage.probing]
    fleet.run(fleet.desk.park(others[0]))
    fleet.workers.tell(outage.probing, Connected())
    fleet.workers.silent = False
    fleet.advance(60)
    assert fleet.state(others[0]) is State.PARKED
    assert fleet.state(others[1]) is State.CONNECTED
    assert all(fleet.tracked(name).credential is Credential.PRESENT for name in "abc")


def test_a_code_that_only_the_library_renews_is_no_answer(fleet: Fleet) -> None:
    fleet.paired(*FEW)
    fleet.declare(*map(SessionSpec, FEW), SessionSpec("x"))
    fleet.advance(2)
    assert fleet.state("x") is State.PAIRING
    lines = Lines(fleet, FEW)
    lines.pass_(30)
    lines.lose()
    shown = fleet.desk.pairing("x")
    lines.pass_(110)
    assert fleet.desk.pairing("x") != shown, "it shows another one by now"
    lost(fleet)
    assert fleet.ledger.told("outage_over") == []


def test_a_version_that_is_refused_at_the_end_takes_nobody_down(fleet: Fleet) -> None:
    lines = few(fleet)
    lines.lose()
    lines.pass_(80)
    outage = fleet.roster.outlook.outage
    assert outage is not None
    probe = outage.probing
    assert probe is not None
    deaf = degraded(fleet)
    launched, released = len(fleet.workers.launches), len(fleet.workers.releases)
    lines.up = True
    fleet.workers.tell(probe, Outdated())
    lines.pass_(2)
    assert fleet.desk.daemon().outage is not None
    assert fleet.desk.daemon().outage.trouble == "outdated"  # type: ignore[union-attr]
    lines.pass_(300)
    assert {fleet.state(name) for name in deaf} == {State.CONNECTED}, "their lines live"
    assert (len(fleet.workers.launches), len(fleet.workers.releases)) == (launched, released + 1), "but for the probe"


def test_a_standstill_that_is_forgiven_is_no_byte(fleet: Fleet) -> None:
    lines = few(fleet)
    lines.lose()
    lines.pass_(60)
    lost(fleet)
    worker = fleet.tracked("a").worker_id or ""
    pulse = Pulse(unheard_for=0.5, unsent_for=0.5, heard=False)

    async def beat() -> None:
        fleet.reconciler.watch.beat(WorkerBeat(worker_id=worker, pulses={"a": pulse}))

    fleet.run(beat())
    lost(fleet)


def test_who_is_in_nobodys_hands_starts_at_once_when_a_byte_ends_it(fleet: Fleet) -> None:
    lines = few(fleet)
    lines.lose()
    lines.pass_(60)
    fleet.workers.crash("a")
    fleet.advance(1)
    assert fleet.tracked("a").running is None
    lines.find()
    lines.pass_(6)  # a heartbeat comes within five seconds, and the resync is not waited for
    assert fleet.roster.outlook.outage is None
    assert fleet.tracked("a").running is not None
