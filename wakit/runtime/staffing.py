"""The worker host as the reconciler's workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

from wakit.errors import WorkerError
from wakit.runtime.pace import Pace
from wakit.whatsapp.port import AccountHold, SessionStart, WorkerLaunch
from wakit.worker.host import WorkerHost

_LEAVE = 5.0  # seconds until a session must have left a shared worker
_GRACE = 1.0  # seconds a client may take to say goodbye before its worker is killed


class Staff:
    """Fulfils :class:`wakit.reconciler.ports.Workers` on a worker host.

    Args:
        host: Has the workers.
        pace: Keeps a place for sessions whose worker is being spawned.
    """

    def __init__(self, host: WorkerHost, pace: Pace) -> None:
        self._host = host
        self._pace = pace
        self._aboard: dict[str, set[str]] = {}
        self._starts = asyncio.Semaphore(2 * (os.cpu_count() or 1))

    def expect(self, sessions: Sequence[str]) -> None:
        """Keep places in the line of dials."""
        self._pace.expect(sessions)

    def forget(self, sessions: Sequence[str]) -> None:
        """Keep no places in the line of dials."""
        self._pace.forget(sessions)

    async def launch(self, launch: WorkerLaunch) -> int:
        """Spawn a worker; a few at a time, because each loads the library, and all at once none would be in time."""
        names = [start.name for start in launch.sessions]
        async with self._starts:
            if not launch.on_call:
                self._pace.expect(names)  # they were expected since they were planned, which may be long ago
            pid = await self._host.launch(launch)
        running = self._host.workers()
        self._aboard = {name: aboard for name, aboard in self._aboard.items() if name in running}
        # Whoever is on call is not aboard yet.
        self._aboard[launch.worker_id] = set() if launch.on_call else set(names)
        return pid

    async def call(self, worker_id: str, start: SessionStart) -> None:
        """Have a worker that was launched on call start one of its sessions."""
        self._pace.expect([start.name])
        await self._host.call(worker_id, start)
        self._aboard.setdefault(worker_id, set()).add(start.name)

    async def seal(self, worker_id: str) -> None:
        """End the calls to a worker, and the worker if nobody came."""
        if self._aboard.get(worker_id):
            await self._host.seal(worker_id)
        else:
            self._aboard.pop(worker_id, None)
            await self._host.stop(worker_id, grace=_GRACE, why="nobody came aboard")

    async def release(self, worker_id: str, session: str, *, why: str) -> None:
        """Take a session out of its worker; the last one out ends it.

        A worker is sealed, nobody comes aboard later, but one can leave: its client is cut off and its credential let
        go while the others go on. A worker that does not manage that in time is ended, and the loop starts the others
        again at once, without counting it as a failure of theirs.
        """
        aboard = self._aboard.get(worker_id, set())
        aboard.discard(session)
        if aboard:
            try:
                if await self._host.stop_session(worker_id, session, _LEAVE):
                    return
                why = f"the worker was ended for all aboard, because {session} could not leave it ({why})"
            except WorkerError:
                pass  # it is gone already, or about to be
        self._aboard.pop(worker_id, None)
        await self._host.stop(worker_id, grace=_GRACE, why=why)

    async def redial(self, worker_id: str, session: str) -> None:
        """Drop a session's connections and let it dial again."""
        with suppress(WorkerError):  # it is gone already
            await self._host.cut(worker_id, session)
            await self._host.uncut(worker_id, session)

    async def hold_account(self, worker_id: str, session: str, account: AccountHold) -> None:
        """Have a worker hold an account."""
        with suppress(WorkerError):  # it is gone already, and so is its session
            await self._host.hold_account(worker_id, session, account)

    async def ask(self, worker_id: str, session: str, timeout: float) -> str:  # noqa: ASYNC109
        """Have a session ask WhatsApp something."""
        try:
            return await self._host.ask(worker_id, session, timeout)
        except WorkerError as error:
            return error.why

    async def logout(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Unlink a session at WhatsApp."""
        try:
            return await self._host.logout(worker_id, session, timeout)
        except WorkerError:
            return False
