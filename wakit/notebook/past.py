"""The last hour of each session, minute by minute: what the board's strips show, and what they say.

One question to the journal when a board is first made, and again after a broken stream or a gap; in between, the live
stream's own events carry it on. So a strip costs the daemon nothing, and however often a session changes, its hour has
sixty minutes. What counts as down is what the journal's view ``incidents`` counts: a session that only waits for its
first pairing misses nothing yet, and one that is parked is not missed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wakit.control.schemas import EventInfo, SessionInfo
from wakit.core.lifecycle import State
from wakit.notebook.plots.palette import OFF, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

NONE: Final = "none"  # no daemon ran, or nothing is known
MINUTES: Final = 60
_MINUTE: Final = 60_000  # ms
_STATES: Final = frozenset(State)
_MISSED: Final = frozenset({"connected", "disconnected", "failed"})  # whoever was one of these is missed until parked
_RANK: Final = {NONE: 0, OFF: 1, "connected": 2, "pending": 3, "disconnected": 4, "failed": 5}

# The changes of state since a moment, and whether a daemon was started since. Rows lie in the order of time, so DuckDB
# reads only the end of the table, however long it is.
RECENT: Final = """
    SELECT seq, epoch_ms(ts) AS at, session, state_from AS was, state_to AS state, run_id
    FROM events
    WHERE ts >= CAST(? AS TIMESTAMP) AND kind IN ('state', 'daemon_start')
    ORDER BY seq
"""
# For an hour in which one was: also what each session was before, and (without a session) how the runs ended that saw
# it, because a state ends with the daemon that saw it. This reads some columns of the whole table.
EARLIER: Final = """
    WITH states AS (
        SELECT seq, ts, session, state_to, run_id FROM events WHERE kind = 'state'
    ),
    before AS (
        SELECT max(seq) AS seq FROM states WHERE ts < CAST(? AS TIMESTAMP) GROUP BY session
    ),
    told AS (
        SELECT * FROM states WHERE ts >= CAST(? AS TIMESTAMP) OR seq IN (SELECT seq FROM before)
    )
    SELECT seq, epoch_ms(ts) AS at, session, NULL AS was, state_to AS state, run_id FROM told
    UNION ALL
    SELECT last_seq, epoch_ms(seen_at), NULL, NULL, NULL, run_id FROM runs
    WHERE NOT open AND run_id IN (SELECT run_id FROM told)
    ORDER BY seq, session NULLS LAST
"""


class Minute(NamedTuple):
    """What a session was in one minute.

    Args:
        minute: Minutes since 1970.
        worst: The worst kind it was: a status, ``"off"`` or ``"none"``.
        down: Milliseconds it was down.
        losses: How often it went down.
    """

    minute: int
    worst: str
    down: int
    losses: int


@dataclass(frozen=True, slots=True)
class Hour:
    """A session's last hour, up to ``at``; what it is then goes on until somebody says otherwise.

    Attributes:
        kind: What it is: a status, ``"off"`` or ``"none"``.
        at: Up to when it was counted, in milliseconds since 1970.
        troubled: It is missed: waiting counts as down.
        minutes: The counted ones, oldest first, at most sixty.
        run: The run of the daemon that saw it.
    """

    kind: str
    at: int
    troubled: bool = False
    minutes: tuple[Minute, ...] = ()
    run: str | None = None

    @property
    def down(self) -> bool:
        """Whether it is down, as the journal counts it."""
        return self.kind in {"disconnected", "failed"} or (self.troubled and self.kind in {"pending", NONE})


def step(hour: Hour, at: int, kind: str) -> Hour:
    """Return the hour after the session became ``kind`` at a moment; one before what was counted is taken as now.

    Example:
        >>> lost = step(step(Hour("none", 0), 60_000, "connected"), 90_000, "disconnected")
        >>> [(each.minute, each.down, each.losses) for each in step(lost, 150_000, "connected").minutes[1:]]
        [(1, 30000, 1), (2, 30000, 0)]
    """
    at = max(at, hour.at)
    minutes = {each.minute: each for each in hour.minutes}
    last = at // _MINUTE
    first = max(hour.at // _MINUTE, last - MINUTES + 1)
    for minute in range(first, last + 1):
        spent = min(at, (minute + 1) * _MINUTE) - max(hour.at, minute * _MINUTE)
        was = minutes.get(minute, Minute(minute, NONE, 0, 0))
        minutes[minute] = was._replace(worst=_worse(was.worst, hour.kind), down=was.down + hour.down * max(0, spent))
    troubled = kind in _MISSED or (hour.troubled and kind != OFF)
    after = replace(hour, kind=kind, at=at, troubled=troubled)
    now = minutes[last]
    minutes[last] = now._replace(worst=_worse(now.worst, kind), losses=now.losses + (after.down and not hour.down))
    kept = tuple(each for each in minutes.values() if each.minute > last - MINUTES)
    return replace(after, minutes=kept)


class Past:
    """The hours of all sessions, by name. Written in the link's thread; a copy may be read in any."""

    def __init__(self) -> None:
        self.hours: Mapping[str, Hour] = {}
        self._seq = 0
        self._meanwhile: list[EventInfo] | None = None

    def asked(self) -> None:
        """Note that the journal is being asked: what happens meanwhile may or may not be in its answer."""
        self._meanwhile = []

    def answered(self, rows: Sequence[Mapping[str, Any]], since: datetime, sessions: Iterable[SessionInfo]) -> None:
        """Begin anew with the journal's answer, or without one.

        Args:
            rows: What :func:`recall` gives.
            since: Where the hour begins.
            sessions: As they are: each has been so since it says so, whether the journal tells it or not.
        """
        hours = _told_by(rows, _ms(since))
        self._seq = max((row["seq"] for row in rows), default=0)
        for session in sessions:
            known = hours.get(session.name)
            if known is None or known.kind == NONE:
                _tell(hours, session.name, _ms(session.since), session.state, None)
        self.hours = hours
        meanwhile, self._meanwhile = self._meanwhile or (), None
        for event in meanwhile:
            self.happened(event)

    def happened(self, event: EventInfo) -> None:
        """Carry the hours on with a change of state; one that the answer had is nothing new."""
        if event.kind != "state" or event.session is None or event.state_to is None:
            return
        if self._meanwhile is not None:
            self._meanwhile.append(event)
            return
        if event.seq <= self._seq:
            return
        self._seq = event.seq
        hours = dict(self.hours)
        _tell(hours, event.session, _ms(event.ts), event.state_to, event.run_id)
        self.hours = hours

    def lost(self, now: datetime) -> None:
        """Note that nothing is known from now on: the daemon does not answer."""
        self.hours = {name: step(hour, _ms(now), NONE) for name, hour in self.hours.items()}


async def recall(ask: Callable[[str, list[Any]], Awaitable[pa.Table]], since: datetime) -> list[dict[str, Any]]:
    """Ask the journal what happened since a moment.

    Args:
        ask: Runs SQL on the daemon's journal, given the query and its parameters.
        since: Where the hour begins, as :func:`hour_before` gives it.
    """
    moment = since.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    rows: list[dict[str, Any]] = (await ask(RECENT, [moment])).to_pylist()
    if any(row["session"] is None for row in rows):
        rows = (await ask(EARLIER, [moment, moment])).to_pylist()
    return rows


def hour_before(now: datetime) -> datetime:
    """Return where the hour begins that ends with the minute under way."""
    return datetime.fromtimestamp((_ms(now) // _MINUTE - MINUTES + 1) * 60, UTC)


def news(old: Mapping[str, Hour], new: Mapping[str, Hour]) -> dict[str, Any]:
    """Give the browser's view of what changed between two states of :attr:`Past.hours`, by session."""
    return {name: _told(old.get(name), hour) for name, hour in new.items() if old.get(name) is not hour}


def _told(old: Hour | None, hour: Hour) -> dict[str, Any]:
    # An hour that was carried on agrees with what it was in all but the last minute of that, which went on to count.
    settled = {each for each in (old.minutes[:-1] if old else ()) if each.minute >= hour.minutes[0].minute}
    whole = not settled or not settled <= {*hour.minutes}
    minutes = hour.minutes if whole else [each for each in hour.minutes if each not in settled]
    return {"kind": hour.kind, "at": hour.at, "troubled": hour.troubled, "whole": whole, "minutes": minutes}


def _told_by(rows: Sequence[Mapping[str, Any]], since: int) -> dict[str, Hour]:
    hours: dict[str, Hour] = {}
    for row in rows:
        name = row["session"]
        if name is None:  # a run ended
            for seen, hour in hours.items():
                if hour.run == row["run_id"]:
                    hours[seen] = step(hour, row["at"], NONE)
            continue
        if name not in hours and row["was"] is not None:
            kind = _kind(row["was"])
            hours[name] = Hour(kind, since, troubled=kind in _MISSED, run=row["run_id"])
        _tell(hours, name, row["at"], row["state"], row["run_id"])
    return hours


def _tell(hours: dict[str, Hour], name: str, at: int, state: str, run: str | None) -> None:
    hours[name] = replace(step(hours.get(name) or Hour(NONE, at), at, _kind(state)), run=run)


def _kind(state: str) -> str:
    return kind_of(state) if state in _STATES else NONE  # a newer daemon may know more


def _worse(one: str, other: str) -> str:
    return max(one, other, key=_RANK.__getitem__)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
