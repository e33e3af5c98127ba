"""Time that did not pass as it should: a machine that slept, a process that stood still, a clock that was set.

Three clocks are read every few seconds: the wall clock, which people set; the monotonic one, which timers use and which
stands still while the machine sleeps; and how long the machine has slept since it was started (on Linux the difference
of ``CLOCK_BOOTTIME`` and ``CLOCK_MONOTONIC``). What they disagree about tells what happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_SLEPT: Final = 5.0
_SET_AHEAD: Final = 30.0  # without a clock that counts sleep, a jump ahead is sleep more often than a person's hand
_SET: Final = 1.0
_STOOD: Final = 15.0


class Surprise(StrEnum):
    """What happened; the code of the journal's ``clock`` events."""

    SUSPENDED = "suspended"  # the machine slept
    AHEAD = "ahead"  # the wall clock jumped ahead, and no clock says why
    SET = "set"  # the wall clock was set, back or a little ahead
    STOOD_STILL = "stood_still"  # the machine was awake, this process was not


@dataclass(frozen=True, slots=True)
class Reading:
    """The three clocks at one moment, in seconds."""

    wall: float
    monotonic: float
    asleep: float = 0.0


@dataclass(frozen=True, slots=True)
class Jump:
    """Time that did not pass as it should.

    Attributes:
        surprise: What happened.
        seconds: How long it was lost, or by how much the clock was set.
        shift: By how much the wall clock is off from where it would be, had nobody touched it.
    """

    surprise: Surprise
    seconds: float
    shift: float = 0.0

    @property
    def lost(self) -> bool:
        """Whether nothing ran meanwhile, so that no silence may be held against anybody."""
        return self.surprise is not Surprise.SET

    def words(self) -> str:
        """Say what happened."""
        match self.surprise:
            case Surprise.SUSPENDED:
                return f"the machine slept for {self.seconds:.0f} s"
            case Surprise.AHEAD:
                return f"the clock jumped ahead by {self.seconds:.0f} s: the machine slept, or the clock was set"
            case Surprise.SET:
                return f"the clock was set {'ahead' if self.shift > 0 else 'back'} by {abs(self.shift):.0f} s"
            case Surprise.STOOD_STILL:
                return f"the daemon stood still for {self.seconds:.0f} s"


def grid(now: float, every: float) -> float:
    """Return the next moment that is a multiple of ``every`` seconds: what is due at one moment costs one wake-up.

    The monotonic clock is the same for all processes of a machine, so this holds across them.

    Example:
        >>> grid(1003.2, 5.0), grid(1005.0, 5.0)
        (1005.0, 1010.0)
    """
    return (now // every + 1) * every


def judge(before: Reading, after: Reading, expected: float) -> Jump | None:
    """Tell what happened between two readings, None if time passed as it should.

    Args:
        before: The earlier one.
        after: The later one.
        expected: Seconds that should have passed between them.

    Example:
        >>> judge(Reading(100, 10), Reading(3705, 15, asleep=3600), 5.0).words()
        'the machine slept for 3600 s'
        >>> judge(Reading(100, 10), Reading(-3495, 15), 5.0).words()
        'the clock was set back by 3600 s'
        >>> judge(Reading(100, 10), Reading(105.2, 15.2), 5.0) is None
        True
    """
    slept = after.asleep - before.asleep
    passed = after.monotonic - before.monotonic
    shift = (after.wall - before.wall) - passed - slept
    if slept >= _SLEPT:
        return Jump(Surprise.SUSPENDED, slept, shift if abs(shift) >= _SET else 0.0)
    if shift >= _SET_AHEAD:
        return Jump(Surprise.AHEAD, shift, shift)
    if passed - expected >= _STOOD:
        return Jump(Surprise.STOOD_STILL, passed - expected, shift if abs(shift) >= _SET else 0.0)
    return Jump(Surprise.SET, abs(shift), shift) if abs(shift) >= _SET else None
