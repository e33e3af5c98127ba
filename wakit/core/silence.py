"""Connections that carry nothing any more: when a deaf session's client is replaced, and whether alone.

A client whose line is dead does not come back by itself for minutes, and one whose line lives only has to be asked
again: the library pings every 20 to 30 s. After an outage of the network there are both kinds, and by then a dead line
is known by its silence: whoever lives shows it with the next ping. So those that stay silent are replaced together, and
the others are left alone.

Pure: moments are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wakit.core.health import PING_ANSWER, PING_EVERY, STANDSTILL

TOLD_WITHIN: Final = timedelta(seconds=PING_EVERY + PING_ANSWER + 5.0)
"""So long after its last byte every dead line was told to be one; the last seconds are a heartbeat's."""

UNANSWERED: Final = timedelta(seconds=PING_ANSWER - STANDSTILL)
"""For so long at least nothing came on a line that is told to be deaf."""

# Two heartbeats: what came before a login of somebody else is known by then.
_CHANCE: Final = timedelta(seconds=10)
# A server that is slow, or drops everybody, is not helped by new connections: they would go deaf as well.
_AGAIN: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Over:
    """How an outage of the network ended.

    Attributes:
        since: When it began.
        at: When it was over.
        dialled: A new connection got through; else an old one carried bytes again, which may be true of others.
    """

    since: datetime
    at: datetime
    dialled: bool


@dataclass(frozen=True, slots=True)
class Deaf:
    """A session that is connected and hears nothing.

    Attributes:
        since: When that was told.
        heard_at: When something came on its line last.
        replaced_at: When its client was replaced last for that, None if never.
    """

    since: datetime
    heard_at: datetime | None = None
    replaced_at: datetime | None = None

    @property
    def helped_by_another(self) -> bool:
        """Whether a new connection is likely to hear more: this one is silent, and is not such a one itself."""
        silent = self.heard_at is None or self.heard_at <= self.since
        return silent and (self.replaced_at is None or self.since - self.replaced_at >= _AGAIN)


@dataclass(frozen=True, slots=True)
class Cure:
    """When a deaf session's client is replaced if it does not recover.

    Attributes:
        at: The moment.
        together: With all others that fell silent in the same outage; else alone.
    """

    at: datetime
    together: bool


def cure(deaf: Deaf, over: Over | None, restart_after: timedelta) -> Cure:
    """Say when a deaf session's client is replaced.

    Args:
        deaf: The session.
        over: The last outage of the network that ended.
        restart_after: ``[health] restart_after``, which holds for whoever is deaf for a reason of its own.

    Example:
        >>> from datetime import UTC
        >>> noon, second = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(seconds=1)
        >>> (cure(Deaf(noon), None, 60 * second).at - noon).total_seconds()
        60.0
        >>> found = cure(Deaf(noon), Over(noon - 13 * second, noon + 20 * second, dialled=True), 60 * second)
        >>> found.together, (found.at - noon).total_seconds()
        (True, 32.0)
    """
    own = deaf.since + restart_after
    if over is None or not (deaf.since <= over.at or (deaf.heard_at is not None and deaf.heard_at <= over.at)):
        return Cure(own, together=False)
    if not deaf.helped_by_another:
        return Cure(max(own, over.at + TOLD_WITHIN), together=False)
    if over.dialled:
        # By then all who fell silent with it are known, so they come back at one moment.
        return Cure(max(over.at + _CHANCE, over.since + TOLD_WITHIN, deaf.since), together=True)
    return Cure(max(over.at + TOLD_WITHIN, deaf.since), together=True)
