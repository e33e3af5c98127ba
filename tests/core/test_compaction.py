from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from wakit.core.compaction import BLAMED_FOR, PROVED, Aboard, Situation, disturbed, merge
from wakit.core.placement import ALONE_UP_TO, SHARED_BY, assign, most_aboard

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONG = NOW - timedelta(days=2)
settings = st.one_of(st.just("auto"), st.integers(1, 40))
moments = st.one_of(st.none(), st.sampled_from([LONG, NOW - PROVED, NOW - PROVED / 2, NOW]))


def fleet(sizes: list[int], since: datetime | None = LONG) -> list[Aboard]:
    return [Aboard(f"s{w}-{n}", f"w{w}", since) for w, size in enumerate(sizes) for n in range(size)]


def after(aboard: list[Aboard], sessions: tuple[str, ...], number: int) -> list[Aboard]:
    """The fleet after a merger, once everybody has proved itself again."""
    return [replace(each, worker=f"new{number}") if each.session in sessions else each for each in aboard]


@st.composite
def fleets(draw: st.DrawFn) -> list[Aboard]:
    aboard = fleet(draw(st.lists(st.integers(1, 34), max_size=30)))
    odd = draw(st.dictionaries(st.integers(0, max(0, len(aboard) - 1)), st.tuples(moments, moments), max_size=6))
    for index, (since, blamed_at) in odd.items():
        if index < len(aboard):
            aboard[index] = replace(aboard[index], connected_since=since, blamed_at=blamed_at)
    return aboard


@given(fleets(), settings)
def test_whoever_is_moved_has_proved_itself_and_a_worker_is_saved(
    aboard: list[Aboard], setting: int | Literal["auto"]
) -> None:
    merger = merge(aboard, setting=setting, now=NOW)
    if merger is None:
        return
    assert len(merger.workers) == len(set(merger.workers)) >= 2
    assert len(merger.sessions) <= most_aboard(len(aboard), setting)
    by_name = {each.session: each for each in aboard}
    assert {by_name[name].worker for name in merger.sessions} == set(merger.workers)
    whole = [each for each in aboard if each.worker in merger.workers]
    assert sorted(merger.sessions) == sorted(each.session for each in whole), "a worker that keeps somebody stays"
    for each in whole:
        assert each.connected_since is not None
        assert NOW - each.connected_since >= PROVED
        assert each.blamed_at is None or NOW - each.blamed_at >= BLAMED_FOR
    assert len(merger.sessions) <= 16 * (len(merger.workers) - 1), "it has to pay"


@given(fleets(), settings)
def test_it_ends_by_itself(aboard: list[Aboard], setting: int | Literal["auto"]) -> None:
    moves: Counter[str] = Counter()
    workers = len({each.worker for each in aboard})
    number = 0
    while (merger := merge(aboard, setting=setting, now=NOW)) is not None:
        aboard = after(aboard, merger.sessions, number)
        moves.update(merger.sessions)
        number += 1
        assert len({each.worker for each in aboard}) < workers
        workers = len({each.worker for each in aboard})
    assert merge(aboard, setting=setting, now=NOW) is None
    assert max(moves.values(), default=0) <= 6, "nobody is moved again and again"


@given(fleets(), settings)
def test_those_who_were_moved_just_now_stay(aboard: list[Aboard], setting: int | Literal["auto"]) -> None:
    merger = merge(aboard, setting=setting, now=NOW)
    if merger is None:
        return
    fresh = [
        replace(e, connected_since=NOW) if e.session in merger.sessions else e
        for e in after(aboard, merger.sessions, 0)
    ]
    again = merge(fresh, setting=setting, now=NOW)
    assert again is None or not set(again.sessions) & set(merger.sessions)


@given(st.integers(0, 300), settings)
def test_a_fresh_division_leaves_nothing_to_merge(paired: int, setting: int | Literal["auto"]) -> None:
    shares = assign([str(n) for n in range(paired)], running=0, setting=setting)
    assert merge(fleet([len(share) for share in shares]), setting=setting, now=NOW) is None


@given(st.lists(st.integers(1, 32), max_size=12))
def test_one_a_worker_is_never_merged(sizes: list[int]) -> None:
    assert merge(fleet(sizes), setting=1, now=NOW) is None


def test_what_a_hunt_for_a_culprit_leaves_is_one_worker_and_the_culprit() -> None:
    hunted = fleet([16, 8, 4, 2, 1, 1])
    culprit = replace(hunted[-1], blamed_at=NOW - timedelta(hours=1))
    merger = merge([*hunted[:-1], culprit], setting="auto", now=NOW)
    assert merger is not None
    assert (len(merger.workers), len(merger.sessions)) == (5, 31)
    assert culprit.session not in merger.sessions


def test_after_a_scale_down_many_small_ones_become_few() -> None:
    aboard, number = fleet([3] * 20), 0
    while (merger := merge(aboard, setting="auto", now=NOW)) is not None:
        aboard, number = after(aboard, merger.sessions, number), number + 1
    by_worker: defaultdict[str, int] = defaultdict(int)
    for each in aboard:
        by_worker[each.worker] += 1
    assert sorted(by_worker.values()) == [30, 30]
    assert number == 2


def test_a_small_fleet_keeps_a_worker_each() -> None:
    assert merge(fleet([1] * ALONE_UP_TO), setting="auto", now=NOW) is None
    assert merge(fleet([1] * (ALONE_UP_TO + 1)), setting="auto", now=NOW) is not None


def test_a_large_worker_is_not_moved_for_a_small_one() -> None:
    assert merge(fleet([1, SHARED_BY - 1]), setting="auto", now=NOW) is None


@given(
    st.booleans(),
    st.sampled_from([None, LONG, NOW]),
    st.integers(0, 200),
    st.lists(st.sampled_from([LONG, NOW]), max_size=12),
)
def test_never_in_an_incident(busy: bool, crashed_at: datetime | None, running: int, troubled: list[datetime]) -> None:
    said = disturbed(Situation(busy, crashed_at, running, troubled), NOW)
    many = len(troubled) > 1 and len(troubled) * 10 > running
    assert bool(said) == (busy or crashed_at == NOW or NOW in troubled or many)
