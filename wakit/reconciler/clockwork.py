"""Notices that time did not pass as it should, and sets right what was counted by it.

A laptop that wakes up finds its connections dead, its pauses over and its clock an hour ahead; nobody is to blame. So
no silence and no deadline is held against a session for time in which nothing ran, and connections that cannot have
outlived it are dropped, which makes the library redial at once instead of after minutes of unanswered keepalives. A
clock that was set moves what is counted along with it: a pause of four seconds stays one, a minute ago stays a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from wakit.core.breaker import Outlook
from wakit.core.clock import Jump, Reading, Surprise, grid, judge
from wakit.core.lifecycle import State
from wakit.core.restarts import Failures
from wakit.reconciler.outages import Outages
from wakit.reconciler.roster import ONLINE, Roster
from wakit.reconciler.tracked import Tracked

TICK: Final = 5.0
# WhatsApp closes a connection that is silent for longer than this; the library asks for a sign every 20 to 30 s.
_OUTLIVED: Final = 60.0
_DUE: Final = ("next_try_at", "not_before")
_NOTED: Final = ("entrusted_at", "turn_at", "dialled_at", "last_connected_at", "tried_anew_at")
# People see them, too: where it was sleep more likely than a hand, they are as long ago as the clock says.
_TOLD: Final = ("since", "last_seen_at", "byte_at", "told_seen_at", "healthy_at", "blamed_at")


class Redials(Protocol):
    """What the clockwork may set in motion; the executor's errands do it."""

    def redial(self, tracked: Tracked) -> None:
        """Drop the session's connection in the background; its library redials."""


@dataclass(frozen=True, slots=True)
class _Due:
    """What is waited for at a reading of the clocks, to tell later what was not there yet."""

    sessions: Mapping[tuple[str, str], datetime]
    probe: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Shift:
    """A clock that was set by so much since the last reading, and what it shows now."""

    by: timedelta
    now: datetime

    def is_fresh(self, at: datetime) -> bool:
        """Tell whether it looks as if noted since the last reading: after the clock was set, by the clock as it is."""
        return self.now - timedelta(seconds=TICK) < at <= self.now

    def noted(self, at: datetime) -> datetime:
        """Set right when something was."""
        return at if self.is_fresh(at) else at + self.by

    def due(self, at: datetime, before: datetime | None, since: datetime | None = None) -> datetime:
        """Set right when something will be.

        If it was not due then at the last reading, what it came with (``since``) tells by which clock it was noted. If
        that is older, nobody knows: it is the earlier of both moments that is not over, so that nothing comes late by
        what the clock was set.
        """
        if at == before:
            return at + self.by
        if since is not None and self.is_fresh(since):
            return at
        if since is not None and self.is_fresh(since + self.by):
            return at + self.by
        earlier, later = sorted((at, at + self.by))
        return earlier if earlier > self.now - timedelta(seconds=TICK) else later

    def outlook(self, outlook: Outlook, probe: datetime | None) -> Outlook:
        """Set the fleet's breaker right; ``probe`` is when its next probe was due at the last reading."""
        outage = outlook.outage
        if outage is not None and self.is_fresh(outage.since):
            return outlook.moved(self.noted, lambda at: at)
        return outlook.moved(self.noted, lambda at: self.due(at, probe))


class Clockwork:
    """Watches the clocks.

    Args:
        roster: The sessions.
        outages: The fleet's breaker.
        hands: Drops connections.
        wake: Has the loop look again.
    """

    def __init__(self, roster: Roster, outages: Outages, hands: Redials, wake: Callable[[], None]) -> None:
        self._roster = roster
        self._outages = outages
        self._hands = hands
        self._wake = wake
        self._due = _Due({})

    async def run(self) -> None:
        """Read the clocks for ever."""
        before = self._read()
        while True:
            self._due = self._waited_for()
            pause = grid(before.monotonic, TICK) - before.monotonic  # with the workers' heartbeats
            await asyncio.sleep(pause)
            after = self._read()
            jump = judge(before, after, pause)
            before = after
            if jump is not None:
                self.take(jump)

    def take(self, jump: Jump) -> None:
        """Set right what a jump has upset."""
        roster = self._roster
        roster.log("clock", reason=jump.words(), code=jump.surprise.value, detail={"seconds": round(jump.seconds, 3)})
        if jump.shift:
            self._shift(timedelta(seconds=jump.shift), asleep=jump.surprise is Surprise.AHEAD)
        if jump.lost:
            self._excuse(jump)
        self._wake()

    def _read(self) -> Reading:
        ports = self._roster.ports
        return Reading(ports.now().timestamp(), asyncio.get_running_loop().time(), ports.asleep())

    def _waited_for(self) -> _Due:
        outage = self._roster.outlook.outage
        due = {
            (name, moment): at
            for name, tracked in self._roster.sessions.items()
            for moment in _DUE
            if (at := getattr(tracked, moment)) is not None
        }
        shown = {
            (name, "shown"): tracked.shown.expires_at
            for name, tracked in self._roster.sessions.items()
            if tracked.shown is not None
        }
        return _Due(due | shown, outage.probe_at if outage else None)

    def _shift(self, by: timedelta, *, asleep: bool) -> None:
        roster, before = self._roster, self._due
        shift = _Shift(by, roster.ports.now())
        roster.outlook = shift.outlook(roster.outlook, before.probe)
        if roster.crashed_at is not None:
            roster.crashed_at = shift.noted(roster.crashed_at)
        for name, tracked in roster.sessions.items():
            for moment in _DUE:
                if (at := getattr(tracked, moment)) is not None:
                    setattr(tracked, moment, shift.due(at, before.sessions.get((name, moment)), tracked.since))
            for moment in _NOTED if asleep else _NOTED + _TOLD:
                if (at := getattr(tracked, moment)) is not None:
                    setattr(tracked, moment, shift.noted(at))
            tracked.failures = Failures(tuple(map(shift.noted, tracked.failures.at)))
            if (shown := tracked.shown) is not None:
                expires_at = shift.due(shown.expires_at, before.sessions.get((name, "shown")))
                tracked.shown = replace(shown, expires_at=expires_at)
            roster.changed(name)

    def _excuse(self, jump: Jump) -> None:
        now = self._roster.ports.now()
        dead = jump.surprise is not Surprise.STOOD_STILL and jump.seconds >= _OUTLIVED
        for tracked in self._roster.sessions.values():
            if tracked.entrusted_at is not None:
                tracked.entrusted_at = now
            if tracked.state is State.RECONNECTING and not tracked.waits_for_person:
                tracked.next_try_at = tracked.not_before = None
            if dead and tracked.state in ONLINE:
                self._hands.redial(tracked)
        self._outages.woke_up()
