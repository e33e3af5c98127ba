"""Where the journal stands, from memory: what a copy that follows it asks before every question.

The file could tell as well, but a query costs milliseconds, and most of the time nothing is new, or only the events of
the last seconds. So the writer keeps the newest durable events and the newest numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from wakit.journal.live import Numbered

Event = TypeVar("Event")

REMEMBERED: Final = 512
"""How many of the newest events are kept in memory."""


@dataclass(frozen=True, slots=True)
class Standing(Generic[Event]):
    """What is durable.

    Args:
        opening: Names one opening of the file; another one means that anything may have changed meanwhile.
        seq: The newest event's number, or the last number of those it stands for.
        rev: The newest declaration's revision.
        pulses: The newest sign of life of each run, of those that were written since the opening.
        events: Those after the number that was asked for, None if not all of them are in memory.
    """

    opening: str
    seq: int
    rev: int
    pulses: Mapping[str, datetime]
    events: Sequence[Event] | None


class Memory:
    """The newest durable events and numbers; the writer calls it under its lock.

    Args:
        remembered: How many events to keep.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self.opened("", 0, 0)

    def opened(self, opening: str, seq: int, rev: int) -> None:
        """Begin anew: the file was opened, and holds what it holds."""
        self.opening = opening
        self._seq, self._rev = seq, rev
        self._complete_after = seq
        self._events: deque[Numbered] = deque()
        self._pulses: dict[str, datetime] = {}

    def wrote(self, events: Sequence[Numbered], seq: int, rev: int) -> None:
        """Note what has become durable, and the newest numbers after it."""
        self._events.extend(events)
        while len(self._events) > self._remembered:
            self._complete_after = self._events.popleft().seq
        self._seq, self._rev = seq, rev

    def beat(self, run_id: str, at: datetime) -> None:
        """Note a run's sign of life that has become durable (UTC, without a zone)."""
        self._pulses[run_id] = at

    def standing(self, since: int) -> Standing[Numbered]:
        """Return where the journal stands, with the events after the number ``since``."""
        newer: list[Numbered] | None = None
        if self._complete_after <= since <= self._seq:
            newer = []
            for event in reversed(self._events):
                if event.seq <= since:
                    break
                newer.append(event)
            newer.reverse()
        return Standing(self.opening, self._seq, self._rev, dict(self._pulses), newer)
