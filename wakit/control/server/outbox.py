"""What one live reader still has to be sent: bounded, whatever the reader does.

States are worth their latest value only, so a session that changed five times while the reader slept is sent once.
Events are worth each of themselves, so they queue up to a limit; beyond it the oldest go, and a
:class:`~wakit.control.schemas.Gap` in their place says which, so that the reader can ask for them by SQL. What is kept
is therefore at most one frame a session, plus ``limit`` events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, TypeAlias, assert_never

from wakit.control.schemas import (
    DaemonChanged,
    EventLogged,
    Gap,
    Hello,
    LiveFrame,
    PairingFrame,
    SessionChanged,
    SessionGone,
)

_Key: TypeAlias = tuple[str, str | int]
LIMIT: Final = 2000


class Outbox:
    """Frames in, frames out, in order, with the losses said aloud.

    Example:
        >>> from wakit.control.schemas import SessionGone
        >>> outbox = Outbox()
        >>> outbox.put(SessionGone(name="a")); outbox.put(SessionGone(name="a"))
        >>> len(outbox)
        1
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._frames: dict[_Key, LiveFrame] = {}
        self._events: deque[_Key] = deque()
        self._gap: Gap | None = None
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames) + (self._gap is not None)

    def put(self, frame: LiveFrame) -> None:
        """Add a frame; never waits."""
        match frame:
            case Hello():
                # It says everything as it is, so what was pending of states is in it.
                self._frames = {key: old for key, old in self._frames.items() if key[0] in ("event", "pairing")}
                self._frames["hello", ""] = frame
            case SessionChanged():
                self._frames["session", frame.session.name] = frame
            case SessionGone():
                self._frames["session", frame.name] = frame
            case DaemonChanged():
                self._frames["daemon", ""] = frame
            case PairingFrame():
                self._frames["pairing", frame.session] = frame
            case EventLogged():
                self._put_event(frame)
            case Gap():
                self._widen(frame.first, frame.last)
            case _:
                assert_never(frame)
        self._filled.set()

    async def room(self) -> None:
        """Wait until an event fits in without another giving way."""
        while len(self._events) >= self._limit:
            self._emptied.clear()
            await self._emptied.wait()

    async def take(self) -> LiveFrame:
        """Wait for the next frame and remove it."""
        while not len(self):
            self._filled.clear()
            await self._filled.wait()
        key = next(iter(self._frames), None)
        if self._gap is not None and (key is None or key[0] == "event"):
            gap, self._gap = self._gap, None
            return gap
        assert key is not None
        if key[0] == "event":
            self._events.popleft()
            self._emptied.set()
        return self._frames.pop(key)

    def _put_event(self, frame: EventLogged) -> None:
        key = ("event", frame.event.seq)
        self._frames[key] = frame
        self._events.append(key)
        if len(self._events) > self._limit:
            oldest = self._events.popleft()
            dropped = self._frames.pop(oldest)
            assert isinstance(dropped, EventLogged)
            self._widen(dropped.event.seq, dropped.event.seq)

    def _widen(self, first: int, last: int) -> None:
        known = self._gap
        self._gap = (
            Gap(first=min(first, known.first), last=max(last, known.last)) if known else Gap(first=first, last=last)
        )
