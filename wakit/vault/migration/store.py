"""A whatsmeow store as a file from a stranger: copied before it is opened, checked, and nothing in it is run.

The copy is made byte by byte, so the other tool's file is never opened as a database and never changes. That nobody
wrote to it meanwhile is seen by size and time. Views and triggers of a foreign file are not looked at, its functions
are not trusted (``trusted_schema``), and names out of it get into a statement only if they look like the library's.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wakit.errors import CredentialError
from wakit.vault.migration import files
from wakit.vault.migration.belongings import DEVICES, VERSIONS, counted

_MOST: Final = 4 << 30
_PARTS: Final = ("", "-wal", "-journal")  # what SQLite needs to see a store as its last writer left it
_TABLE: Final = re.compile(r"whatsmeow_[a-z0-9_]{1,48}")
_COLUMN: Final = re.compile(r"[a-z0-9_]{1,48}")
# A virtual table runs code when it is read, and a table made from a query when it is made.
_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
    " AND sql LIKE 'CREATE TABLE%' AND sql NOT LIKE '%SELECT%'"
)
_BACK: Final = "put the store back from a copy, or link the phone anew: `wakit pair NAME`"
# The primary result codes that speak of the moment (sqlite.org/rescode.html), and not of what a database holds.
_OF_THE_MOMENT: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)


@dataclass(frozen=True, slots=True)
class Version:
    """A store's version, and the oldest one whose programs can still use it (go-util's dbutil)."""

    number: int
    compatible: int


@dataclass(frozen=True, slots=True)
class Store:
    """An open database: which tables of the library's it has, and what columns they have."""

    connection: sqlite3.Connection
    tables: dict[str, tuple[str, ...]] = field(repr=False)

    def rows(self, table: str, columns: Sequence[str], *, owner: tuple[str, str] | None = None) -> sqlite3.Cursor:
        """Read a table; with ``owner`` (a column and its value) only those rows."""
        where, values = (f" WHERE {owner[0]} = ?", owner[1:]) if owner else ("", ())
        statement = f"SELECT {', '.join(columns)} FROM {table}{where}"  # noqa: S608 - names of the library's shape
        return self.connection.execute(statement, values)

    def described(self, table: str) -> str:
        """Return the statement that made a table."""
        query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
        return str(self.connection.execute(query, (table,)).fetchone()[0])

    def version(self) -> Version | None:
        """Return its version, or None if it does not say."""
        wanted = [each for each in ("version", "compat") if each in self.tables.get(VERSIONS, ())]
        row = self.rows(VERSIONS, wanted).fetchone() if wanted[:1] == ["version"] else None
        if row is None or type(row[0]) is not int:
            return None
        return Version(row[0], row[-1] if type(row[-1]) is int else row[0])


def copy(source: Path, target: Path) -> None:
    """Copy a store with what belongs to it.

    Raises:
        CredentialError: It is missing, a link, too large, or is being written to.
        OSError: The copy cannot be written.
    """
    before = _marks(source)
    for part, mark in zip(_PARTS, before, strict=True):
        if mark is not None:
            _copy_file(source, part, target)
    if before != _marks(source):
        raise _refused(source, "a program is writing to it", "stop the other tool for good, then try again")


@contextmanager
def opened(database: Path, *, checked: bool = False) -> Iterator[Store]:
    """Open a database while the block lasts; with ``checked``, after its integrity was.

    Raises:
        CredentialError: It is damaged, or no store of whatsmeow's.
    """
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=5.0)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            try:
                sound = not checked or connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
                tables = _tables(connection)
            except UnicodeDecodeError:  # Python cannot even say SQLite's message, which quotes what it found
                sound = False
            if not sound:
                raise _damaged(None)
            yield Store(connection, tables)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise of_the_moment(error) or _damaged(error) from None


def of_the_moment(error: sqlite3.Error | sqlite3.Warning) -> CredentialError | None:
    """Return the error for what a full disk or a missing permission kept from being read or written, else None."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _OF_THE_MOMENT:  # an extended code's low byte is the primary one
        return None
    name = getattr(error, "sqlite_errorname", "")
    return CredentialError(
        "The credential could not be carried over",
        why=f"the system did not let a database be read or written ({name})",
        hint="make room on the disk, or mend the permissions, then try again; nothing was changed",
    )


def _damaged(error: sqlite3.Error | sqlite3.Warning | None) -> CredentialError:
    name = getattr(error, "sqlite_errorname", "a value of a wrong kind") if error else "integrity_check"
    return CredentialError(
        "The store cannot be carried over", why=f"it is damaged, or not as the library makes it ({name})", hint=_BACK
    )


def no_store(why: str) -> CredentialError:
    """Return the error for a database that is something else."""
    return CredentialError(
        "This is no store of whatsmeow's",
        why=why,
        hint=f"name the database that holds the table {DEVICES}; some tools keep another one for their own",
    )


def _tables(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    names = [str(row[0]) for row in connection.execute(_TABLES)]
    for name in names:
        if _TABLE.fullmatch(name):
            columns = tuple(str(row[1]) for row in connection.execute(f"PRAGMA table_info({name})"))
            if not all(_COLUMN.fullmatch(each) for each in columns):
                raise no_store("its tables are not those of whatsmeow")
            found[name] = columns
    if "jid" not in found.get(DEVICES, ()):
        raise no_store(f"it has {counted(len(names), 'table', 'tables')}, but none of devices")
    return found


def _marks(source: Path) -> list[tuple[int, int, int] | None]:
    """Return by what it is told that a file was written to, for each that is there."""
    try:
        return [_mark(source, part) for part in _PARTS]
    except files.NotPlainError:
        raise _refused(source, "it is a link, or no plain file", "name the real file") from None
    except OSError as error:
        raise files.unreadable(source, error) from None


def _mark(source: Path, part: str) -> tuple[int, int, int] | None:
    try:
        with files.open_plain(_beside(source, part)) as descriptor:
            status = os.fstat(descriptor)
    except FileNotFoundError:
        if not part:
            raise
        return None
    if status.st_size > _MOST:
        raise _refused(source, "it is larger than any store of credentials", "name the store itself")
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copy_file(source: Path, part: str, target: Path) -> None:
    try:
        with files.open_plain(_beside(source, part)) as descriptor:
            reading = os.dup(descriptor)
    except FileNotFoundError:
        return  # it was just there: the marks will tell
    except OSError as error:
        raise files.unreadable(source, error) from None
    with os.fdopen(reading, "rb") as old:
        new = os.open(_beside(target, part), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(new, "wb") as file:
            shutil.copyfileobj(old, file, 1 << 20)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _refused(source: Path, why: str, hint: str) -> CredentialError:
    return CredentialError(f"The store {files.shown(source)} is refused", why=why, hint=hint)
