"""Scenarios that wait for their moment: armed for a target, met once, several times, or until disarmed.

Before a client has logged in, only the user name of its dial is known. A scenario of that stage therefore cannot be
armed for a phone number.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from wakit.errors import WakitError
from wakit.sim.requests import (
    ArmedScenario,
    HangDial,
    ProxySays,
    RefuseDial,
    RefuseTls,
    Scenario,
    SlowHandshake,
    Target,
)

S = TypeVar("S")
_BEFORE_LOGIN: Final = (HangDial, RefuseDial, ProxySays, RefuseTls, SlowHandshake)


@dataclass(frozen=True, slots=True)
class Met(Generic[S]):
    """A scenario that is due now; ``disarmed`` is set once somebody takes it back."""

    scenario: S
    disarmed: asyncio.Event


@dataclass(slots=True)
class _Armed:
    id: int
    scenario: Scenario
    target: Target
    left: int | None
    disarmed: asyncio.Event = field(default_factory=asyncio.Event)


class FaultBook:
    """The armed scenarios, in the order they were armed; the first that fits is met."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._spent: list[_Armed] = []  # met for the last time, but perhaps still holding a dial
        self._last_id = 0

    def arm(self, scenario: Scenario, target: Target, times: int | None) -> int:
        """Arm a scenario; return its id.

        Raises:
            WakitError: The target is not known yet when this scenario happens, or ``times`` is not positive.
        """
        if isinstance(scenario, _BEFORE_LOGIN) and (target.number, target.device) != (None, None):
            raise WakitError(
                "This scenario cannot be armed for a number",
                why="it happens before the client has said who it is",
                hint="arm it for everybody, or for the user name of the client's dial",
            )
        if times is not None and times < 1:
            raise WakitError("A scenario is armed for at least one time", hint="leave the number out: until disarmed")
        self._last_id += 1
        self._armed.append(_Armed(self._last_id, scenario, target, times))
        return self._last_id

    def disarm(self, armed: int | None) -> int:
        """Take one scenario back, or every one; return how many. What they hold is let go."""
        taken = [each for each in (*self._armed, *self._spent) if armed in (None, each.id)]
        for each in taken:
            each.disarmed.set()
        self._armed = [each for each in self._armed if each not in taken]
        self._spent = [each for each in self._spent if each not in taken]
        return len(taken)

    def meet(self, kinds: tuple[type[S], ...], who: Target) -> Met[S] | None:
        """Return the first armed scenario of these kinds that fits ``who``, counting it as met once more."""
        for armed in self._armed:
            if isinstance(armed.scenario, kinds) and armed.target.fits(who):
                self._count(armed)
                return Met(armed.scenario, armed.disarmed)
        return None

    def _count(self, armed: _Armed) -> None:
        if armed.left is None:
            return
        armed.left -= 1
        if armed.left == 0:
            self._armed.remove(armed)
            self._spent.append(armed)

    def listing(self) -> tuple[ArmedScenario, ...]:
        """Return what still waits."""
        return tuple(
            ArmedScenario(id=each.id, scenario=each.scenario, target=each.target, left=each.left)
            for each in self._armed
        )
