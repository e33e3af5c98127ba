"""The connections users' queries run on: a few, each with a thread's undivided attention.

They belong to the same database as the writer's connection and live as long as it does: when the writer must open the
file anew, it takes them away (:meth:`Readers.withdraw`) and gives new ones. A query that finds none free waits for its
turn, within its own time limit.
"""

from __future__ import annotations

import threading
import time

import duckdb
import pyarrow as pa

from wakit.errors import QueryError
from wakit.journal.queries import Interruption, Query, run, too_slow


class Readers:
    """A small pool of connections for queries; safe to use from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._free: list[duckdb.DuckDBPyConnection] = []
        self._running: set[Interruption] = set()
        self._open = False

    def install(self, connections: list[duckdb.DuckDBPyConnection]) -> None:
        """Serve queries on these connections from now on."""
        with self._changed:
            self._free = connections
            self._open = True
            self._changed.notify_all()

    def withdraw(self, error: QueryError) -> None:
        """Stop every query with this error, wait for them to be over, and close the connections."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
            for interruption in self._running:
                interruption.stop(error)
            self._changed.wait_for(lambda: not self._running)
            for connection in self._free:
                connection.close()
            self._free = []

    def preempt(self, error: QueryError) -> None:
        """Stop what runs at this moment, so that the writer gets its memory; later queries are served."""
        with self._changed:
            for interruption in self._running:
                interruption.stop(error)
            self._changed.wait_for(lambda: not self._running)

    def run(self, query: Query, interruption: Interruption) -> pa.Table:
        """Run a query on the next free connection.

        Raises:
            QueryError: As :func:`wakit.journal.queries.run`, or no connection became free in time.
        """
        deadline = time.monotonic() + query.limits.timeout
        connection = self._acquire(deadline, query, interruption)
        try:
            return run(connection, query, interruption)
        finally:
            with self._changed:
                self._free.append(connection)
                self._running.discard(interruption)
                self._changed.notify_all()

    def _acquire(self, deadline: float, query: Query, interruption: Interruption) -> duckdb.DuckDBPyConnection:
        with self._changed:
            if not self._changed.wait_for(lambda: self._open and self._free, deadline - time.monotonic()):
                if not self._open:
                    raise QueryError("The query cannot run now", why="the journal is closed", hint="try again")
                raise too_slow(query.limits.timeout)
            if interruption.error is not None:  # given up while it waited
                raise interruption.error
            self._running.add(interruption)
            return self._free.pop()
