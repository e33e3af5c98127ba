"""Who waits for an event to be durable, and how they hear of it on their own event loops.

Not safe by itself: the writer calls it under its lock, all but :func:`tell`, which wakes others and holds nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from wakit.errors import JournalError


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody on an event loop who waits for a number to be durable."""

    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


Told: TypeAlias = list[tuple[Waiter, JournalError | None]]
"""Waiters, each with what to raise there, or None if its event is durable."""


class Acks:
    """Which numbers are durable, which were lost, and who waits.

    Args:
        durable: The newest number that is in the file already.

    Example:
        >>> acks = Acks(7)
        >>> acks.settled(7), acks.settled(8)
        (True, False)
        >>> acks.advance(9, lost=[(8, 8)])
        []
        >>> acks.settled(9)
        True
    """

    def __init__(self, durable: int) -> None:
        self.durable = durable
        self._losses: list[tuple[int, int]] = []
        self._waiters: list[tuple[int, int, Waiter]] = []
        self._order = itertools.count()

    def settled(self, seq: int) -> bool:
        """Return True if a number is durable, False if it may become so.

        Raises:
            JournalError: The event was lost.
        """
        if self._was_lost(seq):
            raise _lost(seq)
        return seq <= self.durable

    def wait(self, seq: int, waiter: Waiter) -> None:
        """Have a waiter told as soon as a number is settled."""
        heapq.heappush(self._waiters, (seq, next(self._order), waiter))

    def advance(self, durable: int, *, lost: Sequence[tuple[int, int]]) -> Told:
        """Note what has become durable and what was lost on the way (first and last); return whom to tell what."""
        self._losses.extend(lost)
        self.durable = durable
        told: Told = []
        while self._waiters and self._waiters[0][0] <= durable:
            seq, _, waiter = heapq.heappop(self._waiters)
            told.append((waiter, _lost(seq) if self._was_lost(seq) else None))
        return told

    def abandon(self, why: str) -> Told:
        """Give up everybody who waits; return whom to tell what."""
        told: Told = [(waiter, unwritten(why)) for _, _, waiter in self._waiters]
        self._waiters.clear()
        return told

    def _was_lost(self, seq: int) -> bool:
        return any(first <= seq <= last for first, last in self._losses)


def tell(told: Told) -> None:
    """Wake the waiters, with one wake-up a loop however many they are; from any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], JournalError | None]]] = {}
    for waiter, error in told:
        by_loop.setdefault(waiter.loop, []).append((waiter.done, error))
    for loop, futures in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, futures)
        except RuntimeError:  # that loop is closed: nobody waits on it any more
            continue


def unwritten(why: str) -> JournalError:
    """Return what is raised for events that were still to be written when the journal was closed."""
    return JournalError(
        "The journal was closed with events it could not write",
        why=why or "it was closed first",
        hint="free some space on the disk, or check its health",
    )


def _lost(seq: int) -> JournalError:
    return JournalError(
        f"The event {seq} was lost", why="the disk did not take it, and memory for waiting events was used up"
    )


def _resolve(futures: Sequence[tuple[asyncio.Future[None], JournalError | None]]) -> None:
    for future, error in futures:
        if future.done():  # whoever waited was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
