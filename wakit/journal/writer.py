"""The journal's thread: it takes what was logged, has it committed, and tells who waits.

It takes whatever has been logged since it last looked and commits it as one transaction, so the batch grows with the
load and a lone event waits for nothing. Nothing acknowledged is ever lost, and nothing is lost in silence:

- an event is acknowledged after its transaction is committed and synced, never before;
- a commit that fails is tried again for as long as the journal is open, with the file opened anew, because DuckDB gives
  a database up after a failed write. Meanwhile :class:`Health` says so, and the backlog grows to its bound;
- when memory is what the commit lacks, users' queries hold it: they are stopped, and the commit is tried again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from wakit.core.records import DeclarationRecord, EventRecord
from wakit.errors import JournalError, QueryError, WakitError
from wakit.journal import database
from wakit.journal.acks import Acks, Waiter, tell, unwritten
from wakit.journal.backlog import Backlog, Declared, Errand, Item, Loss, Pulse
from wakit.journal.health import Health
from wakit.journal.ledger import Ledger, Writable, utc
from wakit.journal.live import Numbered, Subscription
from wakit.journal.readers import Readers
from wakit.journal.standing import Memory, Standing

_log = logging.getLogger("wakit.journal")

MAX_BATCH: Final = 8192  # rows a transaction: some 80 ms, after which others get their acknowledgement
_FIRST_RETRY: Final = 0.05  # seconds
_LAST_RETRY: Final = 5.0
_FAILURES: Final = (duckdb.Error, WakitError, OSError, RuntimeError)


class Writer:
    """Owns the database; every public method may be called from any thread.

    Args:
        path: The file.
        clock: Gives aware datetimes.
        max_backlog_bytes: What may wait in memory while the disk does not take it.
        pulse_every: Seconds between two signs of life of an idle run.

    Raises:
        HeldError: Another process has the file open.
        JournalError: The file cannot be used.
    """

    def __init__(
        self, path: Path, clock: Callable[[], datetime], *, max_backlog_bytes: int, pulse_every: float
    ) -> None:
        self.readers = Readers()
        self._clock = clock
        self._pulse_every = pulse_every
        self._changed = threading.Condition()
        self._closing = False
        self._abandon_at = math.inf
        self._ended = False
        self._error = ""
        self._failing_since: datetime | None = None
        self._subscriptions: list[Subscription] = []
        self._live_run: str | None = None
        self._path = path
        self._ledger = Ledger(path, clock, self.readers)
        database.claim(path)
        try:
            self._ledger.open()
            earlier, healthy = self._ledger.newest_declarations(), self._ledger.last_healthy()
        except BaseException:
            database.release(path)
            raise
        self.earlier = earlier
        self.last_healthy = healthy
        self._acks = Acks(self._ledger.seq)
        self._memory = Memory()
        self._memory.opened(self._ledger.opening, self._ledger.seq, self._ledger.rev)
        self._newest_declaration = (self._ledger.rev, self._ledger.sha256)
        self._backlog = Backlog(self._ledger.seq + 1, max_backlog_bytes)
        self._thread = threading.Thread(target=self._run, name="wakit-journal", daemon=True)
        self._thread.start()

    def log(self, record: EventRecord) -> int:
        """Number an event and leave it for the thread."""
        with self._changed:
            self._require_open()
            seq = self._backlog.push(record)
            if record.kind == "daemon_start":
                self._live_run = record.run_id
            elif record.kind == "daemon_stop":
                self._live_run = None
            self._changed.notify()
        return seq

    def declare(self, record: DeclarationRecord) -> int:
        """Number a declaration and leave it for the thread; the newest one's bytes again are no new one."""
        with self._changed:
            self._require_open()
            rev, sha256 = self._newest_declaration
            if record.sha256 != sha256:
                rev += 1
                self._newest_declaration = (rev, record.sha256)
                self._backlog.put(Declared(rev, record))
                self._changed.notify()
        return rev

    def errand(self, *statements: tuple[str, list[Any]]) -> Future[Any]:
        """Have SQL carried out by the thread, in one transaction, after what was logged before."""
        result: Future[Any] = Future()
        with self._changed:
            self._require_open()
            self._backlog.put(Errand(statements, result))
            self._changed.notify()
        return result

    def when_durable(self, seq: int, waiter: Waiter) -> bool:
        """Return True if ``seq`` is durable already; otherwise the waiter will be told.

        Raises:
            JournalError: The event was lost, or the journal is closed and never wrote it.
            ValueError: No event has that number.
        """
        with self._changed:
            if not 0 < seq < self._backlog.next_seq:
                raise ValueError(f"no event has the number {seq}")
            if self._acks.settled(seq):
                return True
            if self._ended:
                raise unwritten(self._error)
            self._acks.wait(seq, waiter)
            return False

    def subscribe(self, subscription: Subscription) -> None:
        """Offer everything that becomes durable from now on."""
        with self._changed:
            self._require_open()
            self._subscriptions = [known for known in self._subscriptions if not known.closed]
            self._subscriptions.append(subscription)

    def standing(self, since: int) -> Standing[Numbered]:
        """Return what is durable, with the events after the number ``since``."""
        with self._changed:
            return self._memory.standing(since)

    def health(self) -> Health:
        """Return how things are."""
        with self._changed:
            return Health(
                ok=not self._error,
                error=self._error,
                failing_since=self._failing_since,
                pending=self._backlog.next_seq - 1 - self._acks.durable,
                lost=self._backlog.lost,
                durable_seq=self._acks.durable,
                stuck=self.readers.stuck,
            )

    def close(self, patience: float) -> None:
        """Write what is left, close the file, and end the thread; blocks.

        Args:
            patience: Seconds to keep trying if the disk does not take it.

        Raises:
            JournalError: Something could not be written; its events are lost.
        """
        with self._changed:
            self._closing = True
            self._abandon_at = time.monotonic() + patience
            self._changed.notify_all()
        self._thread.join()
        if self._error:
            raise unwritten(self._error)

    def _require_open(self) -> None:
        if self._closing:
            raise JournalError("The journal is closed", why="the daemon is stopping")

    # From here on: the thread's own.

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                if not self._write_until_done(batch):
                    return
        finally:
            self._end()

    def _next_batch(self) -> list[Item]:
        """Wait for work; empty when there is none and none will come."""
        with self._changed:
            while not len(self._backlog):
                if self._closing:
                    return []
                live = self._live_run
                if not self._changed.wait(None if live is None else self._pulse_every) and live is not None:
                    return [_pulse(live, utc(self._clock()))]
            return self._backlog.take(MAX_BATCH)

    def _write_until_done(self, batch: list[Item]) -> bool:
        """Write a batch; False if the journal is being closed and patience ran out first."""
        if isinstance(batch[0], Errand):
            self._carry_out(batch[0])
            return True
        items = [item for item in batch if not isinstance(item, Errand)]
        delay = _FIRST_RETRY
        while True:
            try:
                kept = self._ledger.write(items)
            except duckdb.OutOfMemoryException as error:
                self._failed(error)
                self.readers.preempt(_GIVE_WAY)
            except _FAILURES as error:
                self._failed(error)
                self._ledger.close()
            else:
                self._succeeded(items, kept)
                return True
            if not self._pause(delay):
                return False
            delay = min(2 * delay, _LAST_RETRY)

    def _carry_out(self, errand: Errand) -> None:
        if not errand.result.set_running_or_notify_cancel():
            return
        try:
            done = self._ledger.carry_out(errand)
            if isinstance(errand, Pulse):
                with self._changed:
                    self._remember([])
                    self._memory.beat(errand.run_id, errand.at)
            errand.result.set_result(done)
        except _FAILURES as error:
            # Not tried again, and not held against the journal's health: whoever sent it hears of it.
            errand.result.set_exception(JournalError("The journal could not do that", why=_first_line(error)))

    def _pause(self, delay: float) -> bool:
        """Wait before the next attempt; False if the journal is being closed and patience ran out."""
        with self._changed:
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, delay)
                return True
            left = self._abandon_at - time.monotonic()
            self._changed.wait(max(0.0, min(delay, left)))
            return left > 0

    def _failed(self, error: Exception) -> None:
        with self._changed:
            if self._failing_since is None:
                self._failing_since = self._clock()
                _log.error("the journal cannot be written, and will be tried again: %s", _first_line(error))
            self._error = _first_line(error)

    def _succeeded(self, items: Sequence[Writable], kept: list[Numbered]) -> None:
        with self._changed:
            if self._failing_since is not None:
                _log.warning("the journal can be written again")
            self._error, self._failing_since = "", None
            self._backlog.written(items)
            lost = [(item.first, item.last) for item in items if isinstance(item, Loss)]
            told = self._acks.advance(self._ledger.seq, lost=lost)
            self._remember(kept)
            self._tell_refused()
            listeners = list(self._subscriptions)
        for listener in listeners:  # before the waiters: what is acknowledged is in the feed already
            listener.offer(kept)
        tell(told)

    def _remember(self, kept: Sequence[Numbered]) -> None:
        ledger = self._ledger
        if ledger.opening == self._memory.opening:
            self._memory.wrote(kept, ledger.seq, ledger.rev)
        else:  # a write failed before, and the file had to be opened anew
            self._memory.opened(ledger.opening, ledger.seq, ledger.rev)

    def _tell_refused(self) -> None:
        refused, self._ledger.refused = self._ledger.refused, []
        for rev in refused:
            reason = f"the journal could not keep the text and commit of declaration {rev}"
            _log.warning("%s", reason)
            self._backlog.push(
                EventRecord(
                    ts=self._clock(),
                    kind="warning",
                    run_id=self._live_run or "",
                    reason=reason,
                    code="declaration_refused",
                    declaration_rev=rev,
                )
            )

    def _end(self) -> None:
        try:
            self._ledger.close()
        except duckdb.Error as error:
            self._failed(error)
        database.release(self._path)
        with self._changed:
            self._ended = True
            told = self._acks.abandon(self._error)
            left = self._backlog.take(len(self._backlog))
            listeners = list(self._subscriptions)
        tell(told)
        for item in left:
            if isinstance(item, Errand) and item.result.set_running_or_notify_cancel():
                item.result.set_exception(unwritten(self._error))
        for listener in listeners:
            listener.close()


_GIVE_WAY: Final = QueryError(
    "The query was cut off", why="the journal needed the memory to write", hint="ask for less, or try again"
)


def _pulse(run_id: str, now: datetime) -> Pulse:
    return Pulse(
        (
            ("DELETE FROM pulses WHERE run_id = ?", [run_id]),
            ("INSERT INTO pulses VALUES (?, ?)", [run_id, now]),
        ),
        Future(),
        run_id,
        now,
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
