"""Moves sessions into another worker, one after the other, while they are in service.

The new worker is born first, with its whole list, and loads the library while everybody still runs where they are. Then
one session after the other leaves its old worker and is called by the new one. So each is away for as long as a login
takes, nobody for as long as a process takes to start, and never two at once. The last one out ends the old worker.

Whatever goes wrong ends the moving, not the service: who has moved stays, who has not stays too, and the one on the way
is started again by the loop like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from wakit.core.lifecycle import State
from wakit.errors import WakitError
from wakit.reconciler.roster import Roster
from wakit.reconciler.starting import Hired, Starter, in_words
from wakit.reconciler.tracked import MOVED, Planned, Tracked

_ARRIVAL: Final = 30.0  # seconds a session has to be connected again


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a moving.

    Attributes:
        moved: Who is aboard of the new worker.
        problem: Why it was broken off, or "".
        longest: Seconds the one was away that was away longest.
    """

    moved: tuple[str, ...] = ()
    problem: str = ""
    longest: float = 0.0


class Rehouser:
    """Moves sessions.

    Args:
        roster: The sessions.
        starter: Starts them.
        begin: Begins an action on a session, which is busy until it ends.
        stop: Takes a session out of its worker.
    """

    def __init__(
        self,
        roster: Roster,
        starter: Starter,
        *,
        begin: Callable[[Sequence[Tracked], Callable[[], Awaitable[object]], str], asyncio.Task[None]],
        stop: Callable[[Tracked, str], Awaitable[None]],
    ) -> None:
        self._roster, self._starter, self._begin, self._stop = roster, starter, begin, stop

    async def move(self, crew: Sequence[Tracked], *, why: str, objection: Callable[[], str]) -> Outcome:
        """Move sessions into a new worker that they share.

        Args:
            crew: Who; everybody runs.
            why: In words, for the journal.
            objection: Asked before each: why it should not go on, or "".
        """
        housed = {tracked.name: tracked.worker_id for tracked in crew}
        try:
            worker = await self._starter.hire(crew)
        except (WakitError, OSError) as error:
            return Outcome(problem=in_words(error))
        moved: list[Tracked] = []
        longest, problem = 0.0, ""
        try:
            for tracked in crew:
                if tracked.busy or tracked.worker_id is None or tracked.worker_id != housed[tracked.name]:
                    continue  # something else is being done with it, or was
                problem = objection() or _wants_out(moved)
                if problem:
                    break
                began = self._roster.ports.now()
                problem = await self._bring(tracked, worker, why)
                if problem:
                    break
                moved.append(tracked)
                longest = max(longest, (self._roster.ports.now() - began).total_seconds())
        finally:
            await self._roster.ports.workers.seal(worker.worker_id)
        return Outcome(tuple(tracked.name for tracked in moved), problem, longest)

    async def _bring(self, tracked: Tracked, worker: Hired, why: str) -> str:
        """Move one; return why it did not arrive, or ""."""
        in_service = tracked.state is State.CONNECTED
        await self._begin([tracked], partial(self._come_over, tracked, worker, why), f"move {tracked.name}")
        if tracked.worker_id == worker.worker_id and (tracked.state is State.CONNECTED or not in_service):
            return ""
        return f"{tracked.name} did not arrive: {tracked.reason}"

    async def _come_over(self, tracked: Tracked, worker: Hired, why: str) -> None:
        in_service = tracked.state is State.CONNECTED
        await self._stop(tracked, why)
        tracked.planned = Planned(why, MOVED)
        if await self._starter.restore([tracked], onto=worker) and in_service:
            await self._roster.reaches(tracked, State.CONNECTED, _ARRIVAL)


def _wants_out(moved: Sequence[Tracked]) -> str:
    """Say who has to leave the new worker again; it cannot until the worker is sealed."""
    return next((f"{tracked.name} has something else to do" for tracked in moved if tracked.busy), "")
