"""A copy of the journal for a notebook: local, complete, and free to be joined with anything.

The daemon answers bounded questions; the mirror asks for everything once and then for what is new. Events are only ever
added and their numbers rise, so ``seq > cursor`` is the whole protocol. It has the same tables and views, from the same
migrations, and no fences: it is the user's own DuckDB. What the daemon's journal forgets (``keep_days``) stays here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import duckdb
import pyarrow as pa

from wakit.errors import JournalError, QueryError
from wakit.journal import schema
from wakit.journal.database import unusable

Fetch: TypeAlias = Callable[[str], pa.Table]
"""Runs SQL on the daemon's journal, as ``POST /v1/sql`` does."""

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
        path: A file to keep the copy in; in memory if there is none.

    Raises:
        JournalError: The file cannot be used.

    Example:
        >>> def board(fetch):
        ...     with Mirror(fetch) as mirror:
        ...         mirror.sync()
        ...         return mirror.sql("SELECT session, share FROM uptime_daily").to_arrow_table()
    """

    def __init__(self, fetch: Fetch, path: Path | None = None) -> None:
        self._fetch = fetch
        self._batch = _FIRST_BATCH
        self._pulses: pa.StructArray | None = None  # as of the last look
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
        head = self._fetch(_HEAD)
        started_over = self._follow(head.select(["id", "created_at"]))
        newest, revision = head.column("seq")[0].as_py(), head.column("rev")[0].as_py()
        new = 0
        while (cursor := self._cursor()) < newest:
            batch = self._next_events(cursor)
            self._insert("events", batch)
            new += batch.num_rows
            if batch.num_rows < self._batch:
                break
        if (ours := self._value("SELECT coalesce(max(rev), 0) FROM declarations")) < revision:
            self._insert("declarations", self._fetch(f"SELECT * FROM declarations WHERE rev > {ours} ORDER BY rev"))  # noqa: S608 an integer of ours
        pulses = head.column("pulses").combine_chunks().flatten()
        if self._pulses is None or not pulses.equals(self._pulses):
            batch = pa.Table.from_struct_array(pulses)
            self._insert("pulses", batch, first=_FORGET_PULSES)
            self._pulses = pulses
        return Synced(new, self._cursor(), started_over)

    def sql(self, query: str, **options: Any) -> duckdb.DuckDBPyRelation:
        """Return a DuckDB relation over the copy, to be joined, plotted or shown."""
        return self.connection.sql(query, **options)

    def close(self) -> None:
        """Close the copy."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self, identity: pa.Table) -> bool:
        """Begin anew if the daemon's journal is not the one this is a copy of; True if so."""
        if identity.column("id")[0].as_py() is None:
            raise JournalError(
                "The journal cannot be mirrored", why="it has no identity", hint="is it a wakit journal?"
            )
        theirs = identity.column("id")[0].as_py()
        ours = self.connection.execute("SELECT id FROM identity").fetchall()
        if ours == [(theirs,)]:
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
