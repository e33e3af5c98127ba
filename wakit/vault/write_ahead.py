"""The write-ahead log of a credential that a crash left: whether somebody took it away, and how it comes back.

A worker never closes its database, so until the log is brought in, the newest rows may be in ``creds.db-wal`` only. Who
deletes it then ("temporary files") takes them along, and SQLite opens what is left without a word.

- *It is held.* Before each start the log is made, empty, and given a second name, ``held.wal`` (a hard link: no copy,
  no flush, nothing while messages come in). Without a link a deleted log is gone; with it, it is put back.
- *A close in order is no damage.* Who closes the database brings the log in first, so its file was written after the
  log; and who deletes the log leaves the file as it was, which the log was written after. Putting a log back that was
  brought in is harmless in any case: it writes the same pages again. It is only said if it changed something.
- *Without the second name* (another file system, an older wakit) one thing is certain: SQLite makes the log before its
  index, ``creds.db-shm``, and deletes it after that (``sqlite3WalClose`` in its wal.c). So an index without a log means
  that somebody else deleted the log. If neither is there, nobody can know.

Asked under the credential's lock, before SQLite opens anything: the first who opens the database makes a new log.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from wakit.vault.record import SessionRecord, refusal
from wakit.vault.verification import Backup

HELD: Final = "held.wal"
REMOVED: Final = "the write-ahead log of the credential database was removed after its client was killed"
_VERSIONS: Final = slice(18, 20)  # of an SQLite header (sqlite.org/fileformat2.html, 1.3.3): how it is written and read
_WAL: Final = b"\x02\x02"
# A backup's date is noted when its copy is made, so what was written before that by so much is in it.
_COPYING: Final = timedelta(minutes=1)


def hold(database: Path, *, make: bool) -> None:
    """Give the log a second name for the start that is about to come, or that has just made its database.

    Args:
        database: ``creds.db``.
        make: Make the log if there is none; else such a start goes without.
    """
    log, held = _log(database), database.with_name(HELD)
    with suppress(OSError):  # where it cannot be linked, a start is what it was without
        held.unlink(missing_ok=True)
        if not _writes_ahead(database) or not (make or log.exists()):
            return
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        os.link(log, held, follow_symlinks=False)


def let_go(database: Path) -> None:
    """Forget the second name of a log that was brought in."""
    with suppress(OSError):
        database.with_name(HELD).unlink(missing_ok=True)


def bring_back(database: Path) -> bool:
    """Put a log that was removed back in its place; return whether one was put there."""
    log, held = _log(database), database.with_name(HELD)
    try:
        if refusal(held) or not _writes_ahead(database):
            return False
        kept = held.stat()
        in_place = log.stat().st_size if log.exists() else 0
        if in_place or not kept.st_size or database.stat().st_mtime_ns > kept.st_mtime_ns:
            return False
        log.unlink(missing_ok=True)  # an empty one, of somebody who looked into the database since
        os.link(held, log, follow_symlinks=False)
    except OSError:
        return False
    return True


def lies_beside(database: Path) -> bool:
    """Return whether there is a log, of either kind, that is not empty, or whether that cannot be told."""
    try:
        return any(_size(database.with_name(database.name + suffix)) for suffix in ("-wal", "-journal"))
    except OSError:
        return True


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def removed(database: Path) -> bool:
    """Return whether it is certain that somebody removed the log. False may also mean that it cannot be told."""
    index, held = database.with_name(f"{database.name}-shm"), database.with_name(HELD)
    try:
        if not index.exists() or _log(database).exists() or not _writes_ahead(database):
            return False
        return not held.exists() or held.stat().st_size > 0  # else there was nothing in it
    except OSError:
        return False


def has_more(backup: Backup, record: SessionRecord, database: Path) -> bool:
    """Return whether a backup certainly has all of a database without its log, and what was in the log then as well.

    It is of the same start, which began with all there was in the file, and nothing was written to the file since.
    """
    says = backup.manifest
    if says is None or says.epoch != record.epoch:
        return False
    written = datetime.fromtimestamp(database.stat().st_mtime, UTC)
    return written + _COPYING < says.created_at


def _log(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _writes_ahead(database: Path) -> bool:
    with database.open("rb") as file:
        return file.read(_VERSIONS.stop)[_VERSIONS] == _WAL
