"""Begins the work on sessions and ends it, whatever comes of it: what is under way, who is busy, who pauses.

A session whose action is under way is *busy*: the planner's word on it waits. An action that fails says so in the
journal and leaves the session alone for a pause that grows; nothing that happens to one session stops the loop, nor
makes it spin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from wakit.core.lifecycle import ALIVE, Happening
from wakit.core.retry import AFTER_DIAL
from wakit.reconciler.roster import Roster
from wakit.reconciler.starting import in_words
from wakit.reconciler.tracked import Tracked

Work: TypeAlias = Callable[[], Awaitable[object]]


class Jobs:
    """What is under way.

    Args:
        roster: The sessions.
        wake: Called when something was done that may change the plan.
        leave: Takes a session out of its worker that had to wait for the end of a job; called with why.
        look: Looks again what there is of a session whose job failed.
    """

    def __init__(
        self,
        roster: Roster,
        wake: Callable[[], None],
        *,
        leave: Callable[[Tracked, str], None],
        look: Callable[[Tracked], None],
    ) -> None:
        self._roster = roster
        self._wake, self._leave, self._look = wake, leave, look
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self, concerned: Sequence[Tracked], work: Work, what: str, *, only_looks: bool = False
    ) -> asyncio.Task[None]:
        """Begin an action on sessions, which are busy until it ends.

        Args:
            concerned: The sessions.
            work: The action.
            what: What it does, in words, for the journal if it fails.
            only_looks: It looks what there is, so nobody looks again if it fails.
        """
        for tracked in concerned:
            tracked.busy = True
        return self._start(self._guard(work, what, concerned, only_looks=only_looks))

    def begin_beside(self, work: Work, what: str) -> asyncio.Task[None]:
        """Begin something in the background that keeps nobody busy."""
        return self._start(self._guard(work, what, ()))

    def pausing(self, tracked: Tracked) -> bool:
        """Return whether a session is left alone, as an action on it failed."""
        return tracked.not_before is not None and tracked.not_before > self._roster.ports.now()

    def wake_at(self) -> datetime | None:
        """Return when the first pause after a failed action ends, or None if there is none."""
        return min(
            (t.not_before for t in self._roster.sessions.values() if self.pausing(t) and t.not_before), default=None
        )

    def idle(self) -> bool:
        """Return whether nothing is under way."""
        return not self._tasks

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _start(self, guarded: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(guarded)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Only now nothing is under way any more: a look at the whole before this would not call it converged.
        self._tasks.discard(task)
        self._wake()

    async def _guard(self, work: Work, what: str, concerned: Sequence[Tracked], *, only_looks: bool = False) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever went wrong with one session stays with it
            self._failed(error, what, concerned)
            failed = True
        else:
            failed = False
        finally:
            for tracked in concerned:
                tracked.busy = False
                why, tracked.leaving = tracked.leaving, None
                if why is not None:
                    self._leave(tracked, why)
        if failed and not only_looks:
            # What was planned was not possible, so the world may be another than the one it was planned for.
            for tracked in concerned:
                self._look(tracked)

    def _failed(self, error: Exception, what: str, concerned: Sequence[Tracked]) -> None:
        reason = f"{what} failed: {in_words(error)}"
        everyone: Sequence[Tracked | None] = concerned or [None]
        for one in everyone:
            self._roster.log("warning", one, reason=reason)
        for tracked in concerned:
            # A pause for actions of every kind: the planner knows one for starts only, and would ask again at once.
            tracked.not_before = self._roster.pause_end(tracked, AFTER_DIAL)
            tracked.ask_again()
            if tracked.worker_id is None:
                tracked.running = None
                if tracked.state in ALIVE:
                    self._roster.happen(tracked, Happening.WORKER_LOST, reason)
            self._roster.say(tracked, tracked.why_waits or reason)  # a verdict's words stand
