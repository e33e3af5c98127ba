"""The journal as the reconciler's ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wakit.control.schemas import EventInfo, JournalInfo
from wakit.core.records import DeclarationRecord, EventRecord
from wakit.core.restarts import Failures, Setback
from wakit.errors import WakitError
from wakit.journal import Gap, Journal, Limits
from wakit.reconciler.ports import REPLAYED
from wakit.runtime.heard import KEPT, Heard

_BLAMED = (
    "SELECT session, max(ts) AS last FROM events WHERE kind = 'worker_exit' AND ts > CAST(? AS TIMESTAMP)"
    " AND session IS NOT NULL AND (detail->>'culprit')::BOOLEAN GROUP BY session"
)
LAST_STATES = (
    "SELECT session, arg_max(state_to, seq) AS state FROM events"
    " WHERE kind = 'state' AND session IN (SELECT unnest(string_split(?, ' '))) GROUP BY session"
)
_NEWEST_STATES = (
    "SELECT session, arg_max(state_to, seq) AS state FROM events WHERE kind = 'state' AND session IS NOT NULL"
    " AND state_to IS NOT NULL GROUP BY session ORDER BY max(seq) DESC LIMIT ?"
)
SETBACKS = """
WITH later AS (
    SELECT seq, ts, session, kind, state_to, coalesce(code, '') AS code, reason,
        (detail->>'failures')::INTEGER AS failures
    FROM events
    WHERE session IS NOT NULL AND kind IN ('state', 'try_failed')
        AND seq > coalesce((SELECT max(seq) FROM events WHERE kind = 'daemon_stop'), 0)
)
SELECT
    session,
    arg_max(state_to || code, seq) FILTER (kind = 'state') AS newest,
    arg_max(reason, seq) FILTER (kind = 'state') AS reason,
    max(ts) FILTER (kind = 'state') AS since,
    max(seq) FILTER (kind = 'try_failed') AS failed,
    max(seq) FILTER (state_to = 'connected') AS connected,
    arg_max(failures, seq) FILTER (kind = 'try_failed') AS counted,
    list(ts ORDER BY seq) FILTER (kind = 'try_failed') AS tries
FROM later
GROUP BY session
HAVING failed IS NOT NULL AND since IS NOT NULL
"""
_GAVE_UP = "failedrestarts"
_RECENT = "SELECT * FROM (SELECT * FROM events WHERE seq > ? ORDER BY seq DESC LIMIT ?) ORDER BY seq"


class JournalLedger:
    """Fulfils :class:`wakit.reconciler.ports.Ledger`.

    Args:
        journal: Nobody else logs states to it.
        kept: How many sessions' last states are kept in memory; of others the journal is asked.
    """

    def __init__(self, journal: Journal, *, kept: int = KEPT) -> None:
        self._journal = journal
        self._last = journal.health.durable_seq
        self._kept = kept
        self._heard = Heard(kept)
        self._looked = False

    def log(self, record: EventRecord) -> int:
        """Take an event at once."""
        self._last = self._journal.log(record)
        if record.kind == "state" and record.session is not None and record.state_to is not None:
            self._heard.note(record.session, record.state_to)
        return self._last

    async def declare(self, record: DeclarationRecord) -> int:
        """Keep a declaration; it is durable with the next event."""
        return self._journal.declare(record)

    def text_before(self, sha256: str) -> str | None:
        """Return the text of the newest declaration of earlier runs that has another checksum."""
        return self._journal.text_before(sha256)

    def continues(self, sha256: str) -> bool:
        """Return whether the newest declaration of earlier runs has this checksum."""
        return self._journal.continues(sha256)

    async def blamed_since(self, moment: datetime) -> dict[str, datetime]:
        """Return who crashed a worker alone after it had in company, and when last."""
        try:
            table = await self._journal.query(_BLAMED, params=[moment.astimezone(UTC).replace(tzinfo=None).isoformat()])
        except WakitError:  # a daemon that does not know it starts all the same
            return {}
        return {row["session"]: row["last"].replace(tzinfo=UTC) for row in table.to_pylist()}

    async def last_states(self, names: Collection[str]) -> Mapping[str, str]:
        """Return in which state each of these sessions was when last heard of."""
        try:
            if not self._looked:
                await self._look_back()
            found = self._heard.known(names)
            if missing := self._heard.missing(names):
                table = await self._journal.query(LAST_STATES, params=[" ".join(sorted(missing))])
                found |= {row["session"]: row["state"] for row in table.to_pylist()}
        except WakitError:  # then nothing else is known of them
            return self._heard.known(names)
        # What was logged while the journal answered is newer.
        return found | self._heard.known(names)

    async def _look_back(self) -> None:
        """Learn, once, what the journal knows of the sessions heard of last."""
        table = await self._journal.query(_NEWEST_STATES, params=[self._kept + 1])
        newest = [(row["session"], row["state"]) for row in table.to_pylist()]
        self._heard.learn(dict(reversed(newest[: self._kept])), complete=len(newest) <= self._kept)
        self._looked = True

    async def setbacks(self) -> Mapping[str, Setback]:
        """Return what a daemon that did not end in order left of the sessions' tries."""
        try:
            table = await self._journal.query(SETBACKS)
        except WakitError:  # then everybody has a new budget
            return {}
        return {row["session"]: setback_of(row) for row in table.to_pylist()}

    def last_healthy(self) -> Mapping[str, datetime]:
        """Return when each session was last known to be connected in earlier runs."""
        return self._journal.last_healthy()

    async def events(self) -> AsyncIterator[EventInfo | tuple[int, int]]:
        """Stream durable events from now on."""
        with self._journal.subscribe(capacity=10_000) as subscription:
            async for item in subscription:
                if isinstance(item, Gap):
                    yield item.first, item.last
                else:
                    yield _info(item.seq, item.record)

    async def events_since(self, seq: int) -> list[EventInfo]:
        """Return the durable events after ``seq``, the newest :data:`REPLAYED` if there are more."""
        table = await self._journal.query(_RECENT, params=[seq, REPLAYED])
        # In a thread: ten thousand rows would hold up every session for a good while.
        return await asyncio.to_thread(lambda: [EventInfo.of_row(row) for row in table.to_pylist()])

    async def query(self, sql: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        """Run one read-only SELECT."""
        limits = Limits(timeout=seconds, max_rows=max_rows)
        return await self._journal.query_ipc(sql, params=list(params) if params is not None else None, limits=limits)

    def standing(self, since: int) -> JournalInfo:
        """Return what is durable, with the events after the number ``since``."""
        standing = self._journal.standing(since)
        events = standing.events
        return JournalInfo(
            opening=standing.opening,
            seq=standing.seq,
            rev=standing.rev,
            pulses={run: at.replace(tzinfo=UTC) for run, at in standing.pulses.items()},
            events=None if events is None else [_info(event.seq, event.record) for event in events],
        )

    def last_seq(self) -> int:
        """Return the number of the newest event."""
        return self._last

    def healthy(self) -> bool:
        """Return False while events cannot be made durable."""
        return self._journal.health.ok

    def stuck(self) -> int:
        """Return how many queries were told to stop and still run."""
        return self._journal.health.stuck

    def pending(self) -> int:
        """Return how many events are not durable yet."""
        return self._journal.health.pending


def setback_of(row: dict[str, Any]) -> Setback:
    """Return what a row of :data:`SETBACKS` says."""
    # Whoever was connected after its newest failure was well; an older one may still be within the window.
    counted = row["counted"] if row["failed"] > (row["connected"] or 0) else 0
    failed_at = tuple(moment.replace(tzinfo=UTC) for moment in row["tries"][len(row["tries"]) - counted :])
    gave_up = row["reason"] if row["newest"] == _GAVE_UP else ""
    return Setback(Failures(failed_at), gave_up, row["since"].replace(tzinfo=UTC))


def _info(seq: int, record: EventRecord) -> EventInfo:
    return EventInfo(
        seq=seq,
        ts=record.ts,
        session=record.session,
        kind=record.kind,
        state_from=record.state_from,
        state_to=record.state_to,
        reason=record.reason or None,
        code=record.code,
        detail=dict(record.detail) or None,
        worker_pid=record.worker_pid,
        run_id=record.run_id,
        declaration_rev=record.declaration_rev,
        git_commit=record.git_commit,
        git_branch=record.git_branch,
    )
