"""Which small workers become one, and when: the way back from a crash, or from a fleet that was larger once.

Nobody boards a running worker, so workers are not filled up: several small ones give their sessions to a new one, one
session after the other, and end. A session is out of service for the moment it takes to log in again, so this is done
only where it pays (a worker costs some 23 MB), and only while nothing is wrong: whoever went through a crash has been
connected for :data:`PROVED` since, nobody in the fleet is in trouble, and a culprit stays alone for
:data:`BLAMED_FOR`.

It ends by itself. Each merger makes workers fewer, and a division by :func:`wakit.core.placement.assign` leaves nothing
to merge. One that did not bring everybody (a client that does not stop ends its worker, and all aboard with it) has
cost more than it saved, so the next one waits longer each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from wakit.core.placement import most_aboard

PROVED: Final = timedelta(minutes=10)
"""How long everybody concerned must have been connected, and the fleet without a crash."""

BLAMED_FOR: Final = timedelta(hours=24)
"""How long the culprit of a crash has its worker to itself."""

PAUSE: Final = timedelta(minutes=1)
"""From the end of one merger to the next."""

SETBACK: Final = timedelta(hours=1)
"""From a merger that did not bring everybody to the next; twice as long after each that follows, a day at most."""

_MOVES_FOR_A_WORKER: Final = 16  # so many may be interrupted for a moment to save one worker
_LONGEST_PAUSE: Final = timedelta(days=1)
_SHARE_IN_TROUBLE: Final = 10  # one in so many in trouble, however long already, is an incident


@dataclass(frozen=True, slots=True)
class Aboard:
    """A running session, as far as it matters here.

    Attributes:
        session: Its name.
        worker: Which worker it is aboard of.
        connected_since: Since when it is connected, or None if it is not, or something else is to be done with it.
        blamed_at: When it was found to be the culprit of a crash, or None.
    """

    session: str
    worker: str
    connected_since: datetime | None
    blamed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """How the fleet is.

    Attributes:
        busy: An action is under way, the plan has one, or nobody gets through to WhatsApp.
        crashed_at: When a worker crashed last, or None.
        running: How many sessions have a worker.
        troubled_since: Since when each session that should be connected and is not is so.
    """

    busy: bool = False
    crashed_at: datetime | None = None
    running: int = 0
    troubled_since: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Merger:
    """Workers whose sessions go into a new one, in this order."""

    workers: tuple[str, ...]
    sessions: tuple[str, ...]


def disturbed(situation: Situation, now: datetime) -> str:
    """Say why nobody is moved now, or "".

    A session that has been in trouble for long, alone, is no reason: in a fleet of hundreds there always is one.

    Example:
        >>> disturbed(Situation(busy=True), datetime(2026, 1, 1))
        'an action is under way'
    """
    if situation.busy:
        return "an action is under way"
    if situation.crashed_at is not None and now - situation.crashed_at < PROVED:
        return "a worker crashed not long ago"
    troubled = situation.troubled_since
    if any(now - since < PROVED for since in troubled):
        return "a session lost its connection not long ago"
    if len(troubled) > 1 and len(troubled) * _SHARE_IN_TROUBLE > situation.running:
        return f"{len(troubled)} sessions are not connected"
    return ""


def pause(setbacks: int) -> timedelta:
    """Return how long to wait from the end of one merger to the next.

    Args:
        setbacks: How many mergers in a row did not bring everybody, the last one included.

    Example:
        >>> [pause(setbacks).total_seconds() / 60 for setbacks in (0, 1, 2, 3, 300)]
        [1.0, 60.0, 120.0, 240.0, 1440.0]
    """
    if not setbacks:
        return PAUSE
    return min(SETBACK * (1 << min(setbacks - 1, 10)), _LONGEST_PAUSE)


def is_blamed(blamed_at: datetime | None, now: datetime) -> bool:
    """Tell whether a session is still to be kept alone."""
    return blamed_at is not None and now - blamed_at < BLAMED_FOR


def merge(aboard: Sequence[Aboard], *, setting: int | Literal["auto"], now: datetime) -> Merger | None:
    """Choose the workers that become one, or None if it does not pay or somebody has not proved itself.

    Args:
        aboard: Every running paired session.
        setting: ``sessions_per_worker``.
        now: The present moment.

    Example:
        >>> then, now = datetime(2026, 1, 1), datetime(2026, 1, 2)
        >>> few = [Aboard("a", "1", then), Aboard("b", "2", then), Aboard("c", "3", None)]
        >>> merge(few, setting=4, now=now)
        Merger(workers=('1', '2'), sessions=('a', 'b'))
        >>> merge(few, setting="auto", now=now)  # so few have a worker each
    """
    limit = most_aboard(len(aboard), setting)
    crews: defaultdict[str, list[Aboard]] = defaultdict(list)
    for each in aboard:
        crews[each.worker].append(each)
    proved = [crew for crew in crews.values() if all(_has_proved_itself(each, now) for each in crew)]
    proved.sort(key=lambda crew: (len(crew), crew[0].worker))
    chosen: list[list[Aboard]] = []
    best: list[list[Aboard]] = []
    moved = 0
    for crew in proved:
        moved += len(crew)
        if moved > limit:
            break
        chosen.append(crew)
        if len(chosen) > 1 and moved <= _MOVES_FOR_A_WORKER * (len(chosen) - 1):
            best = list(chosen)
    if not best:
        return None
    return Merger(tuple(crew[0].worker for crew in best), tuple(each.session for crew in best for each in crew))


def _has_proved_itself(each: Aboard, now: datetime) -> bool:
    since = each.connected_since
    return since is not None and now - since >= PROVED and not is_blamed(each.blamed_at, now)
