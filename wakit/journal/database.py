"""Opening ``journal.duckdb``: as its owner, or to read it while nobody owns it.

DuckDB guards the file with an fcntl lock, which belongs to the process and vanishes as soon as the process closes *any*
descriptor of that file. So whoever owns the journal never opens it by other means: permissions are set by path, and
users' SQL cannot name a file (:mod:`wakit.journal.statements`).

``enable_external_access=false`` keeps working what the owner itself needs: DuckDB allows the database, its WAL and its
temp directory. (``disabled_filesystems`` would be tighter, but then DuckDB can neither spill nor remove its own WAL.)
"""

from __future__ import annotations

import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

import duckdb

from wakit.errors import HeldError, JournalError
from wakit.journal import schema

Config: TypeAlias = "dict[str, str | bool | int | float | list[str]]"

MEMORY: Final = "512MB"  # of which the block cache takes what queries leave
QUERY_MEMORY: Final = "128MB"  # a query's sorts and hash tables
SPILL: Final = "512MB"
_QUERY_CONNECTIONS: Final = 2
_LOCKED: Final = "Could not set lock on file"

_SETTINGS: Final[Config] = {
    "memory_limit": MEMORY,
    "max_temp_directory_size": SPILL,
    "threads": 1,  # a query runs in the thread that asks, which is a nice one; the writer never waits for a pool
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "python_enable_replacements": False,  # a query's unknown table is not a Python variable of ours
}


# Within one process DuckDB would hand a second opener the first one's database, lock and all, without a word.
_owned_here: Final[set[Path]] = set()


def claim(path: Path) -> None:
    """Note that this process owns the journal at ``path``.

    Raises:
        HeldError: It does already.
    """
    require_unclaimed(path)
    _owned_here.add(path.resolve())


def require_unclaimed(path: Path) -> None:
    """Check that this process does not own the journal at ``path``.

    Raises:
        HeldError: It does.
    """
    if path.resolve() in _owned_here:
        raise HeldError("The journal is in use", why="this process has it open", hint="use the journal that is open")


def release(path: Path) -> None:
    """Note that this process does not own the journal at ``path`` any more."""
    _owned_here.discard(path.resolve())


@dataclass(frozen=True, slots=True)
class Database:
    """The owner's connections: one that writes, and some for users' queries."""

    writer: duckdb.DuckDBPyConnection
    readers: list[duckdb.DuckDBPyConnection]


def open_owned(path: Path, now: datetime) -> Database:
    """Open the journal to write, create or migrate it if need be, and lock the configuration.

    Args:
        path: The file; its folder exists.
        now: UTC, without a zone.

    Raises:
        HeldError: Another process has it open.
        JournalError: It is no journal, is damaged, or was written by a newer wakit.
    """
    writer = connect(path, read_only=False)
    try:
        schema.migrate(writer, now)
        schema.identify(writer, now)
        for file in (path, path.with_name(path.name + ".wal")):
            with suppress(FileNotFoundError):
                file.chmod(stat.S_IRUSR | stat.S_IWUSR)  # by path: opening it would drop the lock
        readers = [_reader(path) for _ in range(_QUERY_CONNECTIONS)]
        writer.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        writer.close()
        raise unusable(path, error) from None
    except BaseException:
        writer.close()
        raise
    return Database(writer, readers)


def _reader(path: Path) -> duckdb.DuckDBPyConnection:
    """Return another connection to the database this process has open, for queries.

    No cursor of the writer's: DuckDB refuses to close a connection while one of its cursors is busy (seen with 2.0.1),
    and a query that cannot be stopped must not keep the journal from closing. The settings belong to the connection.
    """
    reader = connect(path, read_only=False)
    limit(reader)
    return reader


def limit(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection a query's share of memory, and the time zone the journal's times are in."""
    connection.execute(f"SET operator_memory_limit = '{QUERY_MEMORY}'")
    connection.execute("SET TimeZone = 'UTC'")


def connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open the file with the journal's settings.

    Raises:
        HeldError: Another process has it open.
        JournalError: It cannot be opened, or is no journal.
    """
    try:
        return duckdb.connect(str(path), read_only=read_only, config=dict(_SETTINGS))
    except duckdb.Error as error:
        if _LOCKED in str(error):
            raise HeldError(
                "The journal is in use",
                why="the daemon that owns it is running",
                hint="ask the daemon instead: `wakit.connect().sql(...)`, or stop it: `wakit down`",
            ) from None
        raise unusable(path, error) from None


def unusable(path: Path, error: Exception) -> JournalError:
    """Return the error for a file that DuckDB does not take."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return JournalError(
        f"The journal {path.name} cannot be used",
        why=reason,
        hint="if the disk is not full and the file is damaged, move it away: a new journal begins",
    )
