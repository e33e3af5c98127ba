"""Databases that arrived in a bundle: unpacked where nobody else looks, and trusted in nothing.

A manifest may lie, and a database may be made by anybody who knows our public key. So each is opened here, in its own
folder, before the library could be given it: it has to be a credential of exactly one device, of the account that the
manifest means, and of tables and indexes only. A view or a trigger would be somebody's program that runs when the
library reads or writes.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wakit.errors import BundleError
from wakit.vault.bundle import Bundle, BundledSession
from wakit.vault.folder import DATABASE
from wakit.vault.giving import account_in
from wakit.vault.inspection import inspect
from wakit.vault.layout import private_folder

_PLAIN: Final = frozenset({"table", "index"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """One session that was unpacked.

    Attributes:
        session: What the manifest says of it.
        folder: Where its database is, alone.
        account: Hash of its account, as this state directory makes it.
    """

    session: BundledSession
    folder: Path
    account: str


def unpack(bundle: Bundle, folder: Path, key: bytes) -> list[Arrival]:
    """Unpack the databases of a bundle and look into each.

    Args:
        bundle: Looked through already.
        folder: Private and empty.
        key: The state directory's account key.

    Raises:
        BundleError: One is not what the manifest says.
        OSError: One cannot be written.
    """
    arrivals = []
    for index, session in enumerate(bundle.manifest.sessions):
        place = private_folder(folder / str(index))
        _write(bundle, index, place / DATABASE)
        arrivals.append(Arrival(session, place, _account(place / DATABASE, session, bundle.manifest.bundle, key)))
    return arrivals


def _write(bundle: Bundle, index: int, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        bundle.extract(index, file)
        file.flush()
        os.fsync(file.fileno())


def _account(database: Path, session: BundledSession, ident: str, key: bytes) -> str:
    problem = _strange(database)
    found = inspect(database, key)
    problem = problem or found.problem
    if not problem and account_in(database, ident) != session.account:
        problem = "it is of another account than the manifest says"
    if problem or found.account is None:
        raise BundleError(
            f"The credential of {session.name!r} in the bundle cannot be used",
            why=problem,
            hint="export it once more; nothing was changed",
        )
    return found.account


def _strange(database: Path) -> str:
    """Say what is in a database beside tables and indexes, or ""."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            found = connection.execute("SELECT type, rootpage FROM sqlite_master").fetchall()
    except sqlite3.Error:
        return ""  # the inspection says it better
    # A table without a page of its own is a virtual one.
    kinds = {f"virtual {kind}" if kind == "table" and not root else str(kind) for kind, root in found} - _PLAIN
    return f"it holds a {min(kinds)}, which no credential has" if kinds else ""
