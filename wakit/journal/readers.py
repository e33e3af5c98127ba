"""The connections users' queries run on: a few, each with a thread's undivided attention.

They belong to the same database as the writer's connection and live as long as it does: when the writer must open the
file anew, it takes them away (:meth:`Readers.withdraw`) and gives new ones. A query that finds none free waits for its
turn, within its own time limit.

DuckDB stops a query only between vectors, which may be far away. Nobody waits longer than :data:`PATIENCE` for that:
the writer goes on, and a connection that should be closed is left to its query's thread, which closes it in the end.
Until then it is counted (:attr:`Readers.stuck`). Threads are daemons, because one that is stuck must not keep the
process from ending either.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import duckdb
import pyarrow as pa

from wakit.errors import QueryError
from wakit.journal.queries import Interruption, Query, run, too_slow

PATIENCE: Final = 2.0
"""Seconds a query that was told to stop is waited for."""
_NICENESS: Final = 10


class Readers:
    """A small pool of connections for queries; safe to use from many threads.

    Args:
        patience: Seconds a query that was told to stop is waited for.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._changed = threading.Condition()
        self._free: list[duckdb.DuckDBPyConnection] = []
        self._running: set[Interruption] = set()  # on connections of the pool
        self._stuck: set[Interruption] = set()  # told to stop, and not over in time
        self._threads: set[threading.Thread] = set()
        self._open = False
        self._ended = False

    @property
    def stuck(self) -> int:
        """How many queries were told to stop, did not within the patience, and still run."""
        with self._changed:
            return len(self._stuck)

    def install(self, connections: list[duckdb.DuckDBPyConnection]) -> None:
        """Serve queries on these connections from now on."""
        with self._changed:
            self._free = connections
            self._open = True
            self._changed.notify_all()

    def withdraw(self, error: QueryError) -> None:
        """Stop every query with this error, wait a little for them to be over, and close the connections."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
            self._stop_running(error)
            self._running.clear()  # what is still there closes its connection itself (run)
            for connection in self._free:
                connection.close()
            self._free = []

    def preempt(self, error: QueryError) -> None:
        """Stop what runs at this moment, so that the writer gets its memory; later queries are served."""
        with self._changed:
            self._stop_running(error)

    def _stop_running(self, error: QueryError) -> None:
        stopped = set(self._running)
        for interruption in stopped:
            interruption.stop(error)
        # Those that are stuck already have had their time.
        self._changed.wait_for(lambda: not (stopped & self._running) - self._stuck, self._patience)
        self._stuck |= stopped & self._running

    def start(self, query: Query, interruption: Interruption) -> Future[pa.Table]:
        """Run a query in a thread of its own; the future gives what :meth:`run` does."""
        answer: Future[pa.Table] = Future()
        answer.set_running_or_notify_cancel()

        def work() -> None:
            _step_back()
            try:
                answer.set_result(self.run(query, interruption))
            except BaseException as error:  # noqa: BLE001 - it is raised again where somebody waits
                answer.set_exception(error)
            finally:
                with self._changed:
                    self._threads.discard(thread)

        thread = threading.Thread(target=work, name="wakit-journal-query", daemon=True)
        with self._changed:
            self._threads.add(thread)
        thread.start()
        return answer

    def give_up(self, interruption: Interruption) -> None:
        """Note that nobody waits for a query any more that should have been over."""
        with self._changed:
            if interruption in self._running:
                self._stuck.add(interruption)

    def join(self) -> None:
        """Serve no query any more, and wait a little for the threads of those there are; blocks."""
        deadline = time.monotonic() + self._patience
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            if self._stuck:
                return
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def run(self, query: Query, interruption: Interruption) -> pa.Table:
        """Run a query on the next free connection.

        Raises:
            QueryError: As :func:`wakit.journal.queries.run`, or no connection became free in time.
        """
        connection = self._acquire(query, interruption)
        try:
            return run(connection, query, interruption)
        finally:
            with self._changed:
                self._stuck.discard(interruption)
                if interruption in self._running:
                    self._running.discard(interruption)
                    self._free.append(connection)
                else:  # the pool was withdrawn meanwhile
                    connection.close()
                self._changed.notify_all()

    def _acquire(self, query: Query, interruption: Interruption) -> duckdb.DuckDBPyConnection:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (self._open and self._free), interruption.left)
            if self._ended or not (self._open and self._free):
                if not self._open:
                    raise QueryError("The query cannot run now", why="the journal is closed", hint="try again")
                raise too_slow(query.limits.timeout)
            if interruption.error is not None:  # given up while it waited
                raise interruption.error
            self._running.add(interruption)
            return self._free.pop()


def _step_back() -> None:
    """Let everything else in the daemon have the processor first; Linux keeps this for each thread."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
