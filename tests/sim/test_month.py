"""The made-up month: possible, repeatable, and with the story it promises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wakit.core.lifecycle import State
from wakit.core.records import DeclarationRecord, EventRecord
from wakit.sim.month import DAYS, FIRST_DAY, TEAMS, month


@given(st.integers(0, 1 << 32))
@settings(max_examples=15, deadline=None)
def test_every_month_is_one_that_could_have_been(seed: int) -> None:
    """Times rise, states follow one another, and nothing happens to a session that a verdict has stopped."""
    states: dict[str, str] = {}
    newest = FIRST_DAY
    for record in month(seed):
        at = record.loaded_at if isinstance(record, DeclarationRecord) else record.ts
        assert newest <= at
        newest = at
        if isinstance(record, EventRecord) and record.kind == "state":
            assert record.session is not None
            assert record.state_to is not None
            assert states.get(record.session, State.RETIRED.value) == record.state_from
            states[record.session] = record.state_to
    assert len(states) == sum(TEAMS.values())
    assert set(states.values()) == {State.CONNECTED.value}, "the month ends well"
    assert (newest - FIRST_DAY).days == DAYS


def test_a_seed_is_a_month() -> None:
    assert list(month(3)) == list(month(3))
    assert list(month(3)) != list(month(4))


@pytest.mark.parametrize("state", ["logged_out", "banned", "reconnecting", "pairing"])
def test_the_story_has_what_there_is_to_learn(state: str) -> None:
    assert any(isinstance(record, EventRecord) and record.state_to == state for record in month())
