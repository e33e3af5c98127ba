"""Another tool's credential as a session of a fleet: the vault's migration, joined with the library's own tables.

It is made in a folder of its own inside the state directory, one at a time, and moved into the session's place under
the lock that a worker would hold. What a crash leaves in that folder is removed before the next one.

A daemon may be running meanwhile: it looks at a session's place before it links it anew, and starts what it finds. A
session that is not declared rests until it is; else the daemon would retire it for not being in the file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from wakit.core.observation import Credential
from wakit.declare import load
from wakit.errors import CredentialError, HeldError
from wakit.redact import PhoneNumber, account_hash
from wakit.runtime.place import Place
from wakit.vault import Vault
from wakit.vault.folder import DATABASE
from wakit.vault.layout import Layout, open_layout, private_folder
from wakit.vault.migration import Kind, Migrated, migrate
from wakit.worker.tables import make_tables

_INCOMING: Final = "incoming"


def import_foreign(
    place: Place, name: str, source: Path, kind: Kind | None = None, account: PhoneNumber | None = None
) -> Migrated:
    """Make another tool's credential the credential of a session; no phone is needed.

    Args:
        place: The fleet.
        name: The session; declared or not, it has no credential yet.
        source: The other tool's folder or file; it is only read.
        kind: What the source is; None recognises it.
        account: Which of several devices; None takes the session's declared number, if there is one.

    Raises:
        CredentialError: It cannot be carried over, or not to this name; says why, and the shortest way on.
        DeclarationError: The fleet's file is no declaration.
        HeldError: A worker uses the session's place, or another import is under way.
        StateDirectoryError: The state directory cannot be used.
        WorkerError: The library could not make its tables.

    Example:
        >>> from wakit.runtime import locate
        >>> import_foreign(locate(), "sales", Path("auth"))  # doctest: +SKIP
        Migrated(account=Secret('•••'), carried={'device': 1, 'pre keys': 812, ...}, ...)
    """
    declaration = load(place.config, git=False)
    spec = declaration.sessions.get(name)
    declared = spec.phone if spec is not None else None
    if account is not None and declared is not None and account != declared:
        raise CredentialError(
            f"{name!r} cannot become {account}",
            why=f"its declared `phone` is {declared}",
            hint="give the other number a session of its own",
        )
    layout = open_layout(place.state_dir)
    vault = Vault(layout, declaration.fleet.strategy, lambda: datetime.now(UTC))
    if vault.find(name).credential not in (Credential.ABSENT, Credential.UNLINKED):
        raise CredentialError(
            f"Session {name!r} cannot take in a credential",
            why="it has, or had, one of its own",
            hint="choose another name, or retire this one first",
        )
    with _incoming(layout) as folder:
        database = folder / DATABASE
        migrated = migrate(source, database, kind=kind, account=account or declared, blank=make_tables)
        whose = account_hash(migrated.account.reveal(), vault.key)
        vault.adopt(name, database, whose, resting=spec is None)
    return migrated


@contextmanager
def _incoming(layout: Layout) -> Iterator[Path]:
    """Give an empty folder that is gone afterwards, to one at a time."""
    lock = FileLock(layout.root / f"{_INCOMING}.lock", mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise HeldError(
            "Another credential is being taken in", why="one at a time is", hint="wait until it is done"
        ) from None
    folder = layout.root / _INCOMING
    try:
        shutil.rmtree(folder, ignore_errors=True)
        yield private_folder(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
