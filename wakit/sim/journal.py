"""The sim's own journal: what the server saw, so that a test can judge from the server's side.

In memory and bounded: an entry leaves the list after a while, the counters never forget. A watcher gets every entry in
order; one that does not read keeps a place in the list, not a queue of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import Final, TypedDict, Unpack

from wakit.redact import PhoneNumber
from wakit.sim.requests import Entry, What

_KEPT: Final = 50_000


class About(TypedDict, total=False):
    """Whom and what an entry is about."""

    number: PhoneNumber | None
    device: int | None
    connection: int | None
    dialer: str
    detail: str


class Journal:
    """Entries in order, counters of them, and watchers.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._watchers: set[asyncio.Future[None]] = set()
        self._per_device: Counter[tuple[str, int, What]] = Counter()
        self.totals: Counter[str] = Counter()
        self.seq = 0

    def add(self, what: What, **about: Unpack[About]) -> None:
        """Write an entry and wake the watchers."""
        self.seq += 1
        entry = Entry(seq=self.seq, at=self._clock(), what=what, **about)
        self._entries.append(entry)
        self.totals[what] += 1
        if entry.number is not None and entry.device is not None:
            self._per_device[entry.number.digits, entry.device, what] += 1
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)
        self._watchers.clear()

    def count(self, number: PhoneNumber, device: int, what: What) -> int:
        """Return how often something happened to a device."""
        return self._per_device[number.digits, device, what]

    def after(self, seq: int) -> tuple[Entry, ...]:
        """Return the entries that are still kept and newer than ``seq``."""
        newer = min(self.seq - seq, len(self._entries))
        return tuple(islice(self._entries, len(self._entries) - newer, None)) if newer > 0 else ()

    async def watch(self, seq: int) -> AsyncIterator[Entry]:
        """Yield the entries after ``seq`` and then every new one, without end."""
        while True:
            for entry in self.after(seq):
                seq = entry.seq
                yield entry
            if seq >= self.seq:
                grown = asyncio.get_running_loop().create_future()
                self._watchers.add(grown)
                await grown
