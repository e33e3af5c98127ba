"""What a worker may do to its host, whom it talks to through it, and what the host knows of it: plain values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from wakit.whatsapp.port import Dial, WorkerBeat, WorkerReport

_WINDOW: Final = 10.0
_HEARTBEAT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a worker may do to its host before it is killed (lines: before they are dropped, and counted).

    Attributes:
        hello_within: Seconds from its birth to its hello; loading the library takes 0.5 s on an idle machine.
        silent_after: Seconds without a frame; heartbeats come more often (:attr:`heartbeat`).
        frames: Frames in ten seconds.
        lines: Log lines in ten seconds.
        unread: Bytes written to it that it has not read.
        drain: Seconds to read what it left behind after its end.
    """

    hello_within: float = 60.0
    silent_after: float = 90.0
    frames: int = 20_000
    lines: int = 5_000
    unread: int = 8 << 20
    drain: float = 2.0

    @property
    def heartbeat(self) -> float:
        """Seconds between two heartbeats: five, or less where silence is not allowed to last."""
        return min(_HEARTBEAT, self.silent_after / 3)


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where what a worker tells goes, and where its dials get their permits. None of them may block.

    Each permit that was given is followed by one call of ``on_dial`` or ``on_unused``.
    """

    on_report: Callable[[WorkerReport], None]
    permit: Callable[[str], Awaitable[None]]
    on_log: Callable[[str, str], None]
    on_beat: Callable[[WorkerBeat], None]
    on_dial: Callable[[Dial], None]
    on_unused: Callable[[str], None]
    clock: Callable[[], float]
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A running worker as its host sees it.

    Attributes:
        worker_id: Which one.
        pid: Its process id.
        sessions: Who is aboard.
        started_at: When it said hello (UTC).
        last_heartbeat: When the last frame of any kind came (UTC).
        last_byte: When the last byte of each session's tunnels passed its relay (UTC), None before the first.
    """

    worker_id: str
    pid: int
    sessions: tuple[str, ...]
    started_at: datetime
    last_heartbeat: datetime
    last_byte: MappingProxyType[str, datetime | None]


class Window:
    """Counts what happens in windows of ten seconds."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._since, self._seen = clock(), 0

    def admit(self) -> bool:
        """Count one more; False once the window is over its limit."""
        now = self._clock()
        if now - self._since >= _WINDOW:
            self._since, self._seen = now, 0
        self._seen += 1
        return self._seen <= self._most

    @property
    def first_too_many(self) -> bool:
        """True exactly once in a window: at the first that was not admitted."""
        return self._seen == self._most + 1
