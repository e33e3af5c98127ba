from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wakit.core.clock import Jump, Reading, Surprise, judge
from wakit.core.deadlines import DEADLINES, deadline
from wakit.core.declaration import RestartPolicy
from wakit.core.lifecycle import RECOVERY, Recovery, State
from wakit.core.restarts import Failures

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


# -- the budget ------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.1, 500), min_size=1, max_size=60), st.integers(1, 10), st.floats(1, 1000))
def test_the_budget_is_spent_exactly_when_the_window_holds_too_many(
    pauses: list[float], limit: int, window: float
) -> None:
    policy, failures, now, at = RestartPolicy(limit, window), Failures(), NOON, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        at.append(now)
        failures = failures.add(now, policy)
        recent = [moment for moment in at if moment > now - timedelta(seconds=window)]
        assert list(failures.at) == recent
        assert failures.spent(policy) is (len(recent) >= limit)


def test_what_turned_out_to_be_nobodys_fault_is_given_back() -> None:
    policy = RestartPolicy(limit=3, window=3600)
    failures = Failures()
    for minute in range(3):
        failures = failures.add(NOON + timedelta(minutes=minute), policy)
    assert failures.spent(policy)
    assert failures.before(NOON + timedelta(minutes=1)) == Failures((NOON,))


def test_it_is_said_what_happened_how_often_since_when_and_what_to_do() -> None:
    said = Failures((NOON, NOON + timedelta(minutes=1))).words("sales", "the session's proxy does not answer")
    assert said == (
        "the session's proxy does not answer; 2 tries failed since 2026-01-01 12:00:00 UTC, so it is left alone; "
        "`wakit restart sales` tries again"
    )


# -- deadlines -------------------------------------------------------------------------------------------------------


def test_every_state_that_the_library_should_end_has_a_deadline() -> None:
    left_to_the_library = {state for state in State if RECOVERY[state] is Recovery.LIBRARY} - {State.DEGRADED}
    assert left_to_the_library | {State.STARTING, State.RECONNECTING} == set(DEADLINES)


@pytest.mark.parametrize("state", list(State))
@given(queue=st.floats(0, 10_000))
def test_whoever_waits_for_a_turn_has_as_much_longer(state: State, queue: float) -> None:
    for started in (False, True):
        idle, busy = deadline(state, started=started, queue=0.0), deadline(state, started=started, queue=queue)
        assert (idle is None) == (busy is None) == (state not in DEADLINES)
        if idle is not None and busy is not None:
            assert busy - idle == timedelta(seconds=queue)


def test_a_start_within_an_outage_has_the_time_of_a_start() -> None:
    assert deadline(State.RECONNECTING, started=True, queue=0.0) == DEADLINES[State.STARTING]


# -- clocks ----------------------------------------------------------------------------------------------------------


def read(passed: float = 5.0, *, slept: float = 0.0, shift: float = 0.0) -> Jump | None:
    before = Reading(wall=1e9, monotonic=100.0, asleep=7.0)
    after = Reading(1e9 + passed + slept + shift, 100.0 + passed, 7.0 + slept)
    return judge(before, after, 5.0)


@given(st.floats(4.9, 19.9), st.floats(-0.9, 0.9), st.floats(0, 4.9))
def test_time_that_passed_as_it_should_is_no_surprise(passed: float, shift: float, slept: float) -> None:
    assert read(passed, shift=shift, slept=slept) is None


@given(st.floats(5.1, 1e6), st.floats(-0.5, 0.5))
def test_a_machine_that_slept(slept: float, shift: float) -> None:
    jump = read(slept=slept, shift=shift)
    assert jump is not None
    assert (jump.surprise, jump.lost, jump.shift) == (Surprise.SUSPENDED, True, 0.0)
    assert jump.seconds == pytest.approx(slept)


@given(st.floats(-1e6, 29))
def test_a_clock_that_was_set(shift: float) -> None:
    assume(abs(shift) > 1.1)
    jump = read(shift=shift)
    assert jump is not None
    assert (jump.surprise, jump.lost) == (Surprise.SET, False)
    assert jump.shift == pytest.approx(shift, abs=1e-3)
    assert ("back" in jump.words()) is (shift < 0)


@given(st.floats(31, 1e6))
def test_a_jump_ahead_that_no_clock_explains_is_taken_for_sleep(shift: float) -> None:
    jump = read(shift=shift)
    assert jump is not None
    assert (jump.surprise, jump.lost) == (Surprise.AHEAD, True)
    assert jump.shift == pytest.approx(shift, abs=1e-3)


@given(st.floats(21, 1e5), st.floats(-100, 20))
def test_a_process_that_stood_still(passed: float, shift: float) -> None:
    jump = read(passed, shift=shift)
    assert jump is not None
    assert (jump.surprise, jump.lost) == (Surprise.STOOD_STILL, True)
    assert jump.words() == f"the daemon stood still for {passed - 5:.0f} s"


def test_sleep_and_a_clock_that_was_set_meanwhile_are_both_seen() -> None:
    jump = read(slept=3600, shift=-40)
    assert jump is not None
    assert (jump.surprise, jump.shift) == (Surprise.SUSPENDED, pytest.approx(-40))
