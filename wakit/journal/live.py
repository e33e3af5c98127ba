"""The live feed: what was acknowledged, to whoever listens, at the listener's own pace.

The journal's thread offers each committed batch; a listener on an event loop takes them one by one. Between the two
stands a bounded buffer: a listener that is too slow loses the oldest and is told which numbers it missed, so that it
can ask the journal for them. However many batches arrive, at most one wake-up is under way to a loop: a loop that is
stuck is not buried in callbacks.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from wakit.core.records import EventRecord


class Numbered(NamedTuple):
    """An event that is safely in the journal, with its number."""

    seq: int
    record: EventRecord


@dataclass(frozen=True, slots=True)
class Gap:
    """The listener was too slow for the events ``first`` to ``last``; they are in the journal."""

    first: int
    last: int


class Subscription:
    """An endless asynchronous iterator over acknowledged events; ends when it or the journal is closed.

    Args:
        capacity: How many events wait for this listener before the oldest give way to a :class:`Gap`.

    Example:
        >>> async def follow(journal):
        ...     with journal.subscribe() as feed:
        ...         async for item in feed:
        ...             if isinstance(item, Gap):
        ...                 ...  # refetch item.first to item.last
    """

    def __init__(self, capacity: int, loop: asyncio.AbstractEventLoop) -> None:
        self._lock = threading.Lock()
        self._buffer: deque[Numbered] = deque()
        self._capacity = capacity
        self._gap: Gap | None = None
        self._loop = loop
        self._wake = asyncio.Event()
        self._waking = False
        self.closed = False

    def offer(self, batch: Sequence[Numbered]) -> None:
        """Take what was committed; called by the journal's thread, never blocks."""
        with self._lock:
            if self.closed:
                return
            self._buffer.extend(batch)
            while len(self._buffer) > self._capacity:
                missed = self._buffer.popleft().seq
                self._gap = Gap(self._gap.first if self._gap else missed, missed)
            self._notify()

    def close(self) -> None:
        """End the iteration once the buffer is empty; from any thread, more than once if need be."""
        with self._lock:
            self.closed = True
            self._notify()

    def _notify(self) -> None:
        if self._waking:
            return
        try:
            self._loop.call_soon_threadsafe(self._woken)
            self._waking = True
        except RuntimeError:  # the listener's loop is closed: nobody is left to tell
            self.closed = True

    def _woken(self) -> None:
        with self._lock:
            self._waking = False
        self._wake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Numbered | Gap:
        while True:
            self._wake.clear()
            with self._lock:
                if self._gap is not None:
                    gap, self._gap = self._gap, None
                    return gap
                if self._buffer:
                    return self._buffer.popleft()
                if self.closed:
                    raise StopAsyncIteration
            await self._wake.wait()
