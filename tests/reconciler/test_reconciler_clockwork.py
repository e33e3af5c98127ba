"""The machine sleeps, clocks are set: nobody is to blame, and everybody is back soon."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import START, Fleet

from wakit.core.clock import Jump, Surprise
from wakit.core.lifecycle import State
from wakit.whatsapp.port import ClientEnded, ConnectionLost, DialFailed, DialFailure

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
    from wakit.whatsapp.port import Banned  # noqa: PLC0415 - here only

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
