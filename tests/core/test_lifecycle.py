from __future__ import annotations

import doctest
from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

import pytest

from wakit import core
from wakit.core.lifecycle import ALIVE, FINAL, RECOVERY, STATUS, TRANSITIONS, Happening, Recovery, State, follow
from wakit.whatsapp.port import SessionEvent

EVERYTHING = [(state, happening) for state in State for happening in Happening]
BY_THE_RECONCILER = {
    Happening.DECLARED, Happening.START, Happening.CREDENTIAL_BAD, Happening.PARK, Happening.HOLD, Happening.RETIRE,
    Happening.GAVE_UP,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(module.name for module in iter_modules(core.__path__)))
def test_the_examples_in_the_docstrings_run(name: str) -> None:
    result = doctest.testmod(import_module(f"{core.__name__}.{name}"))
    assert result.failed == 0


def test_every_state_has_a_status_and_a_way_on() -> None:
    assert set(STATUS) == set(State) == set(RECOVERY)


@pytest.mark.parametrize(("state", "happening"), EVERYTHING)
def test_every_state_takes_every_happening(state: State, happening: Happening) -> None:
    after = follow(state, happening)
    assert after is TRANSITIONS.get((state, happening), state)
    if happening in BY_THE_RECONCILER:
        return
    # What a client says is believed only while one can be alive, and a verdict is never undone by a late event.
    if state not in ALIVE:
        assert after is state
    if state in FINAL:
        assert after is state


@pytest.mark.parametrize("state", list(State))
def test_every_state_can_be_reached_and_left(state: State) -> None:
    into = {source for (source, _), target in TRANSITIONS.items() if target is state and source is not state}
    out = {target for (source, _), target in TRANSITIONS.items() if source is state and target is not state}
    assert into, f"nothing leads to {state}"
    assert out, f"nothing leads away from {state}"


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_verdict_is_left_only_by_the_reconciler(state: State) -> None:
    leaving = {happening for (source, happening), target in TRANSITIONS.items() if source is state is not target}
    assert leaving <= BY_THE_RECONCILER
    assert RECOVERY[state] in (Recovery.PERSON, Recovery.WHEN_OVER, Recovery.BREAKER)


def test_a_qr_never_leads_out_of_being_connected() -> None:
    for state in (State.PAIRED, State.CONNECTED, State.DEGRADED):
        assert follow(state, Happening.QR_SHOWN) is state


def test_every_event_of_the_port_has_its_own_happening() -> None:
    happenings = [event.happening for event in get_args(SessionEvent)]
    assert len(happenings) == len(set(happenings))
    assert set(Happening) - set(happenings) - BY_THE_RECONCILER == {Happening.WORKER_LOST}
