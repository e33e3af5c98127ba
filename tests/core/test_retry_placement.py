from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wakit.core.placement import ALONE_UP_TO, SHARED_BY, assign, halves
from wakit.core.retry import AFTER_CRASH, AFTER_DIAL, Backoff


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.sampled_from([AFTER_CRASH, AFTER_DIAL, Backoff()]))
def test_a_pause_stays_within_its_bounds(attempt: int, chance: float, backoff: Backoff) -> None:
    pause = backoff.pause(attempt, chance)
    assert backoff.floor <= pause <= backoff.cap
    assert pause <= max(backoff.floor, backoff.first * 2.0 ** min(attempt - 1, 100))


def test_the_first_restart_after_a_crash_leaves_time_for_the_rest_of_two_seconds() -> None:
    assert AFTER_CRASH.pause(1, 0.999) < 0.5


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
