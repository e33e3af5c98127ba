"""Does to sessions what no plan says: what a report, a clock or a person asks for, in the background where it can.

Whoever asks for it knows a Protocol with the few calls it needs (:mod:`wakit.reconciler.hands` and others).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from wakit.errors import ControlError
from wakit.reconciler.jobs import Jobs
from wakit.reconciler.looking import Looker
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Planned, Tracked
from wakit.reconciler.turns import Turns
from wakit.redact import Secret
from wakit.vault.recovery import Recovery


class Errands:
    """Fulfils :class:`wakit.reconciler.hands.Hands`.

    Args:
        roster: The sessions.
        in_turn: Does the vault's work.
        jobs: What is under way.
        stop: Takes a session out of its worker.
    """

    def __init__(
        self, roster: Roster, in_turn: Turns, jobs: Jobs, *, stop: Callable[[Tracked, str], Awaitable[None]]
    ) -> None:
        self._roster = roster
        self._ports = roster.ports
        self._in_turn, self._jobs, self._stop = in_turn, jobs, stop
        self._looker = Looker(roster, in_turn)

    def release(self, tracked: Tracked, *, why: str, unless: Callable[[], bool] = lambda: False) -> None:
        """Begin to take a session out of its worker, unless something is true by the time that it is done."""
        if tracked.busy:
            tracked.leaving = why  # its launch may be about to begin, or not have returned; taken up when it ends
            return
        if tracked.worker_id is None:
            return

        async def leave() -> None:
            if not unless():
                await self._stop(tracked, why)

        self._jobs.begin([tracked], leave, f"stop {tracked.name}")

    def note(self, tracked: Tracked, write: Callable[[], object]) -> None:
        """Write to the vault in the background, in order with this session's other writes."""
        self._jobs.begin_beside(partial(self._in_turn, tracked.name, write), f"note {tracked.name}")

    def hold_account(self, tracked: Tracked, user: Secret) -> None:
        """Have the worker hold the account that its session was linked to just now."""
        work = partial(self._hold_account, tracked.name, tracked.worker_id, user)
        self._jobs.begin_beside(work, f"hold the account of {tracked.name}")

    def redial(self, tracked: Tracked) -> None:
        """Drop a session's connection in the background; its library redials."""
        if tracked.worker_id is not None:
            work = partial(self._ports.workers.redial, tracked.worker_id, tracked.name)
            self._jobs.begin_beside(work, f"redial {tracked.name}")

    def settle(self, tracked: Tracked) -> None:
        """Look again what there is of a session that nothing runs: it may have been linked after all."""
        # What is under way looks again before a start, or if it fails.
        if not tracked.busy and tracked.worker_id is None:
            self._look(tracked, self._looker.settle)

    async def look_again(self) -> None:
        """Look again at every session that nothing runs; another command may have brought or given away credentials."""
        resting = [t for t in self._roster.sessions.values() if not t.busy and t.worker_id is None]
        await asyncio.gather(*(self._look(t, self._looker.look_again) for t in resting))

    async def put_back(self, tracked: Tracked, chosen: str | None) -> Recovery:
        """Replace a session's credential by a backup because a person asks; it is started with it afterwards.

        Raises:
            ControlError: Another action on it is under way.
            CredentialError: There is no such backup, or it is not good; nothing was touched.
        """
        if tracked.busy:
            raise ControlError(
                f"{tracked.name} is left as it is",
                why="another action on it is under way",
                hint="try again in a moment",
            )
        vault, name = self._ports.vault, tracked.name
        found: asyncio.Future[Recovery] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                await self._in_turn(name, partial(vault.find_backup, name, chosen))
                await self._stop(tracked, "a backup is put back")
                recovery = await self._in_turn(name, partial(vault.put_back, name, chosen))
                tracked.remember(await self._in_turn(name, partial(vault.find, name)))
                tracked.begin()
                tracked.planned = Planned("a person had a backup put back")
                self._roster.log("recovery", tracked, reason=recovery.words(self._ports.now()))
                found.set_result(recovery)
            except Exception as error:  # noqa: BLE001 - whoever asked is told; the session is not to blame
                found.set_exception(error)

        self._jobs.begin([tracked], work, f"put a backup of {name} back")
        return await found

    # -- inside ------------------------------------------------------------------------------------------------------

    def _look(self, tracked: Tracked, look: Callable[[Tracked], Awaitable[object]]) -> asyncio.Task[None]:
        return self._jobs.begin([tracked], partial(look, tracked), f"look at {tracked.name}", only_looks=True)

    async def _hold_account(self, name: str, worker_id: str | None, user: Secret) -> None:
        account = await self._in_turn(name, partial(self._ports.vault.hold_account, name, user))
        if account is not None and worker_id is not None:
            await self._ports.workers.hold_account(worker_id, name, account)
