"""Reading the journal while no daemon owns it: a second, read-only way in, for the command line and notebooks.

The file is opened read-only, so a WAL that a killed daemon left is replayed in memory and nothing changes on disk. The
same fences and limits hold as in the daemon.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from wakit.errors import JournalError
from wakit.journal import database, schema
from wakit.journal.ledger import LAST_HEALTHY
from wakit.journal.queries import Interruption, Limits, Parameters, Query, run, to_ipc

_NO_LIMITS = Limits()


class OfflineJournal:
    """A journal nobody owns, opened read-only. Use :func:`open_read_only`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, sql: str, *, params: Parameters = None, limits: Limits = _NO_LIMITS) -> pa.Table:
        """Run one reading statement; as :meth:`wakit.journal.Journal.query`, but blocking.

        Raises:
            QueryError: It was refused, is wrong, or went over a limit.
        """
        return run(self._connection, Query(sql, params, limits), Interruption(limits.timeout))

    def query_ipc(self, sql: str, *, params: Parameters = None, limits: Limits = _NO_LIMITS) -> bytes:
        """Run a query and return its result as an Arrow IPC stream."""
        return to_ipc(self.query(sql, params=params, limits=limits))

    def text_before(self, sha256: str) -> str | None:
        """Return the text of the newest declaration that has another checksum; as :meth:`wakit.journal.Journal`'s."""
        sql = "SELECT text FROM declarations WHERE sha256 <> ? ORDER BY rev DESC LIMIT 1"
        found = self._connection.execute(sql, [sha256]).fetchone()
        return found[0] if found else None

    def continues(self, sha256: str) -> bool:
        """Return whether the newest declaration has this checksum; as :meth:`wakit.journal.Journal`'s."""
        found = self._connection.execute("SELECT sha256 FROM declarations ORDER BY rev DESC LIMIT 1").fetchone()
        return found == (sha256,)

    def last_healthy(self) -> dict[str, datetime]:
        """Return when each session was last known to be connected; as :meth:`wakit.journal.Journal`'s."""
        return {name: at.replace(tzinfo=UTC) for name, at in self._connection.execute(LAST_HEALTHY).fetchall()}

    def close(self) -> None:
        """Close the file, so that a daemon can own it."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_read_only(path: Path) -> OfflineJournal:
    """Open a journal that no daemon owns.

    While it is open, no daemon can start on it: close it soon.

    Raises:
        HeldError: A daemon owns it; ask that one.
        JournalError: There is no journal, it is damaged, or another wakit wrote it.

    Example:
        >>> def states(path):
        ...     with open_read_only(path) as journal:
        ...         return journal.query("SELECT session, state FROM sessions_now")
    """
    if not path.exists():
        raise JournalError("There is no journal", why=f"{path} does not exist", hint=_how_to_get_one(path))
    database.require_unclaimed(path)
    connection = database.connect(path, read_only=True)
    try:
        schema.require_current(connection)
        database.limit(connection)
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise database.unusable(path, error) from None
    except BaseException:
        connection.close()
        raise
    return OfflineJournal(connection)


def _how_to_get_one(path: Path) -> str:
    simulated = path.parent.with_name(path.parent.name + "-sim") / path.name  # as wakit.runtime.place has it
    if simulated.exists():
        return "the simulated fleet has one: add `--sim`"
    return "start the daemon once: `wakit up`"
