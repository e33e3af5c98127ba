"""A plan that is made while no daemon runs knows what the journal remembers: it is the plan of the next daemon."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wakit.core.records import DeclarationRecord, EventRecord
from wakit.declare import load
from wakit.errors import HeldError
from wakit.journal import Journal
from wakit.redact import account_hash
from wakit.runtime import locate, plan_offline
from wakit.vault import Vault
from wakit.vault.layout import open_layout

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL, ONE = "[sessions.a]\n[sessions.b]\n[sessions.c]\n", "[sessions.a]\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    vault = Vault(open_layout(made / ".wakit"), "shared", lambda: NOW)
    for name in "abc":
        ticket = vault.prepare_pairing(name)
        with closing(sqlite3.connect(ticket.directory / "creds.db")) as connection, connection:
            connection.execute("CREATE TABLE whatsmeow_device (jid TEXT)")
            connection.execute("INSERT INTO whatsmeow_device VALUES ('34600000001:1@s.whatsapp.net')")
        vault.mark_paired(name, account_hash(f"number of {name}", vault.key))
    yield made
    shutil.rmtree(made)


def write(folder: Path, text: str) -> DeclarationRecord:
    """Save a file; return it as a daemon that reads it notes it."""
    path = folder / "sessions.toml"
    path.write_text(text)
    declared = load(path)
    return DeclarationRecord(sha256=declared.sha256, loaded_at=NOW, text=declared.masked_text)


def event(kind: str, session: str | None = None, **more: object) -> EventRecord:
    return EventRecord(**{"ts": NOW, "kind": kind, "run_id": "r1", "session": session, **more})  # type: ignore[arg-type]


async def lived(folder: Path, *items: EventRecord | DeclarationRecord) -> None:
    """Have a daemon run in which this happened, and which was killed."""
    async with Journal.open(folder / ".wakit" / "journal.duckdb") as journal:
        for item in items:
            if isinstance(item, DeclarationRecord):
                journal.declare(item)
            else:
                await journal.log_durably(item)


def planned(folder: Path) -> tuple[list[str], set[str]]:
    """What the plan does, and whom it holds."""
    told = plan_offline(locate(folder / "sessions.toml"))
    return [f"{each.action} {each.session}" for each in told.actions if each.action != "hold"], set(told.held)


async def test_who_is_held_in_service_is_restored_as_the_next_daemon_does(folder: Path) -> None:
    connected = [event("state", name, state_from="starting", state_to="connected") for name in "ab"]
    parked = event("state", "c", state_from="connected", state_to="parked")
    await lived(folder, write(folder, ALL), *connected, parked, write(folder, ONE), event("warning"))
    assert planned(folder) == (["restore b", "restore a"], {"b", "c"})


async def test_who_is_held_since_an_edit_that_no_daemon_saw_is_not_started(folder: Path) -> None:
    connected = [event("state", name, state_from="starting", state_to="connected") for name in "abc"]
    await lived(folder, write(folder, ALL), *connected)
    write(folder, ONE)
    assert planned(folder) == (["restore a"], {"b", "c"})


async def test_who_spent_its_budget_waits_after_a_crash_and_not_after_an_end_in_order(folder: Path) -> None:
    spent = [
        event("state", "b", state_from="starting", state_to="reconnecting"),
        event("try_failed", "b", detail={"failures": 1, "limit": 1}),
        event("state", "b", state_from="reconnecting", state_to="failed", code="restarts", reason="1 try failed"),
    ]
    await lived(folder, write(folder, ALL), *spent)
    assert planned(folder) == (["restore a", "restore c"], set())
    await lived(folder, event("daemon_stop"))
    assert planned(folder) == (["restore a", "restore b", "restore c"], set())


async def test_who_was_healthy_last_starts_first(folder: Path) -> None:
    later = [event("state", name, state_to="connected", ts=NOW.replace(hour=hour)) for hour, name in enumerate("abc")]
    lost = [event("state", name, state_from="connected", state_to="reconnecting") for name in "abc"]
    await lived(folder, write(folder, ALL), *later, *lost)
    assert planned(folder) == (["restore c", "restore b", "restore a"], set())


async def test_a_damaged_journal_leaves_the_plan_to_the_vault(folder: Path) -> None:
    write(folder, ALL)
    (folder / ".wakit" / "journal.duckdb").write_bytes(b"no journal at all")
    assert planned(folder) == (["restore a", "restore b", "restore c"], set())


async def test_while_a_daemon_has_the_journal_its_own_plan_counts(folder: Path) -> None:
    write(folder, ALL)
    async with Journal.open(folder / ".wakit" / "journal.duckdb"):
        with pytest.raises(HeldError):
            planned(folder)
