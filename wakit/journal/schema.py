"""The journal's shape: numbered migrations, applied once each, in order.

``migrations/NNNN_name.sql`` are package data. Each is applied in one transaction together with its row in
``schema_migrations``, so that a crash leaves a file either before or after it. The row keeps the script's SHA-256: a
script that was changed after it was applied is an error of ours and is refused, rather than leaving two journals of the
same number with different shapes. A file with numbers this wakit does not know was written by a newer one, and is
refused untouched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from uuid import uuid4

import duckdb

from wakit.errors import JournalError

_NAME = re.compile(r"(?P<version>\d{4})_\w+\.sql")

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL, name VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered script."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The script's checksum, in hex."""
        return sha256(self.sql.encode()).hexdigest()


def shipped() -> tuple[Migration, ...]:
    """Return the migrations of this wakit, in order."""
    found = [
        Migration(int(match["version"]), entry.name, entry.read_text("utf-8"))
        for entry in (files("wakit.journal") / "migrations").iterdir()
        if (match := _NAME.fullmatch(entry.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


def migrate(
    connection: duckdb.DuckDBPyConnection, now: datetime, migrations: Sequence[Migration] | None = None
) -> None:
    """Bring a journal to this wakit's shape.

    Args:
        connection: A connection that may write.
        now: UTC, without a zone; kept beside each migration.
        migrations: Instead of the shipped ones.

    Raises:
        JournalError: The file was written by a newer wakit, or by one whose scripts differ.
    """
    known = shipped() if migrations is None else tuple(migrations)
    connection.execute(_LEDGER)
    done = check(connection, known)
    for migration in known:
        if migration.version in done:
            continue
        connection.begin()
        try:
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
                [migration.version, migration.name, migration.sha256, now],
            )
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def identify(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Give a new journal its identity; an old one keeps its own."""
    if not connection.execute("SELECT id FROM identity").fetchall():
        connection.execute("INSERT INTO identity VALUES (?, ?)", [str(uuid4()), now])


def check(connection: duckdb.DuckDBPyConnection, migrations: Sequence[Migration]) -> frozenset[int]:
    """Return the versions a journal already has.

    Raises:
        JournalError: One of them is unknown here, or was made by another script.
    """
    known = {migration.version: migration for migration in migrations}
    applied = connection.execute("SELECT version, name, sha256 FROM schema_migrations ORDER BY version").fetchall()
    for version, name, checksum in applied:
        if version not in known:
            raise JournalError(
                "This journal cannot be used",
                why=f"a newer wakit wrote it (migration {name})",
                hint="upgrade wakit, or move journal.duckdb away to begin a new journal",
            )
        if checksum != known[version].sha256:
            raise JournalError(
                "This journal cannot be used",
                why=f"its migration {name} is not the one this wakit ships",
                hint="install the release that wrote it, or move journal.duckdb away to begin a new journal",
            )
    return frozenset(version for version, _, _ in applied)


def require_current(connection: duckdb.DuckDBPyConnection) -> None:
    """Check that a journal opened read-only has this wakit's shape.

    Raises:
        JournalError: An older or a newer wakit wrote it.
    """
    known = shipped()
    if len(check(connection, known)) < len(known):
        raise JournalError(
            "This journal cannot be read yet",
            why="an older wakit wrote it",
            hint="start the daemon once, which brings it up to date: `wakit up`",
        )
