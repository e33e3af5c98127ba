"""A copy of the journal for a notebook: local, complete, and free to be joined with anything.

The daemon answers bounded questions; the mirror asks for everything once and then for what is new. Events are only ever
added and their numbers rise, so ``seq > cursor`` is the whole protocol. It has the same tables and views, from the same
migrations, and no fences: it is the user's own DuckDB. What the daemon's journal forgets (``keep_days``) stays here.

There are two ways to what is new. SQL always goes, and costs some milliseconds a question. A look at where the journal
stands (:class:`~wakit.journal.standing.Standing`) costs one, and brings the newest events with it; but it only tells
what happened since the daemon opened the file, so it counts only after everything before was brought by SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import duckdb
import pyarrow as pa

from wakit.errors import JournalError, QueryError
from wakit.journal import schema
from wakit.journal.database import unusable
from wakit.journal.standing import Standing

Fetch: TypeAlias = Callable[[str], pa.Table]
"""Runs SQL on the daemon's journal, as ``POST /v1/sql`` does."""
Row: TypeAlias = tuple[Any, ...]
"""One event, in the order of the table's columns; its time UTC without a zone, its detail JSON text."""
Look: TypeAlias = Callable[[int], Standing[Row] | None]
"""Tells where the daemon's journal stands, as ``GET /v1/journal?since=`` does; None if nobody can be asked."""

_FIRST_BATCH: Final = 50_000
_SMALLEST_BATCH: Final = 500
_BATCH_NAME: Final = "incoming_batch"
_FORGET_PULSES: Final = f"DELETE FROM pulses WHERE run_id IN (SELECT run_id FROM {_BATCH_NAME})"  # noqa: S608 a name of ours
# One question tells whether there is anything new; most of the time there is not, or only an event or two.
_HEAD: Final = """
    SELECT (SELECT any_value(id) FROM identity) AS id, (SELECT any_value(created_at) FROM identity) AS created_at,
           (SELECT coalesce(max(seq), 0) FROM events) AS seq, (SELECT coalesce(max(rev), 0) FROM declarations) AS rev,
           (SELECT list({'run_id': run_id, 'ts': ts} ORDER BY run_id) FROM pulses) AS pulses
"""


@dataclass(frozen=True, slots=True)
class Synced:
    """What one :meth:`Mirror.sync` brought.

    Args:
        events: How many new ones.
        seq: The newest event the mirror has.
        started_over: The daemon's journal is another one than before.
    """

    events: int
    seq: int
    started_over: bool


class Mirror:
    """A local DuckDB that follows a daemon's journal; for one thread at a time.

    Args:
        fetch: Runs SQL on the daemon's journal.
        look: Tells where it stands; without it everything is asked by SQL.
        path: A file to keep the copy in; in memory if there is none.

    Raises:
        JournalError: The file cannot be used.

    Example:
        >>> def board(fetch):
        ...     with Mirror(fetch) as mirror:
        ...         mirror.sync()
        ...         return mirror.sql("SELECT session, share FROM uptime_daily").to_arrow_table()
    """

    def __init__(self, fetch: Fetch, path: Path | None = None, *, look: Look | None = None) -> None:
        self._fetch = fetch
        self._look = look
        self._batch = _FIRST_BATCH
        self._pulses: pa.StructArray | None = None  # as SQL told them last
        self._opening: str | None = None  # of which everything that came before it is here
        self._beats: Mapping[str, datetime] = {}  # its pulses that are here
        self._rev = 0
        self._seq: int | None = None  # everything up to it is here; None if the table has to be asked
        self._appender: duckdb.Appender | None = None
        try:
            self.connection = duckdb.connect(":memory:" if path is None else str(path))
        except duckdb.Error as error:
            raise unusable(path or Path("mirror"), error) from None
        schema.migrate(self.connection, datetime.now(UTC).replace(tzinfo=None))

    def sync(self) -> Synced:
        """Bring in what is new.

        Raises:
            JournalError: The daemon could not be asked; what arrived before stays.
        """
        standing = None
        if self._look is not None:
            before = self._cursor() if self._seq is None else self._seq
            standing = self._look(before)
            if standing is not None and standing.opening == self._opening and standing.events is not None:
                return self._follow_closely(standing, standing.events)
        self._opening = None
        synced = self._ask()
        if standing is not None:
            self._opening, self._beats = standing.opening, standing.pulses
        return synced

    def _follow_closely(self, standing: Standing[Row], events: Sequence[Row]) -> Synced:
        """Bring in what a look has told."""
        if events:
            self._append(events)
        self._seq = standing.seq
        if self._rev < standing.rev:
            self._declare(standing.rev)
        for run_id, at in standing.pulses.items():
            if self._beats.get(run_id) != at:
                self._insert("pulses", pa.table({"run_id": [run_id], "ts": [at]}), first=_FORGET_PULSES)
        self._beats = standing.pulses
        return Synced(len(events), standing.seq, started_over=False)

    def _ask(self) -> Synced:
        """Bring in what is new by SQL."""
        self._seq = None
        head = self._fetch(_HEAD)
        newest, revision = head.column("seq")[0].as_py(), head.column("rev")[0].as_py()
        started_over = self._follow(head.select(["id", "created_at"]), newest)
        new = 0
        while (cursor := self._cursor()) < newest:
            batch = self._next_events(cursor)
            self._insert("events", batch)
            new += batch.num_rows
            if batch.num_rows < self._batch:
                break
        self._declare(revision)
        pulses = head.column("pulses").combine_chunks().flatten()
        if self._pulses is None or not pulses.equals(self._pulses):
            batch = pa.Table.from_struct_array(pulses)
            self._insert("pulses", batch, first=_FORGET_PULSES)
            self._pulses = pulses
        self._seq = self._cursor()
        return Synced(new, self._seq, started_over)

    def sql(self, query: str, **options: Any) -> duckdb.DuckDBPyRelation:
        """Return a DuckDB relation over the copy, to be joined, plotted or shown."""
        return self.connection.sql(query, **options)

    def close(self) -> None:
        """Close the copy."""
        self._appender = None
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self, identity: pa.Table, newest: int) -> bool:
        """Begin anew if the daemon's journal is not the one this is a copy of, or an older state of it; True if so."""
        if identity.column("id")[0].as_py() is None:
            raise JournalError(
                "The journal cannot be mirrored", why="it has no identity", hint="is it a wakit journal?"
            )
        theirs = identity.column("id")[0].as_py()
        ours = self.connection.execute("SELECT id FROM identity").fetchall()
        if ours == [(theirs,)] and self._cursor() <= newest:
            return False
        for table in ("events", "declarations", "pulses", "identity"):
            self.connection.execute(f"DELETE FROM {table}")  # noqa: S608 names of ours
        self._insert("identity", identity)
        self._pulses = None
        return bool(ours)

    def _next_events(self, cursor: int) -> pa.Table:
        """Fetch the next events; in smaller portions if the daemon finds them too large."""
        while True:
            try:
                return self._fetch(f"SELECT * FROM events WHERE seq > {cursor} ORDER BY seq LIMIT {self._batch}")  # noqa: S608 integers of ours
            except QueryError:
                if self._batch <= _SMALLEST_BATCH:
                    raise
                self._batch //= 2

    def _declare(self, newest: int) -> None:
        if (ours := self._value("SELECT coalesce(max(rev), 0) FROM declarations")) < newest:
            self._insert("declarations", self._fetch(f"SELECT * FROM declarations WHERE rev > {ours} ORDER BY rev"))  # noqa: S608 an integer of ours
        self._rev = newest

    def _append(self, events: Sequence[Row]) -> None:
        """Add events in one transaction, with DuckDB's appender: no other way was measured to be as fast."""
        self._seq = None  # until it is certain: an interrupt may come at any line
        if self._appender is None:
            self._appender = self.connection.appender("events")
        try:
            self._appender.append_rows(events)
            self._appender.flush()
        except BaseException:
            appender, self._appender = self._appender, None
            appender.clear()  # it would write them when it goes
            raise

    def _insert(self, table: str, rows: pa.Table, first: str = "") -> None:
        self.connection.register(_BATCH_NAME, rows)
        self.connection.begin()
        try:
            if first:
                self.connection.execute(first)
            self.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM {_BATCH_NAME}")  # noqa: S608 names of ours
            self.connection.commit()
        except BaseException:
            self.connection.rollback()
            raise
        finally:
            self.connection.unregister(_BATCH_NAME)

    def _cursor(self) -> int:
        return self._value("SELECT coalesce(max(seq), 0) FROM events")

    def _value(self, sql: str) -> int:
        return int(self.connection.execute(sql).fetchall()[0][0])
