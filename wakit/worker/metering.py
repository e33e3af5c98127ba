"""The meter of one session: how much its tunnels carried each way, and when. A heartbeat tells what is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wakit.worker.messages import Traffic


@dataclass(slots=True)
class Way:
    """One direction.

    Attributes:
        carried: Bytes so far.
        on_line: When the last byte passed on the web socket; media says nothing about that. None before the first.
    """

    carried: int = 0
    on_line: float | None = None

    def forgive(self, seconds: float, now: float) -> None:
        """Take back so much silence of the web socket."""
        if self.on_line is not None:
            self.on_line = min(self.on_line + seconds, now)


class Meter:
    """The traffic of one session.

    Attributes:
        received: What WhatsApp said.
        sent: What the client said.

    Args:
        clock: Monotonic seconds.

    Example:
        >>> meter = Meter(clock=lambda: 7.0)
        >>> meter.counter(meter.sent, line=True)(120)
        >>> meter.news(), meter.news()
        (Traffic(received=0, sent=120, last_byte=7.0, heard_at=None, spoke_at=7.0), None)
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.received: Final = Way()
        self.sent: Final = Way()
        self._clock = clock
        self._last_byte: float | None = None
        self._fresh = False

    def counter(self, way: Way, *, line: bool) -> Callable[[int], None]:
        """Return what a tunnel calls with the number of bytes it passed on.

        Args:
            way: In which direction.
            line: Whether the tunnel is the session's web socket.
        """

        def note(count: int) -> None:
            way.carried += count
            self._last_byte, self._fresh = self._clock(), True
            if line:
                way.on_line = self._last_byte

        return note

    def forgive(self, seconds: float) -> None:
        """Take back so much silence of the web socket: this process stood still, and what came is not read."""
        now = self._clock()
        for way in (self.received, self.sent):
            way.forgive(seconds, now)
        self._fresh = True

    def news(self) -> Traffic | None:
        """Return the traffic so far if there is something new since the last call."""
        if not self._fresh:
            return None
        self._fresh = False
        received, sent = self.received, self.sent
        return Traffic(received.carried, sent.carried, self._last_byte, received.on_line, sent.on_line)
