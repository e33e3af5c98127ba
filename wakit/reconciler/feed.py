"""The live feed: what changed, to everybody who listens, at the listener's own speed.

A session that changes a hundred times before a slow listener looks again is told once, as it is then; events of the
journal are never merged, and what a listener was too slow for is told as a gap of numbers that SQL can fill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from wakit.control.schemas import (
    DaemonChanged,
    DaemonInfo,
    EventInfo,
    EventLogged,
    Gap,
    LiveFrame,
    PairingFrame,
    PairingShown,
    SessionChanged,
    SessionGone,
    SessionInfo,
)

_EVENTS_KEPT: Final = 5_000


class Listener:
    """One listener's backlog."""

    def __init__(self, feed: Feed, pairing: str | None) -> None:
        self._feed = feed
        self._pairing = pairing
        self._ready = asyncio.Event()
        self._sessions: dict[str, None] = {}  # insertion order: the order in which they first changed
        self._events: deque[EventInfo | Gap] = deque()  # in the order of their numbers, gaps among them
        self._daemon = False
        self._shown = pairing is not None
        self.closed = False

    def session(self, name: str) -> None:
        """Note that a session changed."""
        self._sessions[name] = None
        self._shown = self._shown or name == self._pairing
        self._ready.set()

    def daemon(self) -> None:
        """Note that the daemon's record changed."""
        self._daemon = True
        self._ready.set()

    def event(self, event: EventInfo) -> None:
        """Queue an event; when too many wait, the oldest give way to a gap."""
        self._events.append(event)
        while len(self._events) > _EVENTS_KEPT:
            (first, _), (_, last) = _span(self._events.popleft()), _span(self._events.popleft())
            self._events.appendleft(Gap(first=first, last=last))
        self._ready.set()

    def gap(self, first: int, last: int) -> None:
        """Note that events were left out before they came here."""
        self._events.append(Gap(first=first, last=last))
        self._ready.set()

    def close(self) -> None:
        """End the stream after what is queued."""
        self.closed = True
        self._ready.set()

    async def frames(self) -> AsyncIterator[LiveFrame]:
        """Yield what is new, for ever; waits when there is nothing."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            for frame in self._drain():
                yield frame
            if self.closed:
                return

    def _drain(self) -> Iterator[LiveFrame]:
        if self._daemon:
            self._daemon = False
            yield DaemonChanged(daemon=self._feed.describe_daemon())
        names, self._sessions = list(self._sessions), {}
        for name in names:
            info = self._feed.describe_session(name)
            yield SessionGone(name=name) if info is None else SessionChanged(session=info)
        if self._shown and self._pairing is not None:
            self._shown = False
            yield PairingFrame(session=self._pairing, shown=self._feed.describe_pairing(self._pairing))
        events, self._events = self._events, deque()
        for event in events:
            yield event if isinstance(event, Gap) else EventLogged(event=event)


def _span(item: EventInfo | Gap) -> tuple[int, int]:
    return (item.first, item.last) if isinstance(item, Gap) else (item.seq, item.seq)


class Feed:
    """Tells every listener.

    Args:
        describe_daemon: The daemon's record as it is now.
        describe_session: A session as it is now, or None if it is no longer shown.
        describe_pairing: What can be scanned or typed now.
    """

    def __init__(
        self,
        describe_daemon: Callable[[], DaemonInfo],
        describe_session: Callable[[str], SessionInfo | None],
        describe_pairing: Callable[[str], PairingShown | None],
    ) -> None:
        self.describe_daemon = describe_daemon
        self.describe_session = describe_session
        self.describe_pairing = describe_pairing
        self._listeners: set[Listener] = set()
        self._closed = False

    @contextmanager
    def listening(self, pairing: str | None = None) -> Iterator[Listener]:
        """Listen from now on."""
        listener = Listener(self, pairing)
        self._listeners.add(listener)
        if self._closed:
            listener.close()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def session(self, name: str) -> None:
        """Tell that a session changed."""
        for listener in self._listeners:
            listener.session(name)

    def daemon(self) -> None:
        """Tell that the daemon's record changed."""
        for listener in self._listeners:
            listener.daemon()

    def event(self, event: EventInfo) -> None:
        """Tell a durable event."""
        for listener in self._listeners:
            listener.event(event)

    def gap(self, first: int, last: int) -> None:
        """Tell that events were left out before they came here."""
        for listener in self._listeners:
            listener.gap(first, last)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
