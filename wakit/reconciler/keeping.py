"""Has credentials backed up: when they come into being, when they proved good, and in time.

Level-based like the loop: what is due is found by looking at each session's newest backup, never by counting what was
taken. One after the other, in turn with whatever else happens to that session's folder, so that a fleet that comes
back does not meet its disk all at once; and while it still starts, nothing but what was linked this minute, of which
there is no copy yet. A backup that fails costs nobody anything but itself: it is said once, and tried again after a
pause.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from wakit.core.observation import Credential
from wakit.core.retry import Backoff
from wakit.errors import WakitError
from wakit.reconciler.roster import Roster
from wakit.reconciler.starting import in_words
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.turns import Turns
from wakit.vault.backups import Taken
from wakit.vault.manifest import Why

_AFTER_FAILURE: Final = Backoff(first=60.0, cap=3600.0, floor=30.0)
_LOOK_AGAIN: Final = 600.0
_MOST_STARTING: Final = 300.0  # seconds that a start of the fleet is waited for
_AT_ONCE: Final = 4  # last backups of an ending daemon that are taken side by side


class Keeper:
    """Keeps the backups of a fleet's credentials.

    Args:
        roster: The sessions.
        in_turn: Does the vault's work.
        all_started: Set once nobody has to be started first any more; :meth:`look` is called then.
    """

    def __init__(self, roster: Roster, in_turn: Turns, all_started: asyncio.Event) -> None:
        self._roster = roster
        self._ports = roster.ports
        self._in_turn = in_turn
        self._all_started = all_started
        self._asked: dict[str, Why] = {}
        self._newest: dict[str, datetime] = {}
        self._failures: dict[str, tuple[int, float, str]] = {}  # with the end of the pause, by the loop's clock
        self._knows = False  # how old everybody's newest backup is
        self._began = 0.0  # by the loop's clock, too, which nobody sets
        self._wake = asyncio.Event()

    def ask(self, tracked: Tracked, why: Why) -> None:
        """Have a session backed up soon."""
        if why is Why.PAIRED or tracked.name not in self._asked:  # while the fleet starts nothing else is taken
            self._asked[tracked.name] = why
        self._wake.set()

    def look(self) -> None:
        """Look anew what is due."""
        self._wake.set()

    async def run(self) -> None:
        """Take what is due, for ever."""
        self._began = _clock()
        while True:
            self._wake.clear()
            if not self._knows and not self._starting():
                await self._learn()
            looked = _clock()
            for name, why in self._due(looked):
                tracked = self._roster.sessions.get(name)
                self._asked.pop(name, None)
                if tracked is not None:
                    await self.take(tracked, why)
                if name in self._failures:  # due again when its pause is over, for the same reason
                    self._asked.setdefault(name, why)
            await self._pause(looked)

    async def take(self, tracked: Tracked, why: Why) -> Taken | None:
        """Back one session up now; None if there is nothing to back up, or it failed, which is said."""
        try:
            return await self.take_or_raise(tracked, why)
        except (WakitError, OSError) as error:
            self._failed(tracked, in_words(error))
            return None

    async def take_or_raise(self, tracked: Tracked, why: Why) -> Taken | None:
        """Back one session up now because somebody waits for it.

        Raises:
            WakitError: It could not be taken.
        """
        taken = await self._in_turn(tracked.name, partial(self._ports.vault.backup, tracked.name, why))
        self._failures.pop(tracked.name, None)
        if taken is not None:
            self._newest[tracked.name] = self._ports.now()
            if taken.new:
                self._tell(tracked, taken, why)
        return taken

    async def finish(self, seconds: float) -> None:
        """Take the last backups of those that ended in order and have changed since; for so long at most."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def last(tracked: Tracked) -> None:
            async with places:
                await self.take(tracked, Why.SHUTDOWN)

        linked = [t for t in self._roster.sessions.values() if self._keeps(t)]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(last(tracked) for tracked in linked))
        except TimeoutError:
            self._roster.log("warning", reason=f"not every last backup could be taken within {seconds:g} s")

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _learn(self) -> None:
        """Find out how old everybody's newest backup is."""
        vault = self._ports.vault
        for name in list(self._roster.sessions):
            newest = await self._in_turn(name, partial(vault.newest_backup_at, name))
            if newest is not None:
                self._newest.setdefault(name, newest)
        self._knows = True

    def _starting(self) -> bool:
        """Return whether the fleet still starts: its disk and its processors belong to those that are not back yet."""
        return not self._all_started.is_set() and _clock() - self._began < _MOST_STARTING

    def _keeps(self, tracked: Tracked) -> bool:
        return tracked.credential is Credential.PRESENT

    def _interval(self) -> timedelta:
        force = self._roster.in_force
        return timedelta(seconds=force.declaration.fleet.vault.interval if force else 0)

    def _due(self, clock: float) -> list[tuple[str, Why]]:
        now, interval, starting = self._ports.now(), self._interval(), self._starting()
        due: list[tuple[str, Why]] = []
        for name, tracked in self._roster.sessions.items():
            if not self._keeps(tracked) or self._pausing(name, clock):
                continue
            if starting and self._asked.get(name) is not Why.PAIRED:
                continue
            if name in self._asked:
                due.append((name, self._asked[name]))
            elif interval and not _within(interval, self._newest.get(name), now):
                due.append((name, Why.SCHEDULE))
        return due

    def _pausing(self, name: str, clock: float) -> bool:
        failed = self._failures.get(name)
        return failed is not None and failed[1] > clock

    def _forget(self) -> None:
        """Drop what was known of sessions that are not kept any more."""
        kept = {name for name, tracked in self._roster.sessions.items() if self._keeps(tracked)}
        for known in (self._newest, self._failures):
            for name in known.keys() - kept:
                del known[name]
        for name in self._asked.keys() - self._roster.sessions.keys():
            del self._asked[name]

    async def _pause(self, looked: float) -> None:
        """Wait until something is due that was not at the last look; the pauses that had ended by then were seen."""
        self._forget()
        now, clock, interval = self._ports.now(), _clock(), self._interval()
        starting = self._starting()
        pauses = [self._began + _MOST_STARTING - clock if starting else _LOOK_AGAIN]
        pauses += [until - clock for _, until, _ in self._failures.values() if until > looked]
        if interval and not starting:
            newest = (at for name, at in self._newest.items() if not self._pausing(name, looked))
            pauses += [(at + interval - now).total_seconds() for at in newest]
        try:
            async with asyncio.timeout(max(1.0, min(pauses))):
                await self._wake.wait()
        except TimeoutError:
            return

    def _tell(self, tracked: Tracked, taken: Taken, why: Why) -> None:
        self._roster.log(
            "backup",
            tracked,
            reason=f"backed up ({why.value})",
            detail={"id": taken.backup.name, "bytes": taken.backup.size, "why": why.value},
        )

    def _failed(self, tracked: Tracked, said: str) -> None:
        failures, _, before = self._failures.get(tracked.name, (0, None, ""))
        pause = _AFTER_FAILURE.pause(failures + 1, self._ports.chance())
        self._failures[tracked.name] = failures + 1, _clock() + pause, said
        if said != before:  # once an hour for months would bury everything else
            self._roster.log("warning", tracked, reason=f"it could not be backed up: {said}", code="no_backup")


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _within(interval: timedelta, newest: datetime | None, now: datetime) -> bool:
    """Return whether a backup is young enough; one from the future says that the clock was wrong, and nothing else."""
    return newest is not None and timedelta(0) <= now - newest < interval
