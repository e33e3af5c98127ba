"""The one place that writes: rows into a database whose tables the library made, and that database into its place.

What is written is checked as if it came from a stranger, because in the end it did: the tables' own conditions while
the rows go in, then integrity, foreign keys and the inspection that every credential passes before a start.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from wakit.durable import move
from wakit.errors import CredentialError
from wakit.redact import account_hash
from wakit.vault.inspection import inspect
from wakit.vault.migration.belongings import Belongings, Table, words
from wakit.vault.migration.store import of_the_moment


def fill(database: Path, belongings: Belongings) -> Mapping[str, int]:
    """Insert everything, or nothing; return how many rows of each kind there are now, in words.

    Raises:
        CredentialError: A row is not one that the library could have written.
    """
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    with closing(connection):
        table = ""
        try:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("PRAGMA defer_foreign_keys=ON")
            carried: dict[str, int] = {}
            for each in belongings.tables:
                table = each.name
                if count := _insert(connection, each):
                    carried[words(table)] = count
            table = ""
            connection.execute("COMMIT")
            _check(connection)
        except sqlite3.Error as error:
            raise of_the_moment(error) or _unfit(table, error) from None
        return carried


def put_in_place(database: Path, target: Path, belongings: Belongings) -> None:
    """Check a filled database, and give it its place in one durable step.

    Raises:
        CredentialError: It is not what the library could be given.
    """
    key = secrets.token_bytes(32)
    found = inspect(database, key)
    if not found.linked or found.account != account_hash(belongings.account.reveal(), key):
        raise CredentialError(
            "The credential could not be carried over", why=found.problem or "it came out as another account's"
        )
    database.chmod(0o600)
    descriptor = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    move(database, target)


def _insert(connection: sqlite3.Connection, table: Table) -> int:
    # Names come out of files: only those that the library's own tables have get into a statement.
    known = {row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (table.name,))}
    if not known.issuperset(table.columns) or not table.columns:
        raise CredentialError("The credential could not be carried over", why=f"the library has no {words(table.name)}")
    columns, marks = ", ".join(table.columns), ", ".join("?" * len(table.columns))
    statement = f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608
    return max(0, connection.executemany(statement, table.rows).rowcount)


def _check(connection: sqlite3.Connection) -> None:
    whole = connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
    if not whole or connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise CredentialError("The credential could not be carried over", why="what was written is not sound")
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise CredentialError("The credential could not be carried over", why="another process has it open")


def _unfit(table: str, error: sqlite3.Error) -> CredentialError:
    where = f" among its {words(table)}" if table else ""
    return CredentialError(
        "The credential cannot be carried over",
        why=f"there is something{where} that the library could not have written ({type(error).__name__})",
        hint="put it back from a copy, or link the phone anew: `wakit pair NAME`",
    )
