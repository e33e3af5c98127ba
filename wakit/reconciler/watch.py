"""The watch: hears the workers' heartbeats and says which sessions are degraded or stale, and which to start anew.

Heartbeats come from every worker every five seconds. They wake nobody: what they say is noted, and only a verdict that
changes is told. Whether a session is well is :func:`wakit.core.health.judge`'s to say; here stands what follows.

A degraded session is given time to recover. One that takes too long leaves its worker and is started anew, alone; the
library would redial by itself, but only after three minutes, and not if it hangs. When many are deaf at once it is the
network, which is the breaker's (:mod:`wakit.reconciler.outages`): it lets one at a time try, and those who stay silent
when it is over are :mod:`wakit.reconciler.silenced`'s. Of the others only a few are tried at a time, until one of them
shows that a new connection helps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from wakit.core.clock import grid
from wakit.core.declaration import HealthPolicy
from wakit.core.health import Health, Signs, judge, lateness, stale_words
from wakit.core.lifecycle import Happening, State
from wakit.core.retry import AFTER_DIAL
from wakit.reconciler.outages import Outages
from wakit.reconciler.roster import Roster
from wakit.reconciler.silenced import cure_of
from wakit.reconciler.tracked import Tracked
from wakit.whatsapp.port import Pulse, WorkerBeat, WorkerSilent

TOLD_EVERY: Final = timedelta(seconds=60)
"""A healthy session's last sign of life is told to live readers so often at most; whoever asks is told the newest."""

_JUDGED: Final = frozenset({State.CONNECTED, State.DEGRADED})
_AT_ONCE: Final = 4
_TRIED_FOR: Final = timedelta(minutes=2)  # after which a client that was replaced in vain keeps nobody waiting
_TICK: Final = 5.0
_WORTH_SAYING: Final = 10.0


class Hands(Protocol):
    """What the watch may set in motion."""

    def release(self, tracked: Tracked, *, why: str) -> None:
        """Begin to take the session out of its worker."""


class Watch:
    """Judges sessions by what their workers measure.

    Args:
        roster: The sessions.
        hands: Takes a session out of its worker.
        outages: Told who falls silent, and who is heard.
        wake: Has the loop look again.
    """

    def __init__(self, roster: Roster, hands: Hands, outages: Outages, wake: Callable[[], None]) -> None:
        self._roster = roster
        self._hands = hands
        self._outages = outages
        self._wake = wake

    def beat(self, beat: WorkerBeat) -> None:
        """Take a worker's heartbeat. What it says of a session that has left it is ignored."""
        sessions, now, policy = self._roster.sessions, self._roster.ports.now(), self._policy()
        aboard = [
            (tracked, pulse)
            for name, pulse in beat.pulses.items()
            if (tracked := sessions.get(name)) is not None and tracked.worker_id == beat.worker_id
        ]
        for tracked, pulse in aboard:
            if pulse.fresh:
                self._note(tracked, pulse, now)
        for tracked, pulse in aboard:
            if tracked.state in _JUDGED:
                before = tracked.state
                self._judge(tracked, pulse, policy)
                if tracked.state is not before:
                    self._wake()  # the loop has a moment more to wake at

    def silent(self, report: WorkerSilent) -> None:
        """Say that nobody knows how the sessions of a worker are; the worker is being ended, which is told next."""
        reason = f"{stale_words(report.seconds)}; the worker is ended by force and replaced"
        for name in report.sessions:
            tracked = self._roster.sessions.get(name)
            if tracked is not None and tracked.worker_id == report.worker_id:
                tracked.stale = True
                self._roster.happen(tracked, Happening.WORKER_LOST, reason, code="stale")
                self._roster.changed(name)

    async def run(self) -> None:
        """Say when the daemon itself stood still, so that nobody looks for the fault elsewhere; for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            due = grid(now, _TICK)  # with the workers' heartbeats
            await asyncio.sleep(due - now)
            if (late := lateness(due, clock())) >= _WORTH_SAYING:
                said = f"the daemon stood still for {late:.0f} s; no worker is held to have been silent in that time"
                self._roster.log("warning", reason=said, code="standstill")

    # -- inside ------------------------------------------------------------------------------------------------------

    def _policy(self) -> HealthPolicy:
        force = self._roster.in_force
        return force.declaration.fleet.health if force else HealthPolicy()

    def _note(self, tracked: Tracked, pulse: Pulse, now: datetime) -> None:
        if pulse.unheard_for is None:
            return
        seen_at = now - timedelta(seconds=pulse.unheard_for)
        if pulse.heard and (tracked.byte_at is None or seen_at > tracked.byte_at):
            tracked.byte_at = seen_at
            self._outages.heard(tracked, seen_at)
        newest, told = tracked.heard(seen_at), tracked.told_seen_at
        if told is None or newest - told >= TOLD_EVERY:
            tracked.told_seen_at = newest
            self._roster.seen(tracked.name)

    def _judge(self, tracked: Tracked, pulse: Pulse, policy: HealthPolicy) -> None:
        signs = Signs(
            unheard_for=pulse.unheard_for,
            unsent_for=pulse.unsent_for,
            keepalive_errors=tracked.keepalive_errors,
        )
        judgement = judge(signs, policy)
        if judgement.health is Health.DEGRADED:
            self._outages.went_deaf(tracked)
            reason = self._outages.why_deaf(judgement.reason)
            self._roster.happen(tracked, Happening.WENT_DEAF, reason, code="deaf")
            self._start_anew_in_time(tracked)
        elif tracked.state is State.DEGRADED:
            self._roster.happen(tracked, Happening.HEARS_AGAIN, "its line carries bytes again")

    def _start_anew_in_time(self, tracked: Tracked) -> None:
        now, patience, found = self._roster.ports.now(), self._policy().restart_after, cure_of(tracked, self._roster)
        if found is None:
            return
        deaf, cure = found
        if cure.together or now < cure.at:
            return
        tried = self._being_tried()
        in_vain = sum(each.state is not State.CONNECTED for each in tried)
        if in_vain >= _AT_ONCE and not (deaf.helped_by_another and in_vain < len(tried)):
            return
        tracked.tried_anew_at = now
        reason = f"it was degraded for {patience:g} s and did not recover ({tracked.reason}); its client is replaced"
        self._roster.happen(tracked, Happening.WORKER_LOST, reason, code="deaf")
        self._roster.retry_later(tracked, AFTER_DIAL)
        self._hands.release(tracked, why=reason)
        self._wake()

    def _being_tried(self) -> list[Tracked]:
        """Return whose clients were replaced a moment ago, those that are back included."""
        now = self._roster.ports.now()
        return [
            each
            for each in self._roster.sessions.values()
            if each.tried_anew_at is not None and now - each.tried_anew_at < _TRIED_FOR
        ]
