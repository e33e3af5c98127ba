"""What a client that ended in order left behind: noted after its process is gone, compared before the next start.

SQLite notices less than half of the damage a disk can do. Between two starts nobody has any business in the database,
so every byte of it must be what it was. Nothing of the kind can be said after a crash, nor of a session that left a
worker which lives on and still holds the file open.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from wakit.errors import WakitError
from wakit.vault import write_ahead
from wakit.vault.record import CleanStop, SessionRecord
from wakit.vault.snapshot import source_digest


def take(database: Path, epoch: int, now: datetime) -> CleanStop | None:
    """Bring the write-ahead log into the database and remember its bytes; None if that cannot be done now.

    The caller holds the credential's lock, and its last client's process has ended.
    """
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=1.0)) as connection:
            (busy, *_counts) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy or write_ahead.lies_beside(database):
            return None
        left = CleanStop(epoch=epoch, digest=source_digest(database), at=now)
    except (sqlite3.Error, WakitError, OSError):
        return None  # the next start looks at it in any case, and says what is wrong
    write_ahead.let_go(database)
    return left


def unchanged(database: Path, record: SessionRecord) -> bool:
    """Return whether a database is what the last clean stop left, as far as there was one.

    Must be asked before SQLite opens the file: opening may move what lies in the log into it.

    Raises:
        WakitError: It is missing, or cannot be read now.
    """
    return record.clean_stop is None or source_digest(database) == record.clean_stop.digest
