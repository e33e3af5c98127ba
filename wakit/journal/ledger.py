"""The file as the journal's thread sees it: rows go in, in order, each exactly once.

Rows go in through DuckDB's appender inside an explicit transaction: it measured fastest from 1 row (2.8 ms a commit,
against 7 ms for a registered Arrow table and 4.8 ms for ``executemany``) to 10,000 (as fast as Arrow).

The file knows what it holds: numbers rise without a break, so a record is in it if its number is not above the highest.
That answers the one hard question, whether a commit that reported a failure reached the disk after all, each time the
file is opened anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

import duckdb

from wakit.core.records import DeclarationRecord, EventRecord
from wakit.errors import QueryError
from wakit.journal import database
from wakit.journal.backlog import Declared, Entry, Errand, Loss, encode
from wakit.journal.live import Numbered
from wakit.journal.readers import Readers

Writable: TypeAlias = Entry | Loss | Declared

# What DuckDB or its binding says about a row it cannot hold, as opposed to a disk it cannot write.
_ROW_ERRORS: Final = (
    duckdb.DataError, duckdb.InvalidInputException, duckdb.InvalidTypeException,
    UnicodeError, OverflowError, TypeError, ValueError,
)  # fmt: skip
LAST_HEALTHY: Final = """
    WITH signs AS (
        SELECT run_id, max(ts) AS ts
        FROM (SELECT run_id, ts FROM events UNION ALL SELECT run_id, ts FROM pulses) GROUP BY run_id
    ), newest AS (
        SELECT session, arg_max(state_to, seq) AS state, arg_max(run_id, seq) AS run_id,
            max(ts) FILTER (WHERE 'connected' IN (state_from, state_to)) AS ts
        FROM events WHERE kind = 'state' GROUP BY session
    )
    SELECT session, CASE WHEN state = 'connected' THEN signs.ts ELSE newest.ts END AS at
    FROM newest JOIN signs USING (run_id) WHERE newest.ts IS NOT NULL
"""
_NO_TEXT: Final = "# the journal could not keep this text\n"


class Ledger:
    """The owner's side of the open file; used by one thread.

    Args:
        path: The file.
        clock: Gives aware datetimes.
        readers: Get connections whenever the file is opened, and lose them when it is closed.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime], readers: Readers) -> None:
        self._path = path
        self._clock = clock
        self._readers = readers
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._appender: duckdb.Appender | None = None
        self.refused: list[int] = []  # declarations of which only the revision could be kept; the writer tells
        self.opening = ""  # another one each time the file is opened
        self.seq = 0
        self.rev = 0
        self.sha256 = ""

    def open(self) -> None:
        """Open the file, unless it is open, and ask it what it holds."""
        if self._connection is not None:
            return
        opened = database.open_owned(self._path, utc(self._clock()))
        self._connection = opened.writer
        (self.seq,) = opened.writer.execute("SELECT coalesce(max(seq), 0) FROM events").fetchall()[0]
        declared = opened.writer.execute("SELECT rev, sha256 FROM declarations ORDER BY rev DESC LIMIT 1").fetchall()
        self.rev, self.sha256 = declared[0] if declared else (0, "")
        self.opening = uuid4().hex
        self._readers.install(opened.readers)

    def newest_declarations(self) -> list[tuple[str, str]]:
        """Return checksum and text of the two newest declarations, the newest first."""
        return self._owned().execute("SELECT sha256, text FROM declarations ORDER BY rev DESC LIMIT 2").fetchall()

    def last_healthy(self) -> dict[str, datetime]:
        """Say when each session was last known to be connected: one that stayed so, at its run's last sign of life."""
        return {name: at.replace(tzinfo=UTC) for name, at in self._owned().execute(LAST_HEALTHY).fetchall()}

    def close(self) -> None:
        """Close the file, its readers first; DuckDB folds the WAL into it as the last connection goes."""
        if self._connection is None:
            return
        self._readers.withdraw(QueryError("The query was cut off", why="the journal was closed", hint="try again"))
        self._drop_appender()
        connection, self._connection = self._connection, None
        connection.close()

    def write(self, items: Sequence[Writable]) -> list[Numbered]:
        """Commit records durably and return the events among them, as they are kept.

        A record the file holds already is not written again. An event it refuses for what it holds becomes a warning
        under the same number; of such a declaration its revision, its time and its checksum are kept (:attr:`refused`).

        Raises:
            duckdb.Error: Nothing of what was still to be written is known to be durable.
        """
        self.open()
        try:
            return self._commit(items)
        except _ROW_ERRORS:
            return [kept for item in items for kept in self._commit_or_replace(item)]

    def carry_out(self, errand: Errand) -> Any:
        """Run an errand's statements in one transaction; return the first value of the last one, if it has any."""
        self.open()
        connection = self._owned()
        connection.begin()
        try:
            rows: list[Any] = []
            for sql, params in errand.statements:
                rows = connection.execute(sql, params).fetchall()
            connection.commit()
        except BaseException:
            self._rollback()
            raise
        return rows[0][0] if rows and rows[0] else None

    def _commit(self, items: Sequence[Writable]) -> list[Numbered]:
        connection = self._owned()
        new = [item for item in items if not self._holds(item)]
        if new:
            connection.begin()
            try:
                self._append([self._row(item) for item in new if not isinstance(item, Declared)])
                for item in new:
                    if isinstance(item, Declared):
                        connection.execute("INSERT INTO declarations VALUES (?, ?, ?, ?, ?, ?, ?)", _declared(item))
                connection.commit()
            except BaseException:
                self._rollback()
                raise
        for item in new:
            if isinstance(item, Declared):
                self.rev, self.sha256 = item.rev, item.record.sha256
            else:
                self.seq = item.last if isinstance(item, Loss) else item.seq
        return [self._numbered(item) for item in items if not isinstance(item, Declared)]

    def _commit_or_replace(self, item: Writable) -> list[Numbered]:
        try:
            return self._commit([item])
        except _ROW_ERRORS:
            # Raised again it would be tried for ever, and nothing logged later would ever reach the file.
            match item:
                case Entry():
                    return self._commit([Loss(item.seq, item.seq, item.record.run_id)])
                case Declared():
                    self._commit([Declared(item.rev, _stripped(item.record))])
                    self.refused.append(item.rev)
                    return []
                case Loss():
                    raise

    def _append(self, rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if self._appender is None:
            self._appender = self._owned().appender("events")
        self._appender.append_rows(rows)
        self._appender.flush()

    def _rollback(self) -> None:
        self._drop_appender()
        try:
            self._owned().rollback()
        except duckdb.Error:  # a failed write leaves nothing that can be rolled back: the file has to be opened anew
            self.close()

    def _drop_appender(self) -> None:
        # An appender flushes what it holds when it goes, outside of any transaction: it has to forget first.
        if self._appender is not None:
            appender, self._appender = self._appender, None
            try:
                appender.clear()
            except duckdb.Error:
                return

    def _owned(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            raise duckdb.ConnectionException("the journal's file is closed")
        return self._connection

    def _holds(self, item: Writable) -> bool:
        match item:
            case Entry():
                return item.seq <= self.seq
            case Loss():
                return item.first <= self.seq
            case Declared():
                return item.rev <= self.rev

    def _numbered(self, item: Entry | Loss) -> Numbered:
        if isinstance(item, Entry):
            return Numbered(item.seq, item.record)
        return Numbered(item.first, self._told(item))

    def _row(self, item: Entry | Loss) -> tuple[Any, ...]:
        if isinstance(item, Entry):
            return _row(item.seq, item.record, item.detail)
        told = self._told(item)
        return _row(item.first, told, encode(told))

    def _told(self, loss: Loss) -> EventRecord:
        return EventRecord(
            ts=self._clock(),
            kind="warning",
            run_id=loss.run_id,
            reason=(
                "1 event lost: the journal could not keep it"
                if loss.count == 1
                else f"{loss.count} events lost: the journal could not keep them"
            ),
            code="events_lost",
            detail={"first": loss.first, "last": loss.last, "count": loss.count},
        )


def utc(moment: datetime) -> datetime:
    """Return an aware time as the journal stores it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _row(seq: int, record: EventRecord, detail: str) -> tuple[Any, ...]:
    return (
        seq,
        utc(record.ts),
        record.session,
        record.kind,
        None if record.state_from is None else str(record.state_from),
        None if record.state_to is None else str(record.state_to),
        record.reason,
        record.code,
        detail,
        record.worker_pid,
        record.run_id,
        record.declaration_rev,
        record.git_commit,
        record.git_branch,
    )


def _stripped(record: DeclarationRecord) -> DeclarationRecord:
    return replace(record, text=_NO_TEXT, git_commit=None, git_branch=None)


def _declared(item: Declared) -> list[Any]:
    record = item.record
    return [
        item.rev,
        record.sha256,
        utc(record.loaded_at),
        record.git_commit,
        record.git_branch,
        record.dirty,
        record.text,
    ]
