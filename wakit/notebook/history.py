"""The journal in the notebook: a local DuckDB copy that is brought up to date by every question.

Where the daemon runs, it is asked; where it has gone, its file is opened read-only for as long as the copying takes.
So is a journal that was kept, or sent by somebody.
The copy is the user's own DuckDB: it has the journal's tables and views, may be joined with any frame in the notebook,
and nothing done to it reaches the daemon.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakit.control.client import SyncClient
from wakit.errors import NoDaemonError, QueryError, WakitError
from wakit.notebook.scope import ask, names_of_the_caller

if TYPE_CHECKING:
    import pyarrow as pa

    from wakit.control.schemas import EventInfo
    from wakit.journal import Mirror, Row, Standing
    from wakit.notebook.answer import Answer


class History:
    """Answers SQL from a mirror of a journal.

    Args:
        journal: The file.
        client: Asks the daemon that owns it; None if there is none to be asked.
    """

    def __init__(self, journal: Path, client: SyncClient | None = None) -> None:
        self._journal = journal
        self._client = client
        self._mirror: Mirror | None = None
        self._lock = threading.Lock()

    def sql(
        self,
        query: str,
        params: Mapping[str, Any] | list[Any] | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Bring the copy up to date and run ``query`` on it.

        Args:
            query: SQL; tables it names that the journal does not have are looked for among ``names``.
            params: Values for ``?`` or ``$name``.
            names: Variables that may be frames; those of the cell that asks if None.

        Raises:
            QueryError: The query is wrong.
            JournalError: The journal cannot be read.
        """
        import duckdb  # noqa: PLC0415 - 30 ms and 50 MB that only a question has to pay

        from wakit.notebook.answer import Answer, wrong  # noqa: PLC0415

        if names is None:
            names = names_of_the_caller()
        with self._lock:
            mirror = self._current()
            try:
                relation = ask(mirror.connection.sql, query, params, names)
            except duckdb.Error as error:
                raise wrong(error) from None
        if relation is None:
            raise QueryError(
                "That is no question", why="the statement gives no rows", hint="ask with SELECT, FROM, SHOW or DESCRIBE"
            )
        return Answer.of(relation)

    def close(self) -> None:
        """Drop the copy; relations made from it end with it."""
        with self._lock:
            if self._mirror is not None:
                self._mirror.close()
                self._mirror = None

    def _current(self) -> Mirror:
        if self._mirror is not None:
            if self._client is not None:  # nobody writes into a journal that was kept: one copy is all of it
                self._mirror.sync()
            return self._mirror
        from wakit.journal import Mirror  # noqa: PLC0415

        mirror = Mirror(self._fetch, look=self._look)
        try:
            mirror.sync()
        except BaseException:
            mirror.close()
            raise
        self._mirror = mirror
        return mirror

    def _look(self, since: int) -> Standing[Row] | None:
        if self._client is None:
            return None
        try:
            told = self._client.journal(since)
        except WakitError:  # none runs, or one of an earlier release; SQL may still go, and else says why not
            return None
        from wakit.journal import Standing  # noqa: PLC0415

        pulses = {run: at.replace(tzinfo=None) for run, at in told.pulses.items()}
        events = None if told.events is None else [_row(event) for event in told.events]
        return Standing(told.opening, told.seq, told.rev, pulses, events)

    def _fetch(self, query: str) -> pa.Table:
        if self._client is not None:
            with suppress(NoDaemonError):
                return self._client.sql(query)
        from wakit.journal import open_read_only  # noqa: PLC0415

        with open_read_only(self._journal) as journal:
            return journal.query(query)


def _row(event: EventInfo) -> Row:
    """Return an event as the journal's table has it."""
    from wakit.journal import json_text  # noqa: PLC0415

    return (
        event.seq,
        event.ts.astimezone(UTC).replace(tzinfo=None),
        event.session,
        event.kind,
        event.state_from,
        event.state_to,
        event.reason or "",
        event.code,
        json_text(event.detail or {}),
        event.worker_pid,
        event.run_id or "",
        event.declaration_rev,
        event.git_commit,
        event.git_branch,
    )
