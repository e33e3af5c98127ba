"""The way back after an outage: whoever waits dials soon, and nobody who dials already is disturbed.

A library that was without WhatsApp for a while pauses for longer than a start takes, so its session is taken out of its
worker and started anew. That is decided on what was known a moment ago: the library may dial just now, and whoever is
taken down then dials and logs in a second time. So a dial that is under way, or waits for its turn, is left alone and
looked at again; and whoever has logged in by the time that it would be taken down stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.core.placement import ALONE_UP_TO
from wakit.reconciler.roster import ONLINE, Roster
from wakit.reconciler.tracked import Tracked

# By then the library's own pauses are longer than a start takes (2 s x n before the n-th redial).
LONG: Final = timedelta(seconds=15)
# In a fleet that shares workers, those who come back at one moment share them, so the first to have left wait for the
# others; one that hangs is not waited for.
_GATHERED: Final = timedelta(seconds=2)
_UNDER_WAY: Final = timedelta(seconds=3)  # a dial that gets through has by then: a SYN is sent again after 1 and 3 s


class Releases(Protocol):
    """What the breaker may set in motion; the executor's errands do it."""

    def release(self, tracked: Tracked, *, why: str, unless: Callable[[], bool] = ...) -> None:
        """Begin to take the session out of its worker, unless something is true by the time that it is done."""


class Return:
    """Brings sessions back.

    Args:
        roster: The sessions.
        hands: Takes sessions out of their workers.
    """

    def __init__(self, roster: Roster, hands: Releases) -> None:
        self._roster, self._hands = roster, hands
        self._leaving: list[tuple[Tracked, datetime]] = []  # to come back together, at that moment at the latest
        self._dialling: list[Tracked] = []  # to come back, but their libraries dial just now

    def begin(self, crew: Sequence[Tracked]) -> None:
        """Have sessions dial soon, whatever they wait for."""
        now, self._dialling = self._roster.ports.now(), []
        together = self._together()
        for tracked in crew:
            if tracked.running is None:
                tracked.next_try_at = tracked.not_before = None
            elif waits_for_the_library(tracked, now):
                if _left_alone_until(tracked, now) > now:
                    self._dialling.append(tracked)
                else:
                    self._start_anew(tracked, together)

    def start_with_others(self, tracked: Tracked) -> None:
        """Have a session that is about to leave its worker start again with those that leave theirs now, too."""
        tracked.next_try_at = together = self._together()
        if together is not None:
            self._leaving.append((tracked, together))

    def look(self) -> None:
        """Have those who left their workers start again as soon as all of them have; look again at who dialled."""
        if self._leaving and not any(tracked.busy for tracked, _ in self._leaving):
            for tracked, together in self._leaving:
                if tracked.running is None and tracked.next_try_at == together:  # else its leaving is tried again
                    tracked.next_try_at = None
            self._leaving.clear()
        if self._dialling and self._roster.outlook.outage is None:
            self.begin([each for each in self._dialling if _is_with_the_library(each)])

    def wake_at(self) -> datetime | None:
        """Return when :meth:`look` has something to do."""
        now = self._roster.ports.now()
        return min((_left_alone_until(each, now) for each in self._dialling), default=None)

    def _together(self) -> datetime | None:
        linked = sum(each.credential is Credential.PRESENT for each in self._roster.sessions.values())
        return None if linked <= ALONE_UP_TO else self._roster.ports.now() + _GATHERED

    def _start_anew(self, tracked: Tracked, together: datetime | None) -> None:
        tracked.next_try_at = together
        if together is not None:
            self._leaving.append((tracked, together))
        why = "somebody gets through again; it is started anew instead of waiting for the library's next redial"
        self._roster.say(tracked, why)
        self._hands.release(tracked, why=why, unless=lambda: tracked.state in ONLINE)


def waits_for_the_library(tracked: Tracked, now: datetime, longer: timedelta = LONG) -> bool:
    """Tell whether a session is better started anew: its library has had it for so long."""
    since = tracked.entrusted_at
    return since is not None and now - since >= longer and not tracked.busy


def _left_alone_until(tracked: Tracked, now: datetime) -> datetime:
    """Return until when a session is left to a dial that is under way or waits for its turn; ``now`` if none is."""
    if tracked.in_line:
        return now + _UNDER_WAY
    return tracked.dialled_at + _UNDER_WAY if tracked.dialling and tracked.dialled_at is not None else now


def _is_with_the_library(tracked: Tracked) -> bool:
    waits = tracked.waits_for_person or tracked.next_try_at is not None
    return tracked.state is State.RECONNECTING and tracked.running is not None and not waits
