"""The worker host as the reconciler's workers, and the fleet's one token bucket before every dial."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wakit.core.pacing import TokenBucket
from wakit.errors import WorkerError
from wakit.whatsapp.port import WorkerLaunch
from wakit.worker.host import WorkerHost

_GRACE = 1.0  # seconds a client may take to say goodbye before its worker is killed


class Pace:
    """Gives permits to dial, at the declared rate, in the order in which they are asked for.

    Args:
        rate: Reads the declared rate (dials a second) whenever a permit is asked for.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: Callable[[], float], clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._bucket: TokenBucket | None = None
        self._turn = asyncio.Lock()

    async def permit(self, _session: str) -> None:
        """Return when the next dial may go out."""
        # Only the first in the queue waits for its token, the others for their turn: so a changed rate holds for all
        # who wait, nobody is overtaken, and whoever gives up takes no token along.
        async with self._turn:
            now, rate = self._clock(), self._rate()
            bucket = self._bucket or TokenBucket.full(rate, now)
            self._bucket, pause = bucket.at_rate(rate, now).reserve(now)
            if pause > 0:
                await asyncio.sleep(pause)


class Staff:
    """Fulfils :class:`wakit.reconciler.ports.Workers` on a worker host."""

    def __init__(self, host: WorkerHost) -> None:
        self._host = host

    async def launch(self, launch: WorkerLaunch) -> int:
        """Spawn a worker."""
        return await self._host.launch(launch)

    async def release(self, worker_id: str, session: str, *, why: str) -> None:
        """End the worker that carries a session.

        Workers are sealed: what a shared one carries besides is started again by the loop, at once and without being
        counted as a failure, because the exit was asked for.
        """
        del session
        await self._host.stop(worker_id, grace=_GRACE, why=why)

    async def logout(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Unlink a session at WhatsApp."""
        try:
            return await self._host.logout(worker_id, session, timeout)
        except WorkerError:
            return False
