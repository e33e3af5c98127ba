"""Whose turn it is: the order in which sessions start, and the line of those that wait to dial.

The order of a fleet is: the higher ``priority`` first; then whoever was healthy last, because it is the likeliest to be
healthy again and somebody may be using it; then the order of the file. It is the same for a plan's actions and for
permits to dial, and total, so that the same fleet always starts in the same way.

A line in strict order would starve its end: a session that cannot get through and dials again and again would be let
past for ever. So the line moves in rounds: whoever was served joins the next round while somebody waits in this one,
and nobody is passed by the same session more than twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

LOWEST: Final = -1000
HIGHEST: Final = 1000


class Standing(NamedTuple):
    """A session's place among all; the smaller one comes first."""

    behind: int
    stale: float
    position: int


LAST: Final = Standing(-LOWEST + 1, 0.0, 0)
"""The standing of a session that nobody declares; whatever comes first among several of these."""


def standing(priority: int, healthy_at: datetime | None, position: int) -> Standing:
    """Return the place of a session.

    Args:
        priority: As declared; higher comes first.
        healthy_at: When it was last known to be connected, None if never.
        position: In the file.

    Example:
        >>> standing(1, None, 9) < standing(0, None, 0)
        True
    """
    return Standing(-priority, -healthy_at.timestamp() if healthy_at else float("inf"), position)


@dataclass(slots=True)
class Line:
    """Who waits for a permit to dial, and for whom a place is kept.

    Attributes:
        waiting: The round of each session that waits.
        coming: Until when a place is kept for each session whose worker is about to ask, on the caller's clock.
        served: Who has had a permit in this round.
        round: The present one.
    """

    waiting: dict[str, int] = field(default_factory=dict)
    coming: dict[str, float] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    round: int = 0

    def expect(self, sessions: Iterable[str], until: float) -> None:
        """Keep places for sessions that will ask soon; not for longer than ``until``."""
        self.coming.update(dict.fromkeys((name for name in sessions if name not in self.waiting), until))

    def forget(self, session: str) -> bool:
        """Keep no place for a session any more, since it has come or will not; return whether one was kept."""
        return self.coming.pop(session, None) is not None

    def ask(self, session: str) -> None:
        """Have a session wait. One that comes back after it gave up has the place it had."""
        self.forget(session)
        self.waiting.setdefault(session, self.round + (session in self.served))

    def leave(self, session: str) -> None:
        """Let a session wait no more; it was not served."""
        self.waiting.pop(session, None)
        self._turn()

    def serve(self, session: str) -> None:
        """Note that a session got its permit."""
        del self.waiting[session]
        self.served.add(session)
        self._turn()

    def take_back(self, session: str) -> None:
        """Note that a session gave its permit back unused: it was not served after all."""
        self.served.discard(session)

    def due(self, place: Callable[[str], Standing], free: float, now: float) -> list[str]:
        """Return who may be served now, in this order.

        Args:
            place: The standing of a session.
            free: How many permits there are. One is kept for each session with a better place that is about to ask.
            now: The moment on the caller's clock.
        """
        self.coming = {name: until for name, until in self.coming.items() if until > now}
        if free < 1 or not self.waiting:
            return []
        if len(self.waiting) + len(self.coming) <= free:  # enough for everybody: nobody's place needs to be kept
            return sorted(self.waiting, key=lambda name: (self.waiting[name], place(name), name))
        expected = ((self.round + (name in self.served), place(name), name) for name in self.coming)
        asked = ((turn, place(name), name) for name, turn in self.waiting.items())
        first = sorted([*asked, *expected])[: int(free)]
        return [name for _, _, name in first if name in self.waiting]

    def _turn(self) -> None:
        """Begin the next round once nobody waits in this one."""
        if self.served and all(turn > self.round for turn in self.waiting.values()):
            self.round += 1
            self.served.clear()
