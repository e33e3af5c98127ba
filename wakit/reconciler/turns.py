"""Blocking work in threads, in order for each session: the vault's files are nobody's to touch twice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class Turns:
    """Gives each session's work its turn.

    Two at a time would be worse than slow: closing any descriptor of a database drops every POSIX lock that this
    process has on it (fcntl(2)), so one look would take another's locks away.
    """

    def __init__(self) -> None:
        # Weak: a lock that nobody holds or waits for is nobody's, and names come and go.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, name: str, work: Callable[[], T]) -> T:
        """Do the work in a thread once everything asked for before it is done; return what it returns."""
        return await self.together((name,), work)

    async def together(
        self, names: Collection[str], work: Callable[[], T], places: AbstractAsyncContextManager[object] | None = None
    ) -> T:
        """Do work on several sessions in one thread, when it is the turn of each of them; return what it returns.

        A hundred threads that take turns at the interpreter cost more than what each of them does.

        Args:
            names: The sessions.
            work: What to do.
            places: Entered around the thread only, as a semaphore for how many there may be: who still waits for
                somebody else's turn takes nobody's place.
        """
        async with AsyncExitStack() as turns:
            for name in sorted(set(names)):  # in one order, or two that want the same would wait for each other
                await turns.enter_async_context(self._locks.setdefault(name, asyncio.Lock()))  # asyncio.Lock is fair
            if places is not None:
                await turns.enter_async_context(places)
            return await asyncio.to_thread(work)
