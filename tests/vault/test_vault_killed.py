"""Each operation of the vault, killed for real at every call by which it changes the disk.

Whatever the moment: the credential lies in one place with all it held, a start of it needs no person, no backup that is
offered is bad, and the operation can be done again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import killed_operation
import pytest
from credentials import NUMBER, run_sql, store
from killed_operation import OPERATIONS, opened
from support.killing import CALLS, Killed, kill_everywhere

from wakit.core.observation import Credential
from wakit.errors import CredentialError
from wakit.redact import account_hash
from wakit.vault import Vault
from wakit.vault.layout import open_layout
from wakit.vault.manifest import Why


def prepared(root: Path, operation: str) -> None:
    """A session that was linked, started and backed up twice; and what the operation needs."""
    open_layout(root)
    vault = opened(root)
    folder = vault.prepare_pairing("a").directory
    store(folder / "creds.db", NUMBER)
    vault.mark_paired("a", account_hash(NUMBER, vault.key))
    for number in range(3):
        vault.prepare_restore("a")
        run_sql(folder / "creds.db", f"CREATE TABLE whatsmeow_more_{number} (x)")
        run_sql(folder / "creds.db", f"INSERT INTO whatsmeow_more_{number} VALUES ({number})")
        vault.backup("a", Why.MANUAL)
    vault.mark_stopped("a")
    if operation == "back_up":
        vault.prepare_restore("a")
        run_sql(folder / "creds.db", "CREATE TABLE whatsmeow_newest (x)")
    if operation == "revive":
        vault.retire("a", keep=False)
    if operation == "restore":
        (folder / "creds.db").write_bytes(b"")  # so that a backup has to be put back


def content(database: Path) -> list[str]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def alive(vault: Vault) -> Iterator[str]:
    """Names under which the credential can be started without a person."""
    for name in ("a", "b"):
        if vault.find(name).credential in (Credential.PRESENT, Credential.ARCHIVED):
            yield name


@pytest.mark.long
@pytest.mark.skipif(not CALLS, reason="the numbers of this machine's system calls are not known")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_every_step(operation: str, tmp_path: Path) -> None:
    template = tmp_path / "template"
    prepared(template, operation)
    wanted = content(next(template.glob("*/a/*/backups/*/creds.db" if operation == "restore" else "*/a/*/creds.db")))
    points, calls = kill_everywhere(killed_operation.__file__, operation, template, tmp_path / "killed")
    assert len(calls) >= 5, "else nothing was tried"
    for point in points:
        check(operation, point, wanted)


def check(operation: str, point: Killed, wanted: list[str]) -> None:
    vault = opened(point.folder)
    names = list(alive(vault))
    assert len(names) == 1, f"{point.where}: {names}"
    (name,) = names
    for backup in vault.listed_backups(name):
        if not backup.problem:
            vault.find_backup(name, backup.name)  # raises if it is not as good as it says
    with suppress(CredentialError):  # it was done already
        OPERATIONS[operation](vault)
    (name,) = alive(vault)
    if vault.find(name).credential is Credential.ARCHIVED:
        vault.revive(name)
    folder = vault.prepare_restore(name).directory
    kept = content(folder / "creds.db")
    if operation in ("restore", "put_back", "put_back_the_oldest"):
        assert set(kept) >= {line for line in wanted if "whatsmeow_device" in line}, point.where
    else:
        assert kept == wanted, point.where
    vault.backup(name, Why.MANUAL)
    left = [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
    assert not left, f"{point.where}: {left}"
