"""A credential of some size with backups, without a vault around it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from credentials import NUMBER, Clock, store

from wakit.core.declaration import VaultPolicy
from wakit.redact import account_hash
from wakit.vault.backups import Backups
from wakit.vault.manifest import Why
from wakit.vault.record import SessionRecord
from wakit.vault.verification import Backup

KEY = b"k" * 32
ACCOUNT = account_hash(NUMBER, KEY)
RECORD = SessionRecord(epoch=3, paired_at=datetime(2026, 1, 1, tzinfo=UTC), account=ACCOUNT)
SMALL = VaultPolicy()


def credential(root: Path, *, rows: int = 10, user: str = NUMBER) -> Path:
    """Make a credential's folder with a database in WAL mode, and return the folder."""
    folder = root / "sales" / "shared"
    folder.mkdir(parents=True, mode=0o700)
    store(folder / "creds.db", user)
    fill(folder / "creds.db", rows)
    return folder


def fill(database: Path, rows: int) -> None:
    """Add sessions of the size that the library stores; what they hold is the same each time."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS whatsmeow_sessions (their_id TEXT PRIMARY KEY, session bytea)")
        first = connection.execute("SELECT count(*) FROM whatsmeow_sessions").fetchone()[0]
        connection.executemany(
            "INSERT INTO whatsmeow_sessions VALUES (?, ?)",
            [(f"{number}.0", number.to_bytes(4) * 200) for number in range(first, first + rows)],
        )


def backups(
    folder: Path, policy: VaultPolicy = SMALL, *, now: Callable[[], datetime] | None = None, free_space_floor: int = 0
) -> Backups:
    return Backups(folder, policy, now or Clock(), KEY, free_space_floor=free_space_floor)


def count(database: Path) -> int:
    """Count the sessions in a database that is not to be changed."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM whatsmeow_sessions").fetchone()[0])


def names(folder: Path) -> list[str]:
    """Name all that lies in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


def unfinished(folder: Path) -> list[str]:
    """Name what an interrupted operation left behind."""
    return sorted(path.name for path in folder.rglob(".*"))


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def change(folder: Path, rows: int = 1) -> None:
    fill(folder / "creds.db", rows)


def takes(kept: Backups, folder: Path, number: int) -> list[Backup]:
    """Take backups of a credential that changes in between; the oldest first."""
    taken = []
    for _ in range(number):
        change(folder)
        taken.append(kept.take(Why.SCHEDULE, RECORD).backup)
    return taken


def set_aside(folder: Path) -> None:
    for path in folder.glob("creds.db*"):
        path.rename(path.with_name(f"old-{path.name}"))


def spoil(backup: Backup) -> None:
    flip(backup.folder / "creds.db", 9000)
