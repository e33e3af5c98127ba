"""What is known of the phone that a session is linked to, and when its silence is worth a person's while.

WhatsApp unlinks every device of an account whose phone has not been online for 14 days. Nobody tells a linked device
whether the phone is online. What can be had is evidence that it *was*: a message that the phone itself sent (device 0
of the own account; its peer messages, as keys for the app state, count too), and the link itself, which a phone has to
make.

The absence of evidence is evidence of nothing by itself: most phones of a fleet are never written on. So silence counts
only where the phone used to show itself: on several days, and never with a long pause. About all others nothing is
known, and nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

UNLINKED_AFTER: Final = timedelta(days=14)
WARN_AFTER: Final = timedelta(days=10)
COARSE: Final = timedelta(hours=1)
"""Evidence is not kept more finely than this: it is written to the disk."""

_HABIT_DAYS: Final = 5
_HABIT_PAUSE: Final = timedelta(days=5)
_FADES: Final = 0.9  # a long pause counts less with every later sign


@dataclass(frozen=True, slots=True)
class PhoneMemory:
    """How a phone has shown itself since it was linked.

    Attributes:
        seen_at: The newest evidence (UTC).
        days: On how many different days there was some.
        pause: The longest pause between two signs, in seconds; earlier ones fade.
    """

    seen_at: datetime
    days: int = 1
    pause: float = 0.0


class PhoneHealth(StrEnum):
    """What can be said about a phone."""

    UNKNOWN = "unknown"
    SEEN = "seen"
    QUIET = "quiet"


def hear(memory: PhoneMemory | None, at: datetime) -> PhoneMemory:
    """Take a sign of the phone; the very same memory comes back if it adds nothing.

    Example:
        >>> from datetime import UTC
        >>> first = hear(None, datetime(2026, 1, 1, 12, tzinfo=UTC))
        >>> hear(first, datetime(2026, 1, 1, 12, 30, tzinfo=UTC)) is first
        True
        >>> hear(first, datetime(2026, 1, 3, 12, tzinfo=UTC)).days
        2
    """
    if memory is None:
        return PhoneMemory(at)
    gap = at - memory.seen_at
    if gap < COARSE:
        return memory
    days = memory.days + (at.date() != memory.seen_at.date())
    return PhoneMemory(at, days, max(gap.total_seconds(), memory.pause * _FADES))


def judge_phone(memory: PhoneMemory | None, now: datetime) -> PhoneHealth:
    """Say what is known of a phone: quiet only if it used to show itself, and has not for ten days."""
    if memory is None:
        return PhoneHealth.UNKNOWN
    silence = now - memory.seen_at
    if silence < timedelta(days=1):
        return PhoneHealth.SEEN
    regular = memory.days >= _HABIT_DAYS and memory.pause <= _HABIT_PAUSE.total_seconds()
    return PhoneHealth.QUIET if regular and silence >= WARN_AFTER else PhoneHealth.UNKNOWN


def quiet_words(memory: PhoneMemory, now: datetime) -> str:
    """Say what a quiet phone means; the words change once a day.

    Example:
        >>> from datetime import UTC
        >>> quiet_words(PhoneMemory(datetime(2026, 1, 1, tzinfo=UTC)), datetime(2026, 1, 11, tzinfo=UTC))[:52]
        'nothing was heard of its phone for 10 days, and What'
    """
    silence = now - memory.seen_at
    left = (UNLINKED_AFTER - silence).days
    when = f"within {left} days" if left > 1 else "today"
    return (
        f"nothing was heard of its phone for {silence.days} days, and WhatsApp unlinks devices after "
        f"{UNLINKED_AFTER.days} days without it: see that it is on and online, {when}"
    )
