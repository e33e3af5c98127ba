"""The journal as the daemon uses it: log without waiting, wait where it matters, ask, listen, close.

Logging never waits for the disk: an event gets its number and is left for the journal's thread
(:mod:`wakit.journal.writer`). Who must know that it will survive a crash waits for the number
(:meth:`Journal.acked`). Questions run on connections and threads of their own (:mod:`wakit.journal.readers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from wakit.core.records import DeclarationRecord, EventRecord
from wakit.errors import QueryError
from wakit.journal.acks import Waiter
from wakit.journal.guard import Guard
from wakit.journal.health import Health
from wakit.journal.ledger import utc
from wakit.journal.live import Numbered, Subscription
from wakit.journal.queries import Interruption, Limits, Parameters, Query, to_ipc, too_slow
from wakit.journal.standing import Standing
from wakit.journal.writer import Writer

DEFAULT_LIMITS: Final = Limits()
_AT_ONCE: Final = 2  # queries, as many as there are connections for them
_NOTICE: Final = 0.5  # seconds a query has to notice that its time is up

_FORGET_EVENTS: Final = """
DELETE FROM events
WHERE ts < ?
    AND seq <> (SELECT max(seq) FROM events)
    AND seq NOT IN (SELECT max(seq) FROM events WHERE kind = 'state' AND ts < ? GROUP BY session)
"""
_FORGET_DECLARATIONS: Final = """
DELETE FROM declarations
WHERE loaded_at < ?
    AND rev NOT IN (SELECT rev FROM declarations ORDER BY rev DESC LIMIT 2)
    AND rev NOT IN (SELECT declaration_rev FROM events WHERE declaration_rev IS NOT NULL)
"""
_FORGET_PULSES: Final = "DELETE FROM pulses WHERE run_id NOT IN (SELECT run_id FROM events)"


@dataclass(frozen=True, slots=True)
class JournalOptions:
    """How a journal behaves.

    Args:
        strict: Raise on a text with the shape of a secret instead of masking it; for tests.
        max_backlog_bytes: Memory for events the disk does not take; beyond it they are counted and lost.
        pulse_every: Seconds between two signs of life of an idle run; bounds what a crash can take off the uptime.
        patience: Seconds :meth:`Journal.close` keeps trying if the disk does not take what is left.
    """

    strict: bool = False
    max_backlog_bytes: int = 64 * 1024 * 1024
    pulse_every: float = 30.0
    patience: float = 2.0


def _now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """The one door to ``journal.duckdb`` while the daemon runs. Use :meth:`open`.

    Example:
        >>> async def example(path, record):
        ...     async with Journal.open(path) as journal:
        ...         seq = journal.log(record)  # microseconds
        ...         await journal.acked(seq)  # milliseconds: it survives a crash now
        ...         return await journal.query("SELECT session, state FROM sessions_now")
    """

    def __init__(self, writer: Writer, guard: Guard, patience: float) -> None:
        self._writer = writer
        self._guard = guard
        self._patience = patience
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def open(
        cls, path: Path, *, clock: Callable[[], datetime] = _now, options: JournalOptions | None = None
    ) -> Journal:
        """Open the journal, creating or migrating the file; blocks for some tens of milliseconds.

        Args:
            path: ``journal.duckdb``; its folder exists. A singleton is the caller's to ensure (a ``flock`` on another
                file), and nothing in this process may open the file by other means.
            clock: Gives aware datetimes.
            options: See :class:`JournalOptions`.

        Raises:
            HeldError: Another process has the file open.
            JournalError: The file is damaged, is no journal, or was written by a newer wakit.
        """
        chosen = options or JournalOptions()
        writer = Writer(path, clock, max_backlog_bytes=chosen.max_backlog_bytes, pulse_every=chosen.pulse_every)
        return cls(writer, Guard(strict=chosen.strict), chosen.patience)

    def log(self, record: EventRecord) -> int:
        """Number an event and return at once; it becomes durable within milliseconds.

        Numbers rise strictly, over restarts and crashes too. May be called from any thread.

        Raises:
            JournalError: The journal is closed.
            ValueError: The journal is strict, and the record holds what has the shape of a secret.
        """
        return self._writer.log(self._guard.event(record))

    def declare(self, record: DeclarationRecord) -> int:
        """Note that a declaration came into force and return its revision at once.

        The same ``sha256`` as the newest one's is the same revision. It is written in its turn among the events, so it
        is durable whenever a later event is.

        Raises:
            JournalError: The journal is closed.
        """
        return self._writer.declare(self._guard.declaration(record))

    def text_before(self, sha256: str) -> str | None:
        """Return the text of the newest declaration of earlier runs that has another checksum."""
        return next((text for known, text in self._writer.earlier if known != sha256), None)

    def continues(self, sha256: str) -> bool:
        """Return whether the newest declaration of earlier runs has this checksum."""
        return [known for known, _ in self._writer.earlier[:1]] == [sha256]

    def last_healthy(self) -> dict[str, datetime]:
        """Return when each session was last known to be connected in earlier runs (UTC)."""
        return self._writer.last_healthy

    async def acked(self, seq: int) -> None:
        """Wait until the event ``seq`` is durable.

        Raises:
            JournalError: It was lost: the disk did not take it for too long, or until the journal was closed.
            ValueError: No event has that number.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._writer.when_durable(seq, Waiter(loop, done)):
            await done

    async def log_durably(self, record: EventRecord) -> int:
        """Log an event, wait until it is durable, and return its number.

        Raises:
            JournalError, ValueError: As :meth:`log` and :meth:`acked`.
        """
        seq = self.log(record)
        await self.acked(seq)
        return seq

    def subscribe(self, capacity: int = 1024) -> Subscription:
        """Listen to what becomes durable from now on; call it on the event loop that listens.

        Args:
            capacity: How many events wait for a slow listener before it is given a :class:`Gap` instead.

        Raises:
            JournalError: The journal is closed.
        """
        subscription = Subscription(capacity, asyncio.get_running_loop())
        self._writer.subscribe(subscription)
        return subscription

    def standing(self, since: int) -> Standing[Numbered]:
        """Return what is durable, from memory: the newest numbers, and the events after the number ``since``."""
        return self._writer.standing(since)

    async def query(self, sql: str, *, params: Parameters = None, limits: Limits = DEFAULT_LIMITS) -> pa.Table:
        """Run one reading statement of a user and return its result.

        Logging goes on meanwhile. Cancelling stops the query.

        Args:
            sql: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN.
            params: For ``$1``, ``?`` or ``$name``: plain values only.
            limits: Time, rows and bytes.

        Raises:
            QueryError: It was refused, is wrong, or went over a limit.
        """
        interruption, readers = Interruption(limits.timeout), self._writer.readers
        try:
            async with asyncio.timeout(limits.timeout + _NOTICE), self._turns:
                return await asyncio.wrap_future(readers.start(Query(sql, params, limits), interruption))
        except TimeoutError:  # its turn did not come, or DuckDB does not notice that it was stopped
            interruption.stop(too_slow(limits.timeout))
            readers.give_up(interruption)
            raise too_slow(limits.timeout) from None
        except asyncio.CancelledError:
            interruption.stop(QueryError("The query was cut off", why="nobody waits for it any more"))
            raise

    async def query_ipc(self, sql: str, *, params: Parameters = None, limits: Limits = DEFAULT_LIMITS) -> bytes:
        """Run a query (:meth:`query`) and return its result as an Arrow IPC stream, for the control socket."""
        return to_ipc(await self.query(sql, params=params, limits=limits))

    async def prune(self, before: datetime) -> int:
        """Forget events from before a time and return how many; what present answers rest on is kept.

        Kept are each session's state at that time, the newest event (its number is never given again), the declarations
        that remaining events name, and the two newest ones (:meth:`text_before`).

        Args:
            before: Timezone-aware.

        Raises:
            JournalError: The disk did not take it, or the journal is closed.
        """
        cut = utc(before)
        forgotten = await asyncio.wrap_future(self._writer.errand((_FORGET_EVENTS, [cut, cut])))
        await asyncio.wrap_future(self._writer.errand((_FORGET_DECLARATIONS, [cut]), (_FORGET_PULSES, [])))
        return int(forgotten)

    @property
    def health(self) -> Health:
        """How the journal is doing: shown in ``wakit status``, ``wakit doctor``, ``/readyz`` and ``/metrics``."""
        return self._writer.health()

    @property
    def masked(self) -> int:
        """How many texts with the shape of a secret were masked since the journal was opened."""
        return self._guard.masked

    async def close(self) -> None:
        """Stop queries, write what is left, and close the file. Await it before the process ends.

        Raises:
            JournalError: Something could not be written.
        """
        try:
            await asyncio.to_thread(self._writer.close, self._patience)
        finally:
            await asyncio.to_thread(self._writer.readers.join)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
