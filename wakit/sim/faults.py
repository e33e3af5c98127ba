"""Scenarios that wait for their moment: armed for a target, met once, several times, or until disarmed.

Before a client has logged in, only the user name of its dial is known. A scenario of that stage therefore cannot be
armed for a phone number.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import UnionType
from typing import Generic, TypeVar, cast

from wakit.errors import WakitError
from wakit.sim.requests import (
    ArmedScenario,
)
from wakit.sim.scenarios import (
    DialScenario,
    Failure,
    OnlineScenario,
    PasskeyRequired,
    Scenario,
    SlowHandshake,
    Target,
)

S = TypeVar("S")


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
        if isinstance(scenario, DialScenario | SlowHandshake) and (target.number, target.device) != (None, None):
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

    def meet_dial(self, who: Target) -> Met[DialScenario] | None:
        """Return what is due for a dial, counting it as met once more; so do the others for their stages."""
        return cast("Met[DialScenario] | None", self._meet(DialScenario, who))

    def meet_handshake(self, who: Target) -> Met[SlowHandshake] | None:
        """Return what is due for a handshake."""
        return cast("Met[SlowHandshake] | None", self._meet(SlowHandshake, who))

    def meet_login(self, who: Target) -> Met[Failure] | None:
        """Return what is due for a login or a registration."""
        return cast("Met[Failure] | None", self._meet(Failure, who))

    def meet_linking(self, who: Target) -> Met[PasskeyRequired] | None:
        """Return what is due for a client that a phone is about to link."""
        return cast("Met[PasskeyRequired] | None", self._meet(PasskeyRequired, who))

    def meet_online(self, who: Target) -> Met[OnlineScenario] | None:
        """Return what is due for a client that has just become active."""
        return cast("Met[OnlineScenario] | None", self._meet(OnlineScenario, who))

    def _meet(self, kinds: type | UnionType, who: Target) -> Met[Scenario] | None:
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
