"""Notices that time did not pass as it should, and sets right what was counted by it.

A laptop that wakes up finds its connections dead, its pauses over and its clock an hour ahead; nobody is to blame. So
no silence and no deadline is held against a session for time in which nothing ran, and connections that cannot have
outlived it are dropped, which makes the library redial at once instead of after minutes of unanswered keepalives. A
clock that was set moves what is counted along with it: a pause of four seconds stays one, a minute ago stays a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol

from wakit.core.clock import Jump, Reading, Surprise, grid, judge
from wakit.core.lifecycle import State
from wakit.reconciler.outages import Outages
from wakit.reconciler.roster import ONLINE, Roster
from wakit.reconciler.tracked import Tracked

TICK: Final = 5.0
# WhatsApp closes a connection that is silent for longer than this; the library asks for a sign every 20 to 30 s.
_OUTLIVED: Final = 60.0
_MOVED: Final = ("next_try_at", "not_before", "dialled_at", "last_connected_at", "tried_anew_at")
_DEADLINES: Final = ("entrusted_at", "turn_at")
# People see them, too: where it was sleep more likely than a hand, they are as long ago as the clock says.
_TOLD: Final = ("since", "last_seen_at", "told_seen_at", "healthy_at", "blamed_at")


class Redials(Protocol):
    """What the clockwork may set in motion; the executor's errands do it."""

    def redial(self, tracked: Tracked) -> None:
        """Drop the session's connection in the background; its library redials."""


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

    async def run(self) -> None:
        """Read the clocks for ever."""
        before = self._read()
        while True:
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

    def _shift(self, by: timedelta, *, asleep: bool) -> None:
        roster = self._roster
        now = roster.ports.now()
        roster.outlook = roster.outlook.moved(by)
        if roster.crashed_at is not None:
            roster.crashed_at += by
        # What looks as if it was noted since the last reading was noted after the clock was set, by the clock as it is.
        fresh = now - timedelta(seconds=TICK)
        for tracked in roster.sessions.values():
            for moment in _MOVED:
                if (at := getattr(tracked, moment)) is not None:
                    setattr(tracked, moment, at + by)
            for moment in _DEADLINES if asleep else _DEADLINES + _TOLD:
                if (at := getattr(tracked, moment)) is not None and not fresh < at <= now:
                    setattr(tracked, moment, at + by)
            tracked.failures = tracked.failures.moved(by)
            if tracked.shown is not None:
                tracked.shown = replace(tracked.shown, expires_at=tracked.shown.expires_at + by)
            roster.changed(tracked.name)

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
