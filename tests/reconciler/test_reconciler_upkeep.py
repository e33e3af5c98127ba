"""Small workers become one, those of an older release are replaced: one session at a time, never in an incident."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fakes import Fleet

from wakit.core.declaration import SessionSpec
from wakit.core.lifecycle import State
from wakit.core.release import Release
from wakit.errors import ControlError, WorkerError
from wakit.whatsapp.port import ClientEnded, ConnectionLost, Refused

NAMES = tuple("abcdef")
NEWER = Release("0.2.0", "0.5.2", "second")


def crews(fleet: Fleet) -> list[str]:
    return sorted("".join(sorted(worker.clients)) for worker in fleet.workers.live.values())


def shared(fleet: Fleet, names: Sequence[str] = NAMES, limit: int = 6) -> None:
    """Everybody in one worker, as after a start of the daemon."""
    fleet.paired(*names, sessions_per_worker=limit)
    fleet.restart()
    fleet.advance(3)
    assert crews(fleet) == ["".join(names)]


def away(fleet: Fleet) -> set[str]:
    return {name for name, tracked in fleet.roster.sessions.items() if tracked.state is not State.CONNECTED}


def watch(fleet: Fleet, seconds: float) -> set[str]:
    """Let time pass in small steps; return who was ever away, after seeing that it was one at a time."""
    seen: set[str] = set()
    for _ in range(int(seconds / 0.05)):
        fleet.advance(0.05)
        assert len(away(fleet)) <= 1, f"{away(fleet)} are away at once"
        seen |= away(fleet)
    return seen


def test_who_was_paired_one_by_one_comes_together_when_all_is_quiet(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=6)
    assert crews(fleet) == sorted(NAMES)
    fleet.advance(9 * 60)
    assert crews(fleet) == sorted(NAMES), "nobody has proved itself yet"
    assert watch(fleet, 100) == set(NAMES)
    assert crews(fleet) == ["abcdef"]
    told = next(record for record in fleet.ledger.told("action") if record.code == "compact")
    assert told.reason == "6 small workers become one"
    assert sorted((told.detail or {})["sessions"]) == list(NAMES)  # type: ignore[arg-type]
    assert 0 < (told.detail or {})["longest_away_s"] < 1  # type: ignore[operator]
    for name in NAMES:
        (moved,) = [event for event in fleet.ledger.told("state", name) if event.code == "moved"]
        assert moved.reason == "moves to another worker: 6 small workers become one"
    launches = len(fleet.workers.launches)
    fleet.advance(4 * 3600)
    assert len(fleet.workers.launches) == launches, "it does not begin again"


def test_after_a_hunt_for_a_culprit_the_others_share_again_and_it_stays_alone(fleet: Fleet) -> None:
    shared(fleet)
    for _ in range(4):
        fleet.workers.crash("d")
        fleet.advance(10)
    assert len(crews(fleet)) == 4
    assert fleet.tracked("d").blamed_at is not None
    fleet.advance(9 * 60)
    assert len(crews(fleet)) == 4, "not before the fleet was well for a while"
    fleet.advance(3 * 60)
    assert crews(fleet) == ["abcef", "d"]
    for name in NAMES:  # whatever restarts it together with others
        fleet.run(fleet.desk.restart(name))
    fleet.advance(10)
    assert crews(fleet) == ["abcef", "d"]
    fleet.restart(kill=True)
    fleet.advance(3)
    assert crews(fleet) == ["abcef", "d"], "the next daemon knows it from the journal"
    fleet.advance(23 * 3600)
    assert crews(fleet) == ["abcef", "d"]
    fleet.advance(2 * 3600)
    assert crews(fleet) == ["abcdef"], "a day without a crash"


@pytest.mark.parametrize("code", [-1, -2, -15])
def test_a_worker_that_a_person_ends_is_nobody_s_fault(fleet: Fleet, code: int) -> None:
    shared(fleet)
    for _ in range(3):
        fleet.workers.crash("d", "somebody ended the worker", code=code)
        fleet.advance(10)
        assert crews(fleet) == ["abcdef"], "they come back together"
    for _ in range(3):
        fleet.workers.crash("d")
        fleet.advance(10)
    (alone,) = [crew for crew in crews(fleet) if "d" in crew]
    assert alone == "d"
    fleet.workers.crash("d", "somebody ended the worker", code=code)
    fleet.advance(10)
    assert fleet.tracked("d").blamed_at is None
    assert fleet.ledger.told("worker_exit", "d")[-1].reason == "somebody ended the worker"
    assert fleet.ledger.told("try_failed") == []


def test_a_culprit_that_goes_on_crashing_alone_takes_nobody_aboard(fleet: Fleet) -> None:
    shared(fleet)
    for _ in range(4):
        fleet.workers.crash("d")
        fleet.advance(10)
    for _ in range(8):
        fleet.advance(4 * 3600)  # long enough to have proved itself, every time
        assert set(fleet.workers.worker_of("d").clients) == {"d"}  # type: ignore[union-attr]
        fleet.workers.crash("d")
        fleet.advance(60)
    assert fleet.tracked("d").state is State.CONNECTED


def test_one_a_worker_stays_so(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=1)
    fleet.advance(3600)
    assert crews(fleet) == sorted(NAMES)


def test_a_scale_down_leaves_no_small_workers(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=3)
    fleet.restart()
    fleet.advance(3)
    assert crews(fleet) == ["abc", "def"]
    fleet.declare(*(SessionSpec(name) for name in "aef"), sessions_per_worker=3, retire_guard=1.0)
    fleet.advance(5)
    assert crews(fleet) == ["a", "ef"]
    fleet.advance(15 * 60)
    assert crews(fleet) == ["aef"]


@pytest.mark.parametrize("trouble", ["lost", "crash", "edit"])
def test_trouble_puts_it_off(fleet: Fleet, trouble: str) -> None:
    fleet.paired(*NAMES, "x", sessions_per_worker=7)
    fleet.workers.silent = True
    for _ in range(4):
        fleet.advance(5 * 60)
        match trouble:
            case "lost":
                fleet.workers.tell("x", ConnectionLost(why="gone"))
            case "crash":
                fleet.workers.silent = False
                fleet.workers.crash("x")
            case "edit":
                fleet.workers.silent = False
                fleet.run(fleet.desk.restart("x"))
                for name in NAMES:
                    fleet.run(fleet.desk.restart(name))
        fleet.advance(2)
    singles = {name for name in crews(fleet) if len(name) == 1}
    assert len(singles) >= len(crews(fleet)) - (trouble == "edit")
    assert not [record for record in fleet.ledger.told("action") if record.code == "compact"]


def test_a_moving_that_meets_trouble_ends_there_and_nobody_is_lost(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=6)
    fleet.advance(9 * 60)
    while not fleet.workers.calls:
        fleet.advance(0.05)
    fleet.advance(0.5)
    fleet.workers.crash(fleet.workers.calls[0][1])
    fleet.advance(60)
    assert not away(fleet)
    assert sorted("".join(crews(fleet))) == list(NAMES)
    told = [record for record in fleet.ledger.told("warning") if record.code == "compact"]
    assert len(told) == 1
    assert "broken off" in told[0].reason
    calls = len(fleet.workers.calls)
    fleet.advance(45 * 60)
    assert len(fleet.workers.calls) == calls, "not again for a good while"


def test_workers_that_nobody_can_leave_alone_are_left_in_peace(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=2)
    fleet.restart()
    fleet.advance(3)
    assert crews(fleet) == ["ab", "cd", "ef"]
    fleet.workers.one_may_leave = False
    fleet.declare(*(SessionSpec(name) for name in NAMES), sessions_per_worker=6)
    for _ in range(3):
        fleet.advance(24 * 3600)
        assert not away(fleet)
    tried = [record.reason or "" for record in fleet.ledger.told("action") if record.code == "compact"]
    assert tried[0] == "3 small workers become one, but 3 of 6 sessions left their workers before their turn"
    assert len(tried) < 8, "whoever moves is away for a moment, and so is everybody aboard"


def test_who_does_not_arrive_ends_it_too(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=6)
    fleet.advance(9 * 60)
    fleet.disk_faults.append(WorkerError("no"))
    fleet.advance(3 * 60)
    assert len(fleet.workers.calls) == 0
    assert not away(fleet), "the one whose start failed was started again by the loop"
    assert len([r for r in fleet.ledger.told("warning") if r.code == "compact"]) == 1


def test_what_the_old_client_says_when_it_is_taken_off_is_no_outage(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=6)
    fleet.advance(9 * 60)
    fleet.workers.release_takes = 0.4
    while not fleet.workers.releases:
        fleet.advance(0.05)
    first = fleet.workers.releases[-1][0]
    fleet.workers.tell(first, ConnectionLost(why="the connection was closed"))
    fleet.workers.tell(first, ClientEnded(why="it was told to"))
    fleet.advance(2)
    assert fleet.ledger.states(first)[-2:] == ["starting", "connected"]
    assert "reconnecting" not in fleet.ledger.states(first)


def test_the_end_of_the_daemon_ends_it(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=6)
    fleet.advance(9 * 60)
    while len(fleet.workers.calls) < 2:
        fleet.advance(0.05)
    fleet.stop()
    assert not fleet.workers.live
    fleet.restart()
    fleet.advance(5)
    assert not away(fleet)


# --- an upgrade


def upgraded(fleet: Fleet) -> None:
    fleet.installed = NEWER
    fleet.advance(20)


def test_an_upgrade_is_noticed_and_nothing_happens_by_itself(fleet: Fleet) -> None:
    shared(fleet)
    assert fleet.upkeep.upgrade() is None
    upgraded(fleet)
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert (told.workers, told.under_way, told.daemon) == (1, False, "wakit 0.2.0 is installed, 0.1.0 runs")
    assert [r.reason for r in fleet.ledger.told("warning") if r.code == "upgraded"] == [
        "wakit 0.2.0 is installed, 0.1.0 runs; `wakit up` replaces the workers one at a time"
    ]
    fleet.advance(3600)
    assert not fleet.workers.calls


def test_workers_are_replaced_one_at_a_time_the_smallest_first(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=3)
    fleet.restart()
    fleet.advance(3)
    fleet.run(fleet.desk.restart("f"))
    fleet.advance(3)
    assert crews(fleet) == ["abc", "de", "f"]
    old = set(fleet.workers.live)
    upgraded(fleet)
    fleet.run(fleet.upkeep.replace())
    assert watch(fleet, 30) == set(NAMES)
    assert crews(fleet) == ["abc", "de", "f"]
    assert not old & set(fleet.workers.live)
    assert [name for _, name in fleet.workers.calls] == ["f", "d", "e", "a", "b", "c"]
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert (told.workers, told.under_way, told.problem) == (0, False, "")
    assert told.daemon, "the daemon itself is still the older one"
    assert len([r for r in fleet.ledger.told("action") if r.code == "replace"]) == 3


def test_a_new_release_whose_workers_do_not_start_harms_nobody(fleet: Fleet) -> None:
    shared(fleet)
    upgraded(fleet)
    fleet.workers.failures.append(WorkerError("Worker w could not start", why="it speaks another protocol"))
    fleet.run(fleet.upkeep.replace())
    assert watch(fleet, 10) == set()
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert (told.workers, told.under_way) == (1, False)
    assert "another protocol" in told.problem


def test_a_new_release_whose_workers_crash_stops_at_the_first(fleet: Fleet) -> None:
    fleet.paired(*NAMES, sessions_per_worker=3)
    fleet.restart()
    fleet.advance(3)
    upgraded(fleet)
    fleet.run(fleet.upkeep.replace())
    while not fleet.workers.calls:
        fleet.advance(0.05)
    fleet.advance(0.5)
    fleet.workers.crash(fleet.workers.calls[0][1])
    fleet.advance(30)
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert told.problem
    assert not told.under_way
    assert {name for _, name in fleet.workers.calls} <= set("abc"), "the other worker was not touched"
    assert not away(fleet)
    # Asked again, it goes on with what is left.
    fleet.run(fleet.upkeep.replace())
    fleet.advance(60)
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert (told.workers, told.problem) == (0, "")


def test_a_session_that_the_new_release_refuses_stops_it(fleet: Fleet) -> None:
    shared(fleet)
    upgraded(fleet)
    fleet.workers.silent = True
    fleet.run(fleet.upkeep.replace())
    while not fleet.workers.calls:
        fleet.advance(0.05)
    first = fleet.workers.calls[0][1]
    fleet.workers.tell(first, Refused(code="400"))
    fleet.advance(20)
    assert away(fleet) == {first}
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert f"{first} did not arrive" in told.problem


def test_who_is_being_paired_is_waited_for(fleet: Fleet) -> None:
    fleet.paired("a", "b")
    fleet.declare(*(SessionSpec(name) for name in "abx"))
    fleet.advance(2)
    assert fleet.state("x") is State.PAIRING
    upgraded(fleet)
    fleet.run(fleet.upkeep.replace())
    fleet.advance(30)
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert (told.workers, told.waiting, told.under_way) == (1, ["x"], True)
    assert fleet.workers.scan("x", "34655509999")
    fleet.advance(60)
    told = fleet.upkeep.upgrade()
    assert told is not None
    assert (told.workers, told.waiting, told.under_way) == (0, [], False)
    assert fleet.state("x") is State.CONNECTED


def test_an_ending_daemon_replaces_nothing(fleet: Fleet) -> None:
    shared(fleet)
    upgraded(fleet)
    fleet.reconciler.halt()
    with pytest.raises(ControlError, match="the daemon is ending"):
        fleet.run(fleet.upkeep.replace())


def test_a_person_can_restart_who_has_moved_already(fleet: Fleet) -> None:
    shared(fleet)
    upgraded(fleet)
    fleet.run(fleet.upkeep.replace())
    while len(fleet.workers.calls) < 2:
        fleet.advance(0.05)
    fleet.run(fleet.desk.restart(fleet.workers.calls[0][1]))
    fleet.advance(120)
    assert not away(fleet)
    assert sorted("".join(crews(fleet))) == list(NAMES)
