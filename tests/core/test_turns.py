"""The order of a fleet, and the line in which nobody is passed for ever by the same session."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wakit.core.declaration import Declaration, FleetSpec, SessionSpec
from wakit.core.observation import Credential, Observation, SessionObservation
from wakit.core.planner import plan
from wakit.core.turns import HIGHEST, LAST, LOWEST, Line, Standing, standing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
priorities = st.integers(LOWEST, HIGHEST)
moments = st.none() | st.integers(0, 10_000).map(lambda seconds: NOW - timedelta(seconds=seconds))
NAMES = [f"s{number}" for number in range(8)]


def place(name: str) -> Standing:
    return standing(0, None, int(name[1:]))


def test_priority_then_health_then_the_file() -> None:
    yesterday, today = NOW - timedelta(days=1), NOW
    in_order = [
        standing(10, None, 7), standing(1, yesterday, 9), standing(0, today, 5), standing(0, yesterday, 2),
        standing(0, None, 3), standing(0, None, 4), standing(-1, today, 0), standing(LOWEST, None, 6), LAST,
    ]  # fmt: skip
    assert sorted(set(in_order)) == in_order


@given(st.lists(st.tuples(priorities, moments), max_size=30))
def test_a_plan_restores_in_the_fleets_order(sessions: list[tuple[int, datetime | None]]) -> None:
    specs = {f"s{i}": SessionSpec(f"s{i}", priority=priority) for i, (priority, _) in enumerate(sessions)}
    seen = {
        f"s{i}": SessionObservation(f"s{i}", credential=Credential.PRESENT, healthy_at=at)
        for i, (_, at) in enumerate(sessions)
    }
    declaration = Declaration("/s.toml", "", "", FleetSpec("/s"), specs)
    planned = [action.session for action in plan(declaration, Observation(seen), NOW).actions]
    keys = [(-specs[name].priority, -at.timestamp() if (at := seen[name].healthy_at) else 1.0) for name in planned]
    assert keys == sorted(keys)
    for before, after in pairwise(planned):
        same = specs[before].priority == specs[after].priority and seen[before].healthy_at == seen[after].healthy_at
        assert not same or int(before[1:]) < int(after[1:]), "the file's order decides last"


def test_who_pairs_first_is_a_matter_of_priority_too() -> None:
    specs = {name: SessionSpec(name, priority=int(name[1:])) for name in NAMES}
    decided = plan(Declaration("/s.toml", "", "", FleetSpec("/s"), specs), Observation(), NOW)
    assert [action.session for action in decided.actions] == ["s7", "s6", "s5", "s4"]
    assert set(decided.waiting) == {"s0", "s1", "s2", "s3"}


def serve(line: Line, free: float = 1.0) -> str | None:
    due = line.due(place, free, now=0.0)
    if not due:
        return None
    line.serve(due[0])
    return due[0]


def test_who_comes_back_stands_where_it_stood() -> None:
    line = Line()
    for name in ("s3", "s1", "s2"):
        line.ask(name)
    line.leave("s1")
    assert line.due(place, 9.0, 0.0) == ["s2", "s3"]
    line.ask("s1")
    assert line.due(place, 9.0, 0.0) == ["s1", "s2", "s3"]


def test_who_was_served_does_not_pass_those_who_waited_meanwhile() -> None:
    line = Line()
    for name in ("s0", "s5"):
        line.ask(name)
    assert serve(line) == "s0"
    line.ask("s0")
    assert serve(line) == "s5"
    assert serve(line) == "s0"


def test_a_permit_that_came_back_was_no_turn() -> None:
    line = Line()
    for name in ("s0", "s5"):
        line.ask(name)
    assert serve(line) == "s0"
    line.take_back("s0")
    line.ask("s0")
    assert serve(line) == "s0"


def test_a_place_is_kept_for_those_who_are_about_to_ask_while_permits_are_short() -> None:
    line = Line()
    line.expect(["s0", "s1"], until=10.0)
    line.ask("s2")
    assert line.due(place, 2.0, now=0.0) == []
    assert line.due(place, 3.0, now=0.0) == ["s2"], "enough for all three"
    assert line.due(place, 1.0, now=10.0) == ["s2"], "they did not come"
    line.expect(["s0", "s1"], until=10.0)
    assert line.forget("s0")
    assert not line.forget("s0")
    line.ask("s1")
    assert line.due(place, 2.0, now=0.0) == ["s1", "s2"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "leave", "serve", "serve", "back", "expect"]), st.sampled_from(NAMES)),
        max_size=200,
    )
)
def test_nobody_is_passed_more_than_twice_by_the_same_session(steps: list[tuple[str, str]]) -> None:
    line = Line()
    passed: dict[str, Counter[str]] = {}  # who was served since each one began to wait
    last = ""
    for what, name in steps:
        if what == "ask" and name not in line.waiting:
            line.ask(name)
            passed[name] = Counter()
        elif what == "leave":
            line.leave(name)
            passed.pop(name, None)
        elif what == "expect":
            line.expect([name], until=1.0)
            line.forget(name)
        elif what == "back" and last and last not in line.waiting:
            line.take_back(last)
            for others in passed.values():
                others[last] -= others[last] > 0
            last = ""
        elif what == "serve" and (served := serve(line)):
            passed.pop(served)
            last = served
            for waiting in passed.values():
                waiting[served] += 1
        assert set(passed) == set(line.waiting)
        assert all(times <= 2 for waiting in passed.values() for times in waiting.values())
    while line.waiting:
        assert serve(line)
