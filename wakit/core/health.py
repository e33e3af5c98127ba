"""Whether a session that says it is connected really hears WhatsApp: from what is measured to a verdict, in words.

Three witnesses, and none is enough alone:

- the *library* pings WhatsApp every 20 to 30 s and waits 10 s for the answer (whatsmeow's keepalive.go); it tells each
  ping that goes unanswered. A library that hangs tells nothing.
- the *relay* sees every byte without asking the library. On a line that works some byte comes at least every 30 s, the
  answer to a ping, and some byte goes out as often, the ping itself.
- the *heartbeats* of the worker, without which the other two know nothing new.

The judge's own lateness is nobody's fault: whoever stood still (a stopped process, a frozen virtual machine, a machine
out of memory) first forgives what it could not have heard meanwhile (:func:`lateness`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wakit.core.declaration import HealthPolicy

PING_EVERY: Final = 30.0
"""Seconds between two pings of the library, at most."""

PING_ANSWER: Final = 10.0
"""Seconds in which the library expects the answer."""

STANDSTILL: Final = 1.0
"""Seconds a timer may be late on a busy machine; what is later stood still."""


class Health(StrEnum):
    """How a connected session is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # connected and deaf
    STALE = "stale"  # nobody knows: its worker gives no sign of life


@dataclass(frozen=True, slots=True)
class Signs:
    """What is measured of one connected session; times in seconds.

    Attributes:
        heartbeat_age: Since its worker's last sign of life, standstills of ours not counted.
        unheard_for: Since the last byte of WhatsApp on its web socket, as of the last heartbeat; None before the first.
        unsent_for: Since its client's last byte to WhatsApp, likewise.
        keepalive_errors: Pings in a row that the library told to be unanswered.
    """

    heartbeat_age: float = 0.0
    unheard_for: float | None = None
    unsent_for: float | None = None
    keepalive_errors: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason, which stays the same words for as long as the same is wrong."""

    health: Health
    reason: str = ""


_WELL: Final = Judgement(Health.HEALTHY)


def judge(signs: Signs, policy: HealthPolicy) -> Judgement:
    """Say how a connected session is.

    Example:
        >>> judge(Signs(unheard_for=3.0, unsent_for=3.0), HealthPolicy()).health
        <Health.HEALTHY: 'healthy'>
        >>> judge(Signs(unheard_for=50.0, unsent_for=20.0), HealthPolicy()).reason
        'connected, but no byte came from WhatsApp for 45 s'
    """
    if signs.heartbeat_age >= policy.stale_after:
        return Judgement(Health.STALE, stale_words(policy.stale_after))
    if signs.keepalive_errors > 0:
        return Judgement(Health.DEGRADED, deaf_words(signs.keepalive_errors))
    if signs.unheard_for is not None and signs.unheard_for >= policy.deaf_after:
        return Judgement(Health.DEGRADED, f"connected, but no byte came from WhatsApp for {policy.deaf_after:g} s")
    if signs.unsent_for is not None and signs.unsent_for >= policy.deaf_after:
        reason = f"connected, but its client sent nothing for {policy.deaf_after:g} s, not even a ping: it hangs"
        return Judgement(Health.DEGRADED, reason)
    return _WELL


def deaf_words(errors: int) -> str:
    """Say what the library tells of its pings."""
    what = "a keepalive went unanswered" if errors == 1 else f"{errors} keepalives in a row went unanswered"
    return f"connected, but {what}"


def stale_words(seconds: float) -> str:
    """Say what is known of a session whose worker is silent: nothing."""
    return f"stale: its worker gave no sign of life for {seconds:g} s"


def lateness(due: float, now: float, tolerance: float = STANDSTILL) -> float:
    """Return how long whoever wanted to wake at ``due`` stood still, 0 if it is only as late as busy machines are.

    Example:
        >>> lateness(10.0, 10.4), lateness(10.0, 70.0)
        (0.0, 60.0)
    """
    late = now - due
    return late if late > tolerance else 0.0
