"""A thousand kinds of damage to a real credential: none is given to the library where it could be noticed or mended.

The credential is made by real pairing. Each round damages a copy of its folder in one seeded way, once as a clean stop
left it and once as a killed client did (with a write-ahead log), and asks the vault for a start. What comes out is one
of these:

- *untouched*: the damage hit nothing that is read, and the start has every row;
- *mended*: a log that was removed was put back, and the start has every row;
- *recovered*: a backup took its place;
- *told*: the start has what is left, which is newer than any backup, and it is said what is missing;
- *refused*: there was no backup, and a person is told;
- *unnoticed*: a start with other rows than there were. Never after a clean stop, and never with other device keys.

``python tests/bench corruption`` prints the table of docs/design/integrity.md.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from damage import DAMAGES
from support.logins import logins
from support.whatsapp import fresh_number, loopback_whatsapp

from wakit.core.observation import Credential
from wakit.errors import CredentialError
from wakit.vault import Vault, write_ahead
from wakit.vault.inspection import inspect
from wakit.vault.layout import Layout, open_layout
from wakit.vault.manifest import Why

ROUNDS = 1000
SEED = 20261124


@dataclass(frozen=True)
class Original:
    """State directories to damage copies of: as a clean stop left it, as a kill did, and that without a backup."""

    stopped: Path
    killed: Path
    alone: Path
    rows: dict[str, list[Any]]
    keys: str


def opened(state: Path) -> Vault:
    return Vault(Layout(state), "shared", lambda: datetime.now(UTC))


def rows(database: Path) -> dict[str, list[Any]]:
    """Every row of every table of the library; a damaged text is a value like any other."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        names = [
            name.decode("latin-1")
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        tables = [name for name in names if name.startswith("whatsmeow_")]
        return {name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"'))) for name in tables}


def original(folder: Path) -> Original:
    stopped, killed, alone = (folder / name for name in ("stopped", "killed", "alone"))
    left = killed / "sessions/a/shared"
    number = fresh_number()
    with loopback_whatsapp() as whatsapp, logins(whatsapp, folder / "log") as client:
        open_layout(stopped)
        vault = opened(stopped)
        place = vault.prepare_pairing("a").directory
        client.pair(number, place / "creds.db")
        found = inspect(place / "creds.db", vault.key)
        assert found.account is not None
        assert found.keys is not None
        vault.mark_paired("a", found.account)
        vault.prepare_restore("a")
        vault.backup("a", Why.PAIRED)
        shutil.copytree(stopped, killed)
        vault.mark_stopped("a")
        write_ahead.hold(left / "creds.db", make=True)  # a copy has no second names
        client.crash(number, left / "creds.db")
    killed_while_writing(left)
    shutil.copytree(killed, alone)
    shutil.rmtree(alone / "sessions/a/shared/backups")
    return Original(stopped, killed, alone, rows(place / "creds.db"), found.keys)


def killed_while_writing(folder: Path) -> None:
    """Whatever the client wrote before it was killed: the newest row is in the log only."""
    copy = folder.with_name("left")
    with closing(sqlite3.connect(folder / "creds.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("UPDATE whatsmeow_device SET push_name = 'written last'")
        shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)


def outcome(state: Path, wanted: dict[str, list[Any]], keys: str) -> str:
    """Ask for a start, and name what came of it."""
    vault = opened(state)
    assert vault.find("a").credential in (Credential.PRESENT, Credential.DAMAGED), "it must not look new"
    try:
        ticket = vault.prepare_restore("a")
    except CredentialError as error:
        return "refused" if "wakit restore a" in error.hint else f"refused without a way out: {error.hint}"
    database = ticket.directory / "creds.db"
    assert inspect(database, vault.key).keys == keys, "the device's own keys"
    if ticket.recovered is not None and not ticket.recovered.backup:
        assert not ticket.recovered.lossless or rows(database) == wanted
        return "mended" if ticket.recovered.lossless else "told"
    if ticket.recovered is not None:
        assert list(ticket.directory.glob("evidence/*")), "what was damaged is kept"
        return "recovered"
    try:
        return "untouched" if rows(database) == wanted else "unnoticed"
    except (sqlite3.Error, UnicodeDecodeError):
        return "unnoticed"


def campaign(folder: Path, rounds: int) -> dict[str, Counter[str]]:
    """Damage and ask, so many times; return what came out, by kind of damage and by what was damaged."""
    made = original(folder)
    chance = Random(SEED)
    with_log = rows_of_copy(made.killed, folder)
    table: dict[str, Counter[str]] = {}
    state = folder / "state"
    for number in range(rounds):
        kind = list(DAMAGES)[number % len(DAMAGES)]
        source, wanted = [(made.stopped, made.rows), (made.killed, with_log), (made.alone, with_log)][number % 3]
        shutil.copytree(source, state)
        DAMAGES[kind](state / "sessions/a/shared", chance)
        came = outcome(state, wanted, made.keys)
        table.setdefault(f"{kind} | {source.name}", Counter())[came] += 1
        shutil.rmtree(state)
    return table


def rows_of_copy(state: Path, folder: Path) -> dict[str, list[Any]]:
    """The rows with what is in the log, read from a copy: reading moves the log."""
    copy = folder / "read"
    shutil.copytree(state, copy)
    found = rows(copy / "sessions/a/shared/creds.db")
    shutil.rmtree(copy)
    return found


@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_damage_leads_to_a_start_with_damaged_keys(tmp_path: Path) -> None:
    table = campaign(tmp_path, ROUNDS)
    assert sum(sum(came.values()) for came in table.values()) == ROUNDS
    for row, came in table.items():
        if row.endswith("stopped"):
            assert came["unnoticed"] == 0, row
        if not row.endswith("alone"):
            assert came["refused"] == 0, f"{row}: there is a good backup"
        if row.startswith("delete -wal"):
            assert came["unnoticed"] == 0, row
            assert came["untouched"] == 0 or row.endswith("stopped"), row
