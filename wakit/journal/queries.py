"""Running one user's query within limits: time, rows, bytes, memory; and giving way to the journal's own writing.

Each query runs in a read-only transaction on a connection of its own to the same database, so DuckDB's snapshots keep
readers and the writer apart. What they share is memory: a query at the limit was measured to fail the writer's commit
with an out-of-memory error. So a connection for queries has a smaller limit for its sorts and hash tables, and when the
writer is refused memory all the same, it interrupts every query (:meth:`Interruption.stop`) and tries again.

``interrupt()`` is lost when it comes between two steps of a query, because starting a step clears it; so a watch
repeats it until the query is over. One vector (2,048 values) is never interrupted: a query that makes a megabyte a
value is only stopped after the vector it is at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import duckdb
import pyarrow as pa

from wakit.errors import QueryError
from wakit.journal.statements import require_reading
from wakit.redact import scrub

Parameters: TypeAlias = Sequence[object] | Mapping[str, object] | None

_AGAIN: Final = 0.05  # seconds between two interrupts of a query that has not noticed
_BATCH_ROWS: Final = 16_384
_INTERRUPTED: Final = "INTERRUPT"


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a query may go.

    Args:
        timeout: Seconds, waiting for its turn included.
        max_rows: Rows of the result.
        max_bytes: Bytes of the result, as Arrow holds it.
    """

    timeout: float = 10.0
    max_rows: int = 1_000_000
    max_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Query:
    """What to run, and how far it may go."""

    sql: str
    params: Parameters = None
    limits: Limits = Limits()


class Interruption:
    """The way to stop a query from another thread; the first reason given is the one the user hears.

    Args:
        timeout: Seconds from now until it stops by itself, whether its turn has come by then or not.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._error: QueryError | None = None

    def stop(self, error: QueryError) -> None:
        """Stop the query; it ends with this error."""
        with self._lock:
            if self._error is None:
                self._error = error
        self._stopped.set()

    @property
    def error(self) -> QueryError | None:
        """Why it was stopped, if it was."""
        return self._error

    @property
    def left(self) -> float:
        """How many seconds are left; never negative."""
        return max(0.0, self._deadline - time.monotonic())

    @contextmanager
    def watching(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt the connection when stopped, or when time is up, until the block is left."""
        over = threading.Event()

        def watch() -> None:
            if not self._stopped.wait(self.left):
                self.stop(too_slow(self._timeout))
            while not over.is_set():
                connection.interrupt()
                over.wait(_AGAIN)

        thread = threading.Thread(target=watch, name="wakit-query-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            self._stopped.set()
            thread.join()


def run(connection: duckdb.DuckDBPyConnection, query: Query, interruption: Interruption) -> pa.Table:
    """Run one query and return its whole result.

    Args:
        connection: Used by nobody else meanwhile.
        query: Checked first (:func:`~wakit.journal.statements.require_reading`).
        interruption: How others stop it.

    Raises:
        QueryError: It was refused, is wrong, went over a limit, or was stopped.
    """
    require_reading(connection, query.sql)
    params = _checked(query.params)
    try:
        with interruption.watching(connection):
            connection.execute("BEGIN TRANSACTION READ ONLY")
            return _collect(connection, query, params)
    except (duckdb.Error, pa.ArrowException, OSError, MemoryError, TypeError, ValueError, OverflowError) as error:
        # The last three: a parameter DuckDB cannot hold. The Arrow stream reports DuckDB's errors as its own, or as
        # OSError; only the text tells an interruption.
        if interruption.error is not None and _INTERRUPTED in str(error).upper():
            raise interruption.error from None
        raise _explained(error) from None
    finally:
        _end_transaction(connection)


def _collect(connection: duckdb.DuckDBPyConnection, query: Query, params: Any) -> pa.Table:
    relation = connection.sql(query.sql, params=params)
    if relation is None:  # duckdb gives none for a statement without a result; nothing that reads is one
        raise QueryError("The query has no result")
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    batches: list[Any] = []
    rows = size = 0
    try:
        for batch in reader:
            rows += batch.num_rows
            size += batch.nbytes
            if rows > query.limits.max_rows:
                raise _too_large(f"it has more than {query.limits.max_rows} rows")
            if size > query.limits.max_bytes:
                raise _too_large(f"it is larger than {query.limits.max_bytes} bytes")
            batches.append(batch)
    finally:
        reader.close()  # an unread result leaves the connection busy
    return pa.Table.from_batches(batches, schema=reader.schema)


def to_ipc(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def too_slow(timeout: float) -> QueryError:
    """Return the error of a query that took too long."""
    return QueryError(
        "The query was cut off",
        why=f"it took longer than {timeout:g} s",
        hint="ask for less: a WHERE on ts, an aggregate",
    )


def _too_large(why: str) -> QueryError:
    return QueryError("The result is too large", why=why, hint="add a LIMIT, or aggregate")


def _end_transaction(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.Error:  # none is open: BEGIN itself failed, or the database is being closed
        return


def _explained(error: Exception) -> QueryError:
    text = scrub(str(error))
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)) or "Out of Memory" in text:
        return QueryError(
            "The query was cut off",
            why="it needs more memory than a query may have",
            hint="ask for less: a WHERE on ts, an aggregate instead of a sort",
        )
    if isinstance(error, duckdb.ConnectionException):
        return QueryError("The query was cut off", why="the journal was being closed", hint="try again")
    return QueryError("The query failed", why=text, hint="SHOW TABLES lists what there is; DESCRIBE t its columns")


def _checked(params: Parameters) -> Any:
    if params is None:
        return None
    values = params.values() if isinstance(params, Mapping) else params
    for value in values:
        # Anything else (a frame, a relation) could be more than a value to duckdb.
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise QueryError("The query is refused", why=f"a parameter is a {type(value).__name__}, not a plain value")
    return dict(params) if isinstance(params, Mapping) else list(params)
