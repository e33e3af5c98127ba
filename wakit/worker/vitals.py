"""A worker's vitals: since when it lives, when it was heard last, and what its heartbeats say of its sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from wakit.whatsapp.port import Pulse
from wakit.worker.messages import Heartbeat, Traffic


class Vitals:
    """Those of one worker.

    Attributes:
        started_at: When it said hello, or was ordered to start until then (UTC).
        heard_at: When the last bytes of any kind came (UTC).

    Args:
        now: Wall-clock time (UTC).
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.started_at = self.heard_at = now()
        self._traffic: dict[str, Traffic] = {}
        self._beat_at, self._beaten_at = 0.0, self.started_at  # the newest heartbeat: by its clock, and by ours

    def started(self) -> None:
        """It said hello just now."""
        self.started_at = self._now()

    def heard(self) -> None:
        """Bytes came from it just now."""
        self.heard_at = self._now()

    def beat(self, beat: Heartbeat) -> dict[str, Pulse]:
        """Take a heartbeat; return the pulse of each session that ever had one."""
        heard = {session for session, new in beat.sessions.items() if new.received > self._received(session)}
        self._traffic |= beat.sessions
        self._beat_at, self._beaten_at = beat.at, self.heard_at
        return {
            session: Pulse(
                unheard_for=_since(traffic.heard_at, beat.at),
                unsent_for=_since(traffic.spoke_at, beat.at),
                fresh=session in beat.sessions,
                heard=session in heard,
            )
            for session, traffic in self._traffic.items()
        }

    def _received(self, session: str) -> int:
        known = self._traffic.get(session)
        return known.received if known is not None else 0

    def last_byte(self, session: str) -> datetime | None:
        """Return when a byte passed last; the worker's clock as of its newest heartbeat is all that is known of it."""
        traffic = self._traffic.get(session)
        if traffic is None or (silent_for := _since(traffic.last_byte, self._beat_at)) is None:
            return None
        return self._beaten_at - timedelta(seconds=silent_for)


def _since(moment: float | None, now: float) -> float | None:
    return None if moment is None else max(0.0, now - moment)
