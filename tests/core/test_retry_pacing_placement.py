from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wakit.core.pacing import TokenBucket
from wakit.core.placement import ALONE_UP_TO, SHARED_BY, assign, halves
from wakit.core.retry import AFTER_CRASH, AFTER_DIAL, Backoff


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.sampled_from([AFTER_CRASH, AFTER_DIAL, Backoff()]))
def test_a_pause_stays_within_its_bounds(attempt: int, chance: float, backoff: Backoff) -> None:
    pause = backoff.pause(attempt, chance)
    assert backoff.floor <= pause <= backoff.cap
    assert pause <= max(backoff.floor, backoff.first * 2.0 ** min(attempt - 1, 100))


def test_the_first_restart_after_a_crash_leaves_time_for_the_rest_of_two_seconds() -> None:
    assert AFTER_CRASH.pause(1, 0.999) < 0.5


@given(
    st.floats(0.1, 100),
    st.lists(st.floats(0, 3), max_size=60),
)
def test_grants_never_exceed_the_rate_in_any_window(rate: float, gaps: list[float]) -> None:
    bucket, now, grants = TokenBucket.full(rate, 0.0), 0.0, []
    for gap in gaps:
        now += gap
        bucket, pause = bucket.reserve(now)
        grants.append(now + pause)
    for i, first in enumerate(grants):
        for j in range(i, len(grants)):
            allowed = bucket.burst + rate * (grants[j] - first)
            assert j - i + 1 <= allowed + 1e-6 * (1 + allowed)


@given(st.floats(0.5, 50), st.integers(2, 40))
def test_waiting_tokens_are_given_in_the_order_asked(rate: float, asked: int) -> None:
    bucket, pauses = TokenBucket.full(rate, 5.0), []
    for _ in range(asked):
        bucket, pause = bucket.reserve(5.0)
        pauses.append(pause)
    assert pauses == sorted(pauses)


def test_a_new_rate_keeps_the_debt() -> None:
    bucket = TokenBucket.full(1.0, 0.0)
    for _ in range(11):
        bucket, pause = bucket.reserve(0.0)
    assert pause == 10.0
    _, pause = bucket.at_rate(10.0, 0.0).reserve(0.0)
    assert pause == 1.1


names = st.lists(st.integers(0, 10_000).map(str), max_size=200, unique=True)


@given(names, st.integers(0, 600), st.one_of(st.just("auto"), st.integers(1, 64)), st.data())
def test_everybody_gets_exactly_one_place(
    restoring: list[str], running: int, setting: object, data: st.DataObject
) -> None:
    quarantines = st.sampled_from(["x", "y", "z"])
    apart = data.draw(st.dictionaries(st.sampled_from(restoring), quarantines)) if restoring else {}
    shares = assign(restoring, running=running, setting=setting, apart=apart)  # type: ignore[arg-type]
    assert sorted(name for share in shares for name in share) == sorted(restoring)
    limit = setting if setting != "auto" else 1 if running + len(restoring) <= ALONE_UP_TO else SHARED_BY
    for share in shares:
        assert 1 <= len(share) <= limit  # type: ignore[operator]
        assert len({apart.get(name) for name in share}) == 1, "quarantines do not mix"


@given(st.lists(st.integers(0, 10_000).map(str), min_size=1, max_size=SHARED_BY, unique=True), st.data())
def test_one_culprit_among_many_is_alone_after_few_crashes(aboard: list[str], data: st.DataObject) -> None:
    culprit = data.draw(st.sampled_from(aboard))
    share, crashes = tuple(aboard), 0
    while len(share) > 1:
        parts = halves(share)
        assert sorted(name for part in parts for name in part) == sorted(share)
        (share,) = (part for part in parts if culprit in part)
        crashes += 1
    assert crashes <= SHARED_BY.bit_length() - 1
