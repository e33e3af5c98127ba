"""Is this file a credential the library can be given?

The library takes a missing or zero-byte database for a new device and shows a QR; a truncated one aborts the process
(both measured with neonize 0.5.2). So every file is looked at before, from the daemon's process: two SQLite libraries
in one process would defeat each other's POSIX locks, hence never in the worker.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wakit.redact import account_hash
from wakit.vault.record import refusal

_MAGIC: Final = b"SQLite format 3\x00"
# The primary result codes that speak of the file's content (sqlite.org/rescode.html). Every other one (FULL, IOERR,
# BUSY, CANTOPEN, PERM, ...) speaks of the moment, and says nothing about the credential.
_DAMAGE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# quick_check tells of a page it could not get in a row, not by failing.
_ROW_CODE: Final = re.compile(r"error code=(\d+)")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspection found.

    Attributes:
        problem: One plain sentence, or "" when the credential is sound.
        linked: There is exactly one device row.
        account: Keyed hash of the account in that row, or None.
        unreadable: It could not be looked at; nothing is known about the credential.
    """

    problem: str = ""
    linked: bool = False
    account: str | None = None
    unreadable: bool = False


def inspect(database: Path, key: bytes) -> Inspection:
    """Look at a credential database that no worker uses now.

    Opening it lets SQLite take over what a killed worker left in the write-ahead log, as the next worker would.

    Args:
        database: ``creds.db``.
        key: The state directory's account key.
    """
    try:
        for path in (database, *(database.with_name(database.name + suffix) for suffix in ("-wal", "-shm"))):
            if why := _refusal(path, needed=path is database):
                return Inspection(f"the credential file {path.name} is refused: {why}")
        with database.open("rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        return Inspection("the credential database is missing")
    except OSError as error:
        return Inspection(f"the credential database cannot be read: {error.strerror}", unreadable=True)
    if not head:
        return Inspection("the credential database is empty (zero bytes)")
    if head != _MAGIC:
        return Inspection("the credential file is not an SQLite database")
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=5.0)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if verdict != "ok":
                return _bad_pages(verdict)
            users = [row[0] for row in connection.execute("SELECT jid FROM whatsmeow_device")]
    except sqlite3.Error as error:
        return _failed(error)
    if not users:
        return Inspection("the credential database holds no device: it was unlinked, or never paired")
    if len(users) > 1:
        return Inspection(f"the credential database holds {len(users)} devices; wakit keeps one in each")
    # A device's JID is user.agent:device@server (whatsmeow types/jid.go); the user part is the account's number.
    user = str(users[0]).partition("@")[0].partition(":")[0].partition(".")[0]
    return Inspection(linked=True, account=account_hash(user, key))


def _refusal(path: Path, *, needed: bool) -> str:
    try:
        return refusal(path)
    except FileNotFoundError:
        if needed:
            raise
        return ""


def _bad_pages(verdict: str) -> Inspection:
    code = _ROW_CODE.search(verdict)
    if code is not None and int(code[1]) & 0xFF not in _DAMAGE:
        return Inspection("the credential database cannot be read: a page could not be got", unreadable=True)
    return Inspection("the credential database is damaged (quick_check)")


def speaks_of_damage(error: sqlite3.Error) -> bool:
    """Return whether an error is about what the file holds, rather than about the moment."""
    # Errors of Python's own making carry no code; they are about what a value holds.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _DAMAGE  # the extended code's low byte is the primary one


def _failed(error: sqlite3.Error) -> Inspection:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if not speaks_of_damage(error):
        return Inspection(f"the credential database cannot be read ({name})", unreadable=True)
    return Inspection(f"the credential database is damaged or incomplete ({name})")
