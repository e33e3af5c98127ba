"""A journal without a fleet: one that was kept, or sent by somebody, or made up for learning."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wakit.core.records import EventRecord
from wakit.notebook.chronicle import Chronicle
from wakit.notebook.history import History

if TYPE_CHECKING:
    from wakit.notebook.answer import Answer
    from wakit.sim.month import Record


class KeptJournal(Chronicle):
    """Asks one journal's file. Made by :func:`wakit.read_journal` and :func:`wakit.example_month`.

    Args:
        path: The file; closed again after each look.

    Example:
        >>> journal.uptime("emea-1", since="2026-10-13", until="2026-10-13").relation.select("connected").fetchall()
        [('22 h 43 min',)]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._history = History(path)

    def sql(
        self,
        query: str,
        params: Mapping[str, Any] | list[Any] | None = None,
        *,
        names: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Ask the journal, as :meth:`Fleet.sql` does.

        Raises:
            QueryError: The query is wrong.
            JournalError: The journal cannot be read.

        Example:
            >>> journal.sql("SELECT count(*) AS n FROM declarations").to_dicts()
            [{'n': 3}]
        """
        return self._history.sql(query, params, names)

    def close(self) -> None:
        """Drop the copy; relations made from it end with it."""
        self._history.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        (first, last, events, sessions), *_ = self.sql(
            "SELECT min(ts), max(ts), count(*), count(DISTINCT session) FROM events"
        ).fetchall()
        when = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}" if events else "nothing yet"
        return f"Journal {self.path.name}: {events} events of {sessions} sessions, {when}"


def read_journal(path: str | Path) -> KeptJournal:
    """Read a journal that no daemon owns: a ``journal.duckdb``, or a state directory with one.

    Args:
        path: The file, or the folder.

    Raises:
        HeldError: A daemon owns it; :func:`wakit.connect` asks that one.
        JournalError: There is none, or it cannot be read.

    Example:
        >>> with wakit.read_journal(folder) as journal:
        ...     journal.sql("SELECT session, state FROM sessions_now").fetchall()
        [('sales', 'connected')]
    """
    file = Path(path)
    file = file / "journal.duckdb" if file.is_dir() else file
    journal = KeptJournal(file)
    journal.sql("SELECT 1")  # what is wrong with it is said here, not at the first question
    return journal


def example_month(seed: int = 7) -> KeptJournal:
    """Make up the journal of a month, to learn asking on: twelve sessions, and one bad Tuesday.

    Nothing is shipped; the story is generated (:mod:`wakit.sim.month`), and the same seed gives the same one.

    Args:
        seed: Which story.

    Example:
        >>> with wakit.example_month(seed=7) as month:
        ...     month
        Journal month.duckdb: 2351 events of 12 sessions, 2026-09-28 to 2026-10-28
    """
    from wakit.sim.month import month  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="wakit-month-") as folder:
        file = Path(folder) / "month.duckdb"
        with ThreadPoolExecutor(1) as thread:  # a cell runs inside a loop already
            thread.submit(asyncio.run, _write(file, month(seed))).result()
        journal = KeptJournal(file)
        journal.sql("SELECT 1")  # the copy is in memory from here on
    return journal


async def _write(file: Path, records: Iterable[Record]) -> None:
    from wakit.journal import Journal  # noqa: PLC0415

    async with Journal.open(file) as journal:
        for record in records:
            if isinstance(record, EventRecord):
                journal.log(record)
            else:
                journal.declare(record)
