"""Credentials of the library's shape, and what puts them into a vault; no library runs here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wakit.redact import account_hash
from wakit.vault import Vault

NUMBER = "34600000001"


class Clock:
    """A clock that moves one second a look, so that no two moments are the same."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.moment = start

    def __call__(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


def store(path: Path, *users: str) -> None:
    """Make a credential database with the columns that matter, as whatsmeow's first migration has them."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE whatsmeow_device (jid TEXT PRIMARY KEY, noise_key bytea)")
        for index, user in enumerate(users):
            connection.execute(
                "INSERT INTO whatsmeow_device VALUES (?, x'00')", (f"{user}:{index + 1}@s.whatsapp.net",)
            )


def pair(vault: Vault, name: str, user: str = NUMBER) -> Path:
    """What a worker and the daemon do when a phone links a session."""
    ticket = vault.prepare_pairing(name)
    store(ticket.directory / "creds.db", user)
    vault.mark_paired(name, account_hash(user, vault.key))
    return ticket.directory


def run_sql(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)
