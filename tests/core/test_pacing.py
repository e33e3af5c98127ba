"""The bucket: no window of time ever sees more dials than it allows, and nobody waits longer than that."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wakit.core.pacing import TokenBucket

rates = st.floats(1 / 3600, 1000)
chances = st.floats(0, 1, exclude_max=True)


def assert_within(bucket: TokenBucket, dials: list[float]) -> None:
    """At most ``burst + rate * t`` dials in any window of ``t`` seconds, ends included."""
    for first in range(len(dials)):
        for last in range(first, len(dials)):
            allowed = bucket.burst + bucket.rate * (dials[last] - dials[first])
            assert last - first + 1 <= allowed * (1 + 1e-9) + 1e-6


@given(
    rates,
    st.lists(st.tuples(st.floats(0, 3), chances, st.sampled_from(["permit", "dial", "dial", "back"])), max_size=80),
)
def test_no_window_sees_more_dials_than_allowed_whenever_permits_are_used(
    rate: float, steps: list[tuple[float, float, str]]
) -> None:
    """Permits may be used at once, much later, all together, or never."""
    bucket, now, dials = TokenBucket.full(rate, 0.0), 0.0, []
    for intervals, chance, what in steps:
        now += intervals / rate
        if what == "permit":
            while bucket.next_at(now) <= now:
                bucket = bucket.permit(now, chance)
                assert bucket.out <= bucket.burst
                if chance:
                    break
        elif bucket.out and what == "dial":
            bucket = bucket.dial(now)
            dials.append(now)
        elif bucket.out:
            bucket = bucket.give_back()
    assert_within(bucket, dials)


def drain(rate: float, count: int, chances: list[float], late: float = 0.0) -> list[float]:
    """Dial as soon as possible, so many times; each timer may be late."""
    bucket, now, dials = TokenBucket.full(rate, 0.0), 0.0, []
    for number in range(count):
        now = max(now, bucket.next_at(now)) + late * chances[-number % len(chances)]
        bucket = bucket.permit(now, chances[number % len(chances)]).dial(now)
        dials.append(now)
    return dials


@given(st.floats(0.1, 100), st.integers(1, 300), st.lists(chances, min_size=1, max_size=20))
def test_a_crowd_is_through_as_fast_as_the_rate_allows_whatever_chance_says(
    rate: float, count: int, chances: list[float]
) -> None:
    dials = drain(rate, count, chances)
    assert dials[-1] <= (count / rate) * (1 + 1e-9)
    assert_within(TokenBucket.full(rate, 0.0), dials)


@given(st.floats(2, 50), st.lists(chances, min_size=1, max_size=20))
def test_timers_that_are_late_cost_nothing_in_the_long_run(rate: float, chances: list[float]) -> None:
    assert drain(rate, 400, chances, late=0.01)[-1] <= 400 / rate + 0.5


def test_five_hundred_at_five_a_second_are_through_in_a_hundred_seconds() -> None:
    dials = drain(5.0, 500, [0.1, 0.9, 0.4, 0.6, 0.99])
    assert 98 <= dials[-1] <= 100


def test_chance_spreads_what_would_go_out_together() -> None:
    gaps = [after - before for before, after in pairwise(drain(5.0, 5, [0.5, 0.1, 0.9, 0.3]))]
    assert [round(gap, 3) for gap in gaps] == [0.1, 0.02, 0.18, 0.06]


def test_a_permit_that_is_out_keeps_the_bucket_from_filling() -> None:
    bucket = TokenBucket.full(2.0, 0.0).permit(0.0, 0.0).permit(0.0, 0.0)
    assert bucket.next_at(3600.0) == inf, "two are out, and two is what it holds"
    assert bucket.give_back().next_at(3600.0) == 3600.0
    assert bucket.dial(3600.0).next_at(3600.0) == pytest.approx(3600.5)


def test_a_quiet_time_saves_up_one_second_and_no_more() -> None:
    bucket, given = TokenBucket.full(3.0, 0.0), 0
    while bucket.next_at(3600.0) <= 3600.0:
        bucket, given = bucket.permit(3600.0, 0.0).dial(3600.0), given + 1
    assert given == 3


@given(st.floats(0.5, 50), st.floats(0.5, 50))
def test_another_rate_keeps_the_debt_and_not_the_old_pauses(old: float, new: float) -> None:
    assume(old != new)
    bucket = TokenBucket.full(old, 0.0)
    while bucket.next_at(0.0) <= 0.0:
        bucket = bucket.permit(0.0, 0.0).dial(0.0)
    bucket = bucket.permit(bucket.next_at(0.0), 0.99).at_rate(new, 0.0)
    assert bucket.level < 1
    assert bucket.not_before <= 1 / new
    assert bucket.at_rate(new, 5.0) is bucket
