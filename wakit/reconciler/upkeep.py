"""What a fleet in service needs now and then: small workers made one, and workers of an older release replaced.

One thing at a time, and level-based like the loop: what is to be done is found by looking. Both move sessions that are
in service (:mod:`wakit.reconciler.rehousing`), so both keep still while anything else is under way; the replacing,
which a person asked for, waits for sessions that are being paired, and stops for good at the first sign that the new
release does not hold.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wakit.control.schemas import UpgradeInfo
from wakit.core.compaction import Aboard, Merger, Situation, disturbed, merge, pause
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.core.release import Release, difference
from wakit.errors import ControlError
from wakit.reconciler.loop import Reconciler
from wakit.reconciler.rehousing import Outcome, Rehouser
from wakit.reconciler.tracked import Tracked

_LOOK_EVERY: Final = 15.0
_RELEASE_EVERY: Final = 15.0
_PROBATION: Final = 5.0  # seconds a replaced worker is watched before the next one is
_BUSY: Final = 1.0  # seconds until a worker that something else is done with is looked at again
_IN_TROUBLE: Final = frozenset({State.STARTING, State.PAIRED, State.DEGRADED, State.RECONNECTING})


@dataclass(slots=True)
class _Roll:
    """The replacing of workers that a person asked for."""

    crashes: int  # of workers, before it began
    total: int
    done: int = 0
    problem: str = ""


class Upkeep:
    """Looks after the workers of a fleet.

    Args:
        reconciler: The loop, and with it the sessions.
        began: What this daemon was started from.
        look: Finds out what is installed now.
        changed: Called when there is something new to tell.
        renewed: Called when another release is installed: what was loaded ahead for workers is of the one before.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        *,
        began: Release,
        look: Callable[[], Awaitable[Release]],
        changed: Callable[[], None] = lambda: None,
        renewed: Callable[[], None] = lambda: None,
    ) -> None:
        self._reconciler, self._roster = reconciler, reconciler.roster
        self._rehouser: Rehouser = reconciler.executor.rehouser
        self._began, self.installed, self._look, self._changed = began, began, look, changed
        self._renewed = renewed
        self._not_before = 0.0  # by the loop's clock, which nobody sets
        self._setbacks = 0  # mergers in a row that did not bring everybody
        self._roll: _Roll | None = None
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Do what is due, for ever."""
        clock = asyncio.get_running_loop().time
        due = clock() + _RELEASE_EVERY  # what is installed was looked at when the daemon began
        while True:
            self._wake.clear()
            if clock() >= due:
                due = clock() + _RELEASE_EVERY
                await self.look_at_release()
            if self._roll is not None and not self._roll.problem:
                await self._replace(self._roll)
            else:
                await self._compact()
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def look_at_release(self) -> None:
        """Find out what is installed."""
        found = await self._look()
        if found != self.installed:
            self.installed = found
            self._renewed()
            self._reconciler.retry_hindered()  # what kept their workers from starting may have been mended
            if found != self._began:
                told = f"{difference(self._began, found)}; `wakit up` replaces the workers one at a time"
                self._roster.log("warning", reason=told, code="upgraded")
            self._changed()

    async def replace(self) -> UpgradeInfo | None:
        """Begin to replace every worker of another release, because a person asks.

        Raises:
            ControlError: The daemon is ending.
        """
        if self._reconciler.stopping:
            raise ControlError("No worker is replaced", why="the daemon is ending")
        await self.look_at_release()
        if self._roll is None or self._roll.problem:
            workers = len(self._outdated())
            self._roll = _Roll(self._roster.crashes, workers) if workers else None
            self._wake.set()
            self._changed()
        return self.upgrade()

    def upgrade(self) -> UpgradeInfo | None:
        """Say what is to be said about releases; None if everything runs what is installed."""
        outdated, roll = self._outdated(), self._roll
        if self.installed == self._began and not outdated and roll is None:
            return None
        waiting = sorted(t.name for crew in outdated for t in crew if t.pairs)
        return UpgradeInfo(
            installed=str(self.installed),
            daemon=difference(self._began, self.installed) if self.installed != self._began else "",
            workers=len(outdated),
            under_way=roll is not None and not roll.problem,
            replaced=roll.done if roll else 0,
            waiting=waiting if roll else [],
            problem=roll.problem if roll else "",
        )

    # -- small workers -----------------------------------------------------------------------------------------------

    async def _compact(self) -> None:
        clock = asyncio.get_running_loop().time
        if self.disturbance() or clock() < self._not_before:
            return
        merger = self.merger()
        if merger is None:
            return
        why = f"{len(merger.workers)} small workers become one"
        crew = [self._roster.get(name) for name in merger.sessions]
        outcome = await self._rehouser.move(crew, why=why, objection=self._incident)
        left = len(crew) - len(outcome.moved)
        self._setbacks = self._setbacks + 1 if left else 0
        self._not_before = clock() + pause(self._setbacks).total_seconds()
        if left and not outcome.problem:
            why += f", but {left} of {len(crew)} sessions left their workers before their turn"
        self._tell(outcome, why, "compact")

    def merger(self) -> Merger | None:
        """Return which workers become one as soon as nothing is wrong and no pause is on, or None."""
        force = self._roster.in_force
        if force is None:
            return None
        setting = force.declaration.fleet.sessions_per_worker
        return merge(self._aboard(), setting=setting, now=self._roster.ports.now())

    def disturbance(self) -> str:
        """Say why small workers are left as they are now, or ""."""
        return disturbed(self._situation(busy=not self._reconciler.at_rest()), self._roster.ports.now())

    def _incident(self) -> str:
        """Say why a moving that is under way should end, or ""; whoever moves is an action of its own."""
        if self._reconciler.stopping:
            return "the daemon is ending"
        return disturbed(self._situation(busy=False), self._roster.ports.now())

    def _situation(self, *, busy: bool) -> Situation:
        running = [t for t in self._roster.sessions.values() if t.running is not None]
        return Situation(
            busy=busy or self._roster.outlook.outage is not None,
            crashed_at=self._roster.crashed_at,
            running=len(running),
            troubled_since=tuple(t.since for t in self._roster.sessions.values() if t.state in _IN_TROUBLE),
        )

    def _aboard(self) -> list[Aboard]:
        return [
            Aboard(t.name, t.worker_id, None if t.busy or t.state is not State.CONNECTED else t.since, t.blamed_at)
            for t in self._roster.sessions.values()
            if t.worker_id is not None and t.credential is Credential.PRESENT
        ]

    # -- an older release --------------------------------------------------------------------------------------------

    async def _replace(self, roll: _Roll) -> None:
        """Replace one worker after the other; end at the first that does not hold."""
        while outdated := self._outdated():
            crew = next((crew for crew in outdated if not any(t.busy or t.pairs for t in crew)), None)
            if crew is None:
                if all(any(t.pairs for t in crew) for crew in outdated):
                    return  # somebody stands before a code; looked at again
                await asyncio.sleep(_BUSY)
                continue
            why = f"its worker is replaced by one of {self.installed}"
            outcome = await self._rehouser.move(crew, why=why, objection=lambda: self._crashed(roll))
            await asyncio.sleep(_PROBATION if outcome.moved else _BUSY)
            roll.problem = outcome.problem or self._crashed(roll)
            if not outcome.moved and not roll.problem:
                continue  # everybody left it at that very moment
            self._tell(outcome, f"a worker was replaced by one of {self.installed}", "replace", problem=roll.problem)
            if roll.problem:
                self._changed()
                return
            roll.done += 1
            self._changed()
        self._roll = None
        self._changed()

    def _crashed(self, roll: _Roll) -> str:
        if self._reconciler.stopping:
            return "the daemon is ending"
        return "a worker crashed meanwhile" if self._roster.crashes > roll.crashes else ""

    def _outdated(self) -> list[Sequence[Tracked]]:
        """Return who is aboard of each worker of another release than the installed one, the smallest first."""
        crews: defaultdict[str, list[Tracked]] = defaultdict(list)
        for tracked in self._roster.sessions.values():
            if tracked.worker_id is not None and tracked.release != self.installed:
                crews[tracked.worker_id].append(tracked)
        return sorted(crews.values(), key=lambda crew: (len(crew), crew[0].name))

    def _tell(self, outcome: Outcome, what: str, code: str, *, problem: str = "") -> None:
        problem = problem or outcome.problem
        self._roster.log(
            "warning" if problem else "action",
            reason=f"{what}, broken off: {problem}" if problem else what,
            code=code,
            detail={"sessions": list(outcome.moved), "longest_away_s": round(outcome.longest, 3)},
        )
