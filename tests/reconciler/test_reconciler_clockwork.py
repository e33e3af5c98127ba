"""The machine sleeps, clocks are set: nobody is to blame, and everybody is back soon."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fakes import START, Fleet

from wakit.core.breaker import Evidence, Outage, Outlook, Trouble
from wakit.core.clock import Jump, Surprise
from wakit.core.declaration import HealthPolicy, Pairing, SessionSpec, VaultPolicy
from wakit.core.lifecycle import State
from wakit.core.release import Release
from wakit.core.restarts import Failures
from wakit.core.silence import Over
from wakit.errors import WakitError
from wakit.reconciler import watch
from wakit.reconciler.tracked import Shown
from wakit.redact import Secret
from wakit.vault.manifest import Why
from wakit.whatsapp.port import (
    Banned,
    ClientEnded,
    ConnectionLost,
    DialFailed,
    DialFailure,
    Pulse,
    WorkerBeat,
)

DENIED = DialFailed(cause=DialFailure.PROXY_DENIED, detail="the session's proxy said no")
ENDED = ClientEnded(why="it failed", cause=DialFailure.PROXY_DENIED)


class Machine:
    """The fleet's machine: its wall clock and how long it slept are ours."""

    def __init__(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fleet, self.off, self.slept = fleet, timedelta(0), 0.0
        ports = fleet.roster.ports
        object.__setattr__(ports, "now", self.now)
        object.__setattr__(ports, "asleep", lambda: self.slept)
        monkeypatch.setattr(fleet, "now", self.now)
        self.watch = fleet.loop.create_task(fleet.reconciler.clockwork.run())
        fleet.advance(0.1)

    def now(self) -> object:
        return START + timedelta(seconds=self.fleet.loop.time()) + self.off

    def sleep(self, seconds: float) -> None:
        """Timers stand still while a machine sleeps; the wall clock does not."""
        self.off += timedelta(seconds=seconds)
        self.slept += seconds

    def set_clock(self, seconds: float) -> None:
        self.off += timedelta(seconds=seconds)


@pytest.fixture
def machine(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Machine:
    fleet.paired("a", "b", "c")
    return Machine(fleet, monkeypatch)


def failing(fleet: Fleet, name: str) -> None:
    """Its start fails, and it waits for its next try."""
    fleet.workers.silent = True
    fleet.workers.tell(name, ConnectionLost(why="the connection dropped"))
    fleet.workers.tell(name, DENIED)
    fleet.workers.tell(name, ENDED)
    fleet.advance(0.5)


def test_a_machine_that_slept_is_one_event_and_costs_nobody_anything(fleet: Fleet, machine: Machine) -> None:
    failing(fleet, "a")
    fleet.tracked("a").next_try_at = fleet.now() + timedelta(seconds=7200)
    attempt = fleet.info("a").attempt
    launched = len(fleet.workers.launches)
    fleet.workers.silent = False
    machine.sleep(3600)
    fleet.advance(6)
    (told,) = fleet.ledger.told("clock")
    assert (told.session, told.code, told.reason) == (None, "suspended", "the machine slept for 3600 s")
    # It is not waited for the end of the pause, and connections that cannot be alive are dialled anew.
    assert fleet.state("a") is State.CONNECTED
    assert len(fleet.workers.launches) == launched + 1
    assert sorted(fleet.workers.redials) == ["b", "c"]
    assert fleet.info("a").attempt in (0, attempt)
    assert {fleet.state(name) for name in "bc"} == {State.CONNECTED}


def test_a_nap_drops_no_connection(fleet: Fleet, machine: Machine) -> None:
    machine.sleep(30)
    fleet.advance(10)
    assert len(fleet.ledger.told("clock")) == 1
    assert fleet.workers.redials == []


def test_deadlines_do_not_run_while_the_machine_sleeps(fleet: Fleet, machine: Machine) -> None:
    fleet.workers.silent = True
    fleet.workers.tell("a", ConnectionLost(why="the connection dropped"))
    launched = len(fleet.workers.launches)
    fleet.advance(100)
    machine.sleep(8 * 3600)
    fleet.advance(120)
    assert len(fleet.workers.launches) == launched
    fleet.advance(120)
    assert len(fleet.workers.launches) == launched + 1


@pytest.mark.parametrize("by", [-3600.0, -7.0, 20.0])
def test_a_clock_that_is_set_changes_no_pause(fleet: Fleet, machine: Machine, by: float) -> None:
    failing(fleet, "a")
    fleet.tracked("a").next_try_at = fleet.now() + timedelta(seconds=60)
    launched = len(fleet.launches("a"))
    fleet.advance(1)
    machine.set_clock(by)
    fleet.advance(50)
    (told,) = fleet.ledger.told("clock")
    assert told.code == "set"
    assert len(fleet.launches("a")) == launched
    fleet.advance(15)
    assert len(fleet.launches("a")) == launched + 1
    assert fleet.workers.redials == []


def test_a_ban_lasts_as_long_as_it_was_said_to_whatever_the_clock_says(fleet: Fleet, machine: Machine) -> None:
    fleet.workers.tell("a", Banned(code="101", seconds=600))
    fleet.workers.silent = True
    fleet.advance(10)
    machine.set_clock(86_400)
    fleet.advance(500)
    assert fleet.state("a") is State.BANNED
    assert fleet.tracked("a").running is None
    fleet.advance(120)
    assert fleet.tracked("a").running is not None


def test_an_outage_is_probed_at_once_after_sleep(fleet: Fleet, machine: Machine) -> None:
    fleet.workers.silent = True
    gone = DialFailed(cause=DialFailure.UNREACHABLE, detail="there is no network")
    for name in "abc":
        fleet.workers.tell(name, ConnectionLost(why="the connection dropped"))
        fleet.workers.tell(name, gone)
        fleet.workers.tell(name, ClientEnded(why="it failed", cause=DialFailure.UNREACHABLE))
    fleet.advance(120)
    assert {fleet.state(name) for name in "abc"} == {State.RECONNECTING}
    for name in "abc":
        fleet.workers.tell(name, gone)
        fleet.workers.tell(name, ClientEnded(why="it failed", cause=DialFailure.UNREACHABLE))
    fleet.workers.silent = False
    machine.sleep(3600)
    fleet.advance(7)
    assert {fleet.state(name) for name in "abc"} == {State.CONNECTED}


def test_a_daemon_that_stood_still_excuses_everybody_and_drops_nothing(fleet: Fleet, machine: Machine) -> None:
    fleet.workers.silent = True
    fleet.workers.tell("a", ConnectionLost(why="the connection dropped"))
    fleet.advance(170)
    fleet.run(_take(fleet, Jump(Surprise.STOOD_STILL, 300.0)))
    launched = len(fleet.workers.launches)
    fleet.advance(150)
    assert len(fleet.workers.launches) == launched
    assert fleet.workers.redials == []
    assert fleet.ledger.told("clock")[0].code == "stood_still"
    assert not machine.watch.done()


async def _take(fleet: Fleet, jump: Jump) -> None:
    fleet.reconciler.clockwork.take(jump)


# --- a clock that was set: nothing that is counted from a moment grows or shrinks by it

HOUR = 3600.0


@pytest.mark.parametrize("by", [-HOUR, 20.0])
def test_a_start_has_as_long_as_before_from_its_turn_to_dial(fleet: Fleet, machine: Machine, by: float) -> None:
    fleet.workers.silent = True
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    fleet.roster.queue("a", waits=True)
    fleet.advance(10)
    fleet.roster.queue("a", waits=False)
    launched = len(fleet.launches("a"))
    fleet.advance(300)
    machine.set_clock(by)
    fleet.advance(295)
    assert len(fleet.launches("a")) == launched
    fleet.advance(60)
    assert len(fleet.launches("a")) == launched + 1


def test_who_starts_after_the_clock_was_set_and_before_it_was_noticed_is_not_late(
    fleet: Fleet, machine: Machine
) -> None:
    fleet.workers.silent = True
    fleet.advance(5 - fleet.loop.time() % 5 + 1)
    machine.set_clock(-HOUR)
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(1)
    launched = len(fleet.launches("a"))
    fleet.advance(20)
    assert len(fleet.ledger.told("clock")) == 1
    assert fleet.state("a") is State.STARTING
    assert len(fleet.launches("a")) == launched


def set_unnoticed(fleet: Fleet, machine: Machine, by: float) -> None:
    """The clock is set, seconds before that can be noticed."""
    fleet.advance(5 - fleet.loop.time() % 5 + 1)
    machine.set_clock(by)


def notice(fleet: Fleet) -> None:
    fleet.advance(5 - fleet.loop.time() % 5 + 0.1)
    assert len(fleet.ledger.told("clock")) == 1


@pytest.mark.parametrize("by", [-HOUR, 20.0, HOUR])
def test_a_ban_that_is_told_before_it_was_noticed_lasts_as_long_as_it_was_said_to(
    fleet: Fleet, machine: Machine, by: float
) -> None:
    set_unnoticed(fleet, machine, by)
    fleet.workers.tell("a", Banned(code="101", seconds=600))
    ends = fleet.now() + timedelta(seconds=600)
    notice(fleet)
    assert fleet.tracked("a").next_try_at == ends


@pytest.mark.parametrize("by", [-HOUR, 20.0])
def test_what_is_noted_before_it_was_noticed_stays(fleet: Fleet, machine: Machine, by: float) -> None:
    set_unnoticed(fleet, machine, by)
    a, now = fleet.tracked("a"), fleet.now()
    soon = now + timedelta(seconds=60)
    a.dialled_at = a.last_connected_at = a.tried_anew_at = fleet.roster.crashed_at = now
    a.failures = Failures((now,))
    a.not_before = soon
    a.shown = Shown(Pairing.QR, Secret("2@x"), soon)
    notice(fleet)
    assert {a.dialled_at, a.last_connected_at, a.tried_anew_at, fleet.roster.crashed_at, *a.failures.at} == {now}
    assert a.not_before == soon
    assert a.shown.expires_at == soon


def outage(since: datetime, probe_at: datetime) -> Outage:
    return Outage(Trouble.NETWORK, since, "there is no network", frozenset({"a"}), probe_at)


@pytest.mark.parametrize("by", [-HOUR, 20.0])
def test_an_outage_that_begins_before_it_was_noticed_stays(fleet: Fleet, machine: Machine, by: float) -> None:
    set_unnoticed(fleet, machine, by)
    new = outage(fleet.now(), fleet.now() + timedelta(seconds=30))
    fleet.roster.outlook = Outlook(outage=new)
    notice(fleet)
    assert fleet.roster.outlook.outage == new


@pytest.mark.parametrize("by", [-HOUR, 20.0])
def test_a_probe_that_is_put_off_before_it_was_noticed_comes_in_time(fleet: Fleet, machine: Machine, by: float) -> None:
    began, due = fleet.now(), fleet.now() + timedelta(seconds=40)
    fleet.roster.outlook = Outlook(outage=outage(began, due))
    set_unnoticed(fleet, machine, by)
    put_off = fleet.now() + timedelta(seconds=50)
    fleet.roster.outlook = fleet.roster.outlook.due(put_off)
    notice(fleet)
    assert fleet.roster.outlook.outage == outage(began + timedelta(seconds=by), put_off)


@pytest.mark.parametrize("by", [-HOUR, 20.0])
def test_evidence_that_comes_before_it_was_noticed_stays(fleet: Fleet, machine: Machine, by: float) -> None:
    old = Evidence("a", fleet.now(), Trouble.NETWORK, "there is no network")
    set_unnoticed(fleet, machine, by)
    new = replace(old, session="b", at=fleet.now())
    fleet.roster.outlook = Outlook((old, new))
    notice(fleet)
    assert fleet.roster.outlook.evidence == (replace(old, at=old.at + timedelta(seconds=by)), new)


def beats(fleet: Fleet, name: str, seconds: int, *, unheard: float) -> None:
    async def beat() -> None:
        worker = fleet.tracked(name).worker_id
        assert worker is not None
        pulses = {name: Pulse(unheard_for=unheard, unsent_for=1.0, fresh=True)}
        fleet.reconciler.watch.beat(WorkerBeat(worker_id=worker, pulses=pulses))

    for _ in range(0, seconds, 2):
        if fleet.tracked(name).worker_id is not None:
            fleet.run(beat())
        fleet.advance(2)


def degraded_for(fleet: Fleet, seconds: float) -> None:
    fleet.declare(
        *(SessionSpec(name) for name in "abc"), health=HealthPolicy(stale_after=90, deaf_after=45, restart_after=60)
    )
    beats(fleet, "a", int(seconds), unheard=46)
    assert fleet.state("a") is State.DEGRADED


def test_who_is_degraded_is_started_anew_in_time(fleet: Fleet, machine: Machine) -> None:
    degraded_for(fleet, 20)
    launched = len(fleet.launches("a"))
    machine.set_clock(-HOUR)
    fleet.advance(6)
    beats(fleet, "a", 30, unheard=46)
    assert len(fleet.launches("a")) == launched
    beats(fleet, "a", 20, unheard=46)
    assert len(fleet.launches("a")) == launched + 1


def test_clients_that_were_replaced_in_vain_keep_nobody_waiting(
    fleet: Fleet, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_AT_ONCE", 2)
    fleet.workers.silent = True
    degraded_for(fleet, 20)
    for name in "bc":
        fleet.workers.tell(name, ConnectionLost(why="the connection dropped"))
        fleet.tracked(name).tried_anew_at = fleet.now()
    fleet.advance(6)
    machine.set_clock(-HOUR)
    fleet.advance(6)
    launched = len(fleet.launches("a"))
    beats(fleet, "a", 100, unheard=46)
    assert len(fleet.launches("a")) == launched
    beats(fleet, "a", 30, unheard=46)
    assert len(fleet.launches("a")) == launched + 1


def test_what_people_are_told_goes_with_the_clock(fleet: Fleet, machine: Machine) -> None:
    beats(fleet, "a", 20, unheard=1)
    since = fleet.now() - fleet.info("a").since
    machine.set_clock(-HOUR)
    fleet.advance(6)
    assert abs(fleet.now() - fleet.info("a").since - since) < timedelta(seconds=7)
    beats(fleet, "a", 2, unheard=1)
    seen = fleet.info("a").last_seen_at
    assert seen is not None
    assert timedelta(0) < fleet.now() - seen < timedelta(seconds=5)


@pytest.mark.parametrize("moment", ["blamed_at", "healthy_at"])
def test_what_is_remembered_for_hours_goes_with_the_clock(fleet: Fleet, machine: Machine, moment: str) -> None:
    setattr(fleet.tracked("a"), moment, fleet.now())
    fleet.advance(6)
    machine.set_clock(-HOUR)
    fleet.advance(6)
    assert timedelta(0) < fleet.now() - getattr(fleet.tracked("a"), moment) < timedelta(seconds=20)


def test_after_sleep_without_a_clock_that_counts_it_people_are_told_since_when_it_really_is(
    fleet: Fleet, machine: Machine
) -> None:
    since = fleet.info("b").since
    fleet.workers.silent = True
    machine.set_clock(8 * HOUR)
    fleet.advance(6)
    assert fleet.ledger.told("clock")[-1].code == "ahead"
    assert fleet.info("b").since == since


def test_small_workers_become_one_in_time(fleet: Fleet, machine: Machine) -> None:
    fleet.declare(*(SessionSpec(name) for name in "abc"), sessions_per_worker=6)
    fleet.workers.crash("a")
    fleet.advance(60)
    machine.set_clock(-24 * HOUR)
    fleet.advance(12 * 60)
    assert len(fleet.workers.live) == 1


def test_a_moving_that_was_broken_off_is_tried_again_in_time(fleet: Fleet, machine: Machine) -> None:
    fleet.declare(*(SessionSpec(name) for name in "abc"), sessions_per_worker=6)
    fleet.advance(9 * 60)
    fleet.workers.failures.append(WakitError("The worker could not start"))
    fleet.advance(2 * 60)
    assert [told.code for told in fleet.ledger.told("warning")] == ["compact"]
    machine.set_clock(-24 * HOUR)
    fleet.advance(HOUR + 60)
    assert len(fleet.workers.live) == 1


def test_a_new_release_whose_workers_crash_is_given_up_whatever_the_clock_says(fleet: Fleet, machine: Machine) -> None:
    fleet.installed = Release("0.2.0", "0.5.2", "second")
    fleet.advance(20)
    fleet.run(fleet.upkeep.replace())
    while not fleet.workers.calls:
        fleet.advance(0.05)
    fleet.advance(0.5)
    machine.set_clock(-HOUR)
    fleet.workers.crash(fleet.workers.calls[0][1])
    fleet.advance(30)
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert told.problem == "a worker crashed meanwhile"
    assert len({name for _, name in fleet.workers.calls}) == 1


# --- backups


@pytest.fixture
def kept(fleet: Fleet, machine: Machine) -> Machine:
    """Backed up just now, and every hour from now on."""
    fleet.declare(*(SessionSpec(name) for name in "abc"), vault=VaultPolicy(interval=HOUR))
    fleet.loop.create_task(fleet.executor.keeper.run())
    fleet.advance(10)
    return machine


def whys(fleet: Fleet, name: str) -> list[str]:
    return [str((record.detail or {})["why"]) for record in fleet.ledger.told("backup", name)]


def test_a_clock_that_was_wrong_puts_no_backup_off(fleet: Fleet, kept: Machine) -> None:
    before = len(whys(fleet, "a"))
    kept.set_clock(-365 * 24 * HOUR)
    fleet.workers.write("a")
    fleet.advance(HOUR + 60)
    assert whys(fleet, "a")[before:] == [Why.SCHEDULE]


def test_a_backup_that_failed_is_tried_again_in_time(
    fleet: Fleet, kept: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def full(name: str, why: Why) -> None:
        tries.append(name)
        raise WakitError("There is no room")

    monkeypatch.setattr(fleet.vault, "backup", full)
    fleet.advance(HOUR + 10)
    tried = len(tries)
    assert tried >= 3
    kept.set_clock(-24 * HOUR)
    fleet.advance(HOUR + 10)
    assert len(tries) > tried


def test_a_start_that_does_not_end_puts_backups_off_for_minutes(fleet: Fleet, machine: Machine) -> None:
    for name in "abc":
        fleet.workers.write(name)
    fleet.restart()
    fleet.workers.launch_takes = 1200.0
    fleet.loop.create_task(fleet.executor.keeper.run())
    fleet.advance(60)
    machine.set_clock(-24 * HOUR)
    fleet.advance(360)
    assert whys(fleet, "a")


def test_how_the_last_outage_ended_moves_with_the_clock_although_another_one_has_just_begun(fleet: Fleet) -> None:
    fleet.paired("a")
    fleet.advance(60)
    over = Over(fleet.now() - timedelta(seconds=50), fleet.now() - timedelta(seconds=40), dialled=True)
    new = outage(fleet.now(), fleet.now() + timedelta(seconds=4))
    fleet.roster.outlook = Outlook(outage=new, over=over)
    by = timedelta(hours=-1)
    fleet.reconciler.clockwork.take(Jump(Surprise.SET, seconds=3600, shift=-3600))
    assert fleet.roster.outlook == Outlook(outage=new, over=Over(over.since + by, over.at + by, dialled=True))
