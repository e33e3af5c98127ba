"""A sound copy of a credential database, taken while a worker writes to it.

A copy of the file would be torn; SQLite's online backup is not, if it is asked for all pages in one step: with fewer,
each write of the library starts it again, and it never ends. Three doubts remain, and are answered here:

- *Is it everything?* A copy that is cut off in the middle can open as empty and valid. So the rows of every table are
  counted in the very transaction that the copy is made from (``sqlite3_backup_step`` reads inside the transaction that
  its source connection is in), and counted again in the copy.
- *Is it sound?* ``integrity_check`` runs on the copy, where it delays nobody.
- *Is it there?* SQLite writes a draft that is never flushed. What was found sound is written from it under a temporary
  name, hashed on the way, fsynced in small steps, renamed, and its folder fsynced.

The source is opened read-only: nothing is ever written to the original, not even a checkpoint. The copy leaves WAL
mode, so that it is one file without companions; the library turns WAL on again when it opens a database.

This runs in the daemon or in a command, never where the library runs: a second SQLite in one process defeats the locks
of the first. For the same reason one process does one thing at a time with one credential: closing any descriptor of a
file drops all POSIX locks the process has on it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wakit.errors import CredentialError, CredentialUnreadableError, WakitError
from wakit.vault.disk import (
    FREE_SPACE_FLOOR,
    BackupError,
    NoSpaceError,
    file_sha256,
    free_space,
    pieces,
    refused,
    require_space,
    write,
)
from wakit.vault.inspection import speaks_of_damage
from wakit.vault.record import refusal

COMPANIONS: Final = ("-wal", "-shm", "-journal")
_BUSY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was copied: the copy's hash and size, and the rows of each table."""

    sha256: str
    size: int
    rows: Mapping[str, int]


def snapshot(source: Path, target: Path, *, free_space_floor: int = FREE_SPACE_FLOOR) -> Snapshot:
    """Copy a database that may be in use.

    Args:
        source: The database; a worker in another process may write to it meanwhile.
        target: Appears by one rename, whole and durable, or not at all.
        free_space_floor: How many bytes must stay free on the target's disk.

    Raises:
        CredentialError: The source is missing, refused or damaged.
        CredentialUnreadableError: It cannot be read now, which says nothing about it.
        NoSpaceError: The disk is full, or would be too full.
        BackupError: The copy cannot be written for another reason.
    """
    with drafted(source, target.parent, free_space_floor=free_space_floor) as (draft, taken):
        write(target, pieces(draft), sha256=taken.sha256)
    return taken


@contextmanager
def drafted(source: Path, folder: Path, *, free_space_floor: int = FREE_SPACE_FLOOR) -> Iterator[tuple[Path, Snapshot]]:
    """Hold a sound copy of a database that is on no disk yet, for as long as the block runs.

    What the block cannot write is told as :func:`snapshot` tells it, and so are the errors.
    """
    needed = 2 * _size(source) + free_space_floor  # the draft, and what is made of it
    require_space(folder, needed)
    place = folder / f".draft.{secrets.token_hex(4)}.tmp"  # a folder, so that what SQLite puts beside it goes with it
    draft = place / source.name
    try:
        place.mkdir(mode=0o700)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        rows = _copy(source, draft)
        yield draft, Snapshot(file_sha256(draft), draft.lstat().st_size, rows)
    except OSError as error:
        raise refused(folder, needed, error) from None
    except sqlite3.Error as error:
        raise _failed(source, folder, needed, error) from None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def source_digest(database: Path) -> str:
    """Hash a database's files as they lie on the disk, to tell later whether anything was written since.

    Taken before a copy is made: equal digests then mean that the copy misses nothing. It may be torn by a write, and
    then equals no later one.

    Raises:
        CredentialError: The database is missing.
        CredentialUnreadableError: It cannot be read now.
    """
    digest = hashlib.sha256()
    for suffix in ("", "-wal", "-journal"):
        path = database.with_name(database.name + suffix)
        try:
            digest.update(bytes.fromhex(file_sha256(path)))
        except FileNotFoundError:
            if not suffix:
                raise _missing(database) from None
            digest.update(hashlib.sha256().digest())  # an empty log is as good as none
        except OSError as error:
            raise CredentialUnreadableError.of(path, error) from None
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> dict[str, int]:
    with closing(_connect(target, "rw")) as copy:
        copy.execute("PRAGMA locking_mode=EXCLUSIVE")  # nobody else opens it, so it needs no shared memory beside it
        copy.execute("PRAGMA synchronous=OFF")
        copy.execute("PRAGMA journal_mode=OFF")
        with closing(_connect(source, "ro")) as live:
            live.execute("BEGIN")
            rows = _count(live)
            if not rows:
                raise _damaged(source, "it holds no table")
            live.backup(copy, pages=-1)
            live.execute("COMMIT")
        copy.execute("PRAGMA journal_mode=DELETE")
        verdict = str(copy.execute("PRAGMA integrity_check(1)").fetchone()[0])
        copied = _count(copy)
    if verdict != "ok":
        raise _damaged(source, "integrity_check finds damage in a copy of it")
    if copied != rows:
        raise BackupError(
            f"The copy of {source} is not whole",
            why="its tables have other numbers of rows than the original's",
            hint="it is tried again by itself; look at the disk if this comes again",
        )
    return rows


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


def _count(connection: sqlite3.Connection) -> dict[str, int]:
    # A table without a root page is a virtual one: its content lies in others.
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name")
    quoted = {str(name): '"' + str(name).replace('"', '""') + '"' for (name,) in tables.fetchall()}
    counts = {name: connection.execute(f"SELECT count(*) FROM {table}") for name, table in quoted.items()}  # noqa: S608
    return {name: int(cursor.fetchone()[0]) for name, cursor in counts.items()}


def _size(source: Path) -> int:
    """Return how large a copy may become: what is in the log may not be in the database yet."""
    try:
        if why := refusal(source):
            raise CredentialError(f"{source} is refused", why=why, hint="put the real file of your user in its place")
        size = source.lstat().st_size
    except FileNotFoundError:
        raise _missing(source) from None
    except OSError as error:
        raise CredentialUnreadableError.of(source, error) from None
    try:
        return size + source.with_name(f"{source.name}-wal").lstat().st_size
    except OSError:
        return size


def _failed(source: Path, folder: Path, needed: int, error: sqlite3.Error) -> WakitError:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    code, free = getattr(error, "sqlite_errorcode", 0) & 0xFF, free_space(folder)
    # A full disk comes in more than one dress: what cannot be written beside the source is an I/O error.
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and free < needed):
        return NoSpaceError(folder, needed=needed, free=free)
    if speaks_of_damage(error):
        return _damaged(source, f"it cannot be copied ({name})")
    return CredentialUnreadableError(
        f"{source} cannot be copied now", why=f"SQLite says {name}", hint="it is tried again by itself"
    )


def _damaged(source: Path, why: str) -> CredentialError:
    return CredentialError(f"{source} is damaged", why=why, hint="put back the newest good backup of it")


def _missing(source: Path) -> CredentialError:
    return CredentialError(f"{source} is missing", why="there is nothing to copy", hint="put back a backup of it")
