"""Is this file a credential the library can be given?

The library takes a missing or zero-byte database for a new device and shows a QR; a truncated one aborts the process
(both measured with neonize 0.5.2). So every file is looked at before, from the daemon's process: two SQLite libraries
in one process would defeat each other's POSIX locks, hence never in the worker.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wakit.redact import account_hash

_MAGIC: Final = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspection found.

    Attributes:
        problem: One plain sentence, or "" when the credential is sound.
        linked: There is exactly one device row.
        account: Keyed hash of the account in that row, or None.
    """

    problem: str = ""
    linked: bool = False
    account: str | None = None


def inspect(database: Path, key: bytes) -> Inspection:
    """Look at a credential database that no worker uses now.

    Opening it lets SQLite take over what a killed worker left in the write-ahead log, as the next worker would.

    Args:
        database: ``creds.db``.
        key: The state directory's account key.
    """
    try:
        with database.open("rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        return Inspection("the credential database is missing")
    except OSError as error:
        return Inspection(f"the credential database cannot be read: {error.strerror}")
    if not head:
        return Inspection("the credential database is empty (zero bytes)")
    if head != _MAGIC:
        return Inspection("the credential file is not an SQLite database")
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=5.0)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                return Inspection("the credential database is damaged (quick_check)")
            users = [row[0] for row in connection.execute("SELECT jid FROM whatsmeow_device")]
    except sqlite3.Error as error:
        return Inspection(f"the credential database is damaged or incomplete ({error.sqlite_errorname})")
    if not users:
        return Inspection("the credential database holds no device: it was unlinked, or never paired")
    if len(users) > 1:
        return Inspection(f"the credential database holds {len(users)} devices; wakit keeps one in each")
    # A device's JID is user.agent:device@server (whatsmeow types/jid.go); the user part is the account's number.
    user = str(users[0]).partition("@")[0].partition(":")[0].partition(".")[0]
    return Inspection(linked=True, account=account_hash(user, key))
