"""The silence watch: notices that a worker has said nothing for too long, whatever stood still besides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from wakit.core.clock import grid
from wakit.core.health import lateness

_READ_FIRST: Final = 0.1
_STOOD_STILL: Final = 5.0  # seconds that a timer is late only if nothing ran


class SilenceWatch:
    """Watches one worker.

    Args:
        allowed: Seconds of silence.
        heartbeat: Seconds between its heartbeats; the watch wakes up together with those.
        clock: Monotonic seconds.
    """

    def __init__(self, allowed: float, heartbeat: float, clock: Callable[[], float]) -> None:
        self._allowed, self._heartbeat, self._clock = allowed, heartbeat, clock
        self._heard_at = clock()

    def heard(self) -> None:
        """Something came from the worker just now."""
        self._heard_at = self._clock()

    async def too_long(self) -> None:
        """Return once the worker was silent for longer than it may be; from now on, at the earliest."""
        self.heard()
        while (left := self._heard_at + self._allowed - self._clock()) > 0:
            # A little longer than needed: what lies in the socket has to be read before the worker is judged. In steps:
            # a standstill of the daemon itself (a stopped process, a frozen machine) may be one of the worker, too, and
            # shows as a step that took too long.
            now, step = self._clock(), max(self._allowed / 4, _READ_FIRST)
            due = now + left + _READ_FIRST if left <= step else grid(now + step, self._heartbeat)
            await asyncio.sleep(due - now)
            late, now = lateness(due, self._clock()), self._clock()
            # After a long one the machine itself was asleep, or moved: the worker has its whole time again.
            self._heard_at = now if late > _STOOD_STILL else min(self._heard_at + late, now)
