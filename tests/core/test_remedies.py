"""What a plan's holds say of their end: it is tried here, by the planner itself."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_planner import NOW, declare, linked, names, observations, observe

from wakit.core.declaration import Declaration, RetirePolicy, SessionSpec
from wakit.core.observation import Observation, SessionObservation
from wakit.core.planner import plan
from wakit.core.remedies import remedies


def told(declaration: Declaration, world: Observation) -> dict[str, str]:
    return remedies(plan(declaration, world, NOW).held, declaration, world)


def without(declaration: Declaration, name: str) -> Declaration:
    return replace(declaration, sessions={n: spec for n, spec in declaration.sessions.items() if n != name})


def test_a_retirement_that_waits_can_be_confirmed() -> None:
    world = observe(*(linked(n) for n in "abcd"))
    wanted = declare(SessionSpec("a"))
    said = told(wanted, world)
    assert set(said) == set("bcd")
    assert len(set(said.values())) == 1
    assert "`wakit apply --confirm`" in said["b"]
    assert told(wanted, replace(world, confirmed="sha")) == {}


@pytest.mark.parametrize(
    ("policy", "then"), [("archive", "archived"), ("logout", "unlinked at WhatsApp"), ("keep", "stays where it is")]
)
def test_the_second_session_of_an_account_is_taken_out_of_the_file(policy: str, then: str) -> None:
    second = linked("a", account="account-of-b", paired_at=NOW)
    world = observe(second, linked("b"), linked("c"), declared_accounts={"a": "another"})
    wanted = declare(*(SessionSpec(n) for n in "abc"), retire=RetirePolicy(policy))
    (hint,) = told(wanted, world).values()
    assert hint.startswith("take a out of the file; ")
    assert then in hint
    assert "--confirm" not in hint
    assert told(without(wanted, "a"), world) == {}


def test_who_waits_for_the_account_of_one_whose_retirement_is_held_waits_for_the_same() -> None:
    world = observe(linked("a"), linked("b"), linked("c", account="account-of-a", paired_at=NOW))
    said = told(declare(SessionSpec("c")), world)
    assert set(said) == set("abc")
    assert len(set(said.values())) == 1
    assert told(declare(SessionSpec("c")), replace(world, confirmed="sha")) == {}


def test_a_session_that_would_be_the_second_has_a_wrong_number_or_is_one_too_many() -> None:
    world = observe(linked("a"), declared_accounts={"b": "account-of-a"})
    wanted = declare(SessionSpec("a"), SessionSpec("b"))
    assert told(wanted, world) == {"b": "take b out of the file, or correct its `phone`"}
    assert told(without(wanted, "b"), world) == {}
    assert told(wanted, replace(world, declared_accounts={"b": "account-of-b"})) == {}


def test_another_number_than_the_linked_one_is_set_back() -> None:
    # There is a second link to the account; but it is the other one that is too many.
    later = linked("b", account="account-of-a", paired_at=NOW + timedelta(days=1))
    world = observe(linked("a"), later, declared_accounts={"a": "another"})
    wanted = declare(SessionSpec("a"), SessionSpec("b"))
    said = told(wanted, world)
    assert said["a"] == "set the `phone` of a back to the number it is linked to"
    assert said["b"].startswith("take b out of the file; ")
    assert told(without(wanted, "b"), replace(world, declared_accounts={"a": "account-of-a"})) == {}


accounts = st.dictionaries(names, st.sampled_from(["A", "B", "C"]))


@given(st.lists(names, unique=True), st.lists(observations, unique_by=lambda seen: seen.name), accounts)
def test_every_hold_has_an_end(declared: list[str], seen: list[SessionObservation], numbers: dict[str, str]) -> None:
    wanted = declare(*map(SessionSpec, declared))
    world = observe(*seen, declared_accounts=numbers)
    held = plan(wanted, world, NOW).held
    said = remedies(held, wanted, world)
    assert set(said) == set(held)
    for name in held:
        holder = re.search("linked as '(.)' already", held[name])
        waits_with = [held[name], held.get(holder[1], "") if holder else ""]
        assert ("--confirm" in said[name]) == any("--confirm" in reason for reason in waits_with)
