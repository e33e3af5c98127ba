"""Is this the credential that was last in use here? What must be asked before each start.

An inspection tells whether a file is *a* sound credential. This compares it with what is remembered of *the* one: its
account, its keys, and the bytes that the last clean stop left.
"""

from __future__ import annotations

from pathlib import Path

from wakit.errors import WakitError
from wakit.vault.clean_stop import unchanged
from wakit.vault.inspection import Inspection, inspect
from wakit.vault.problems import Problem
from wakit.vault.record import SessionRecord


def examine(database: Path, record: SessionRecord, key: bytes) -> Inspection:
    """Look at a credential that is about to be started: sound in itself, and the one that was last in use here.

    Args:
        database: ``creds.db``; the caller holds its lock.
        record: What is remembered of it.
        key: The state directory's account key.
    """
    try:
        same = unchanged(database, record)
    except WakitError:
        same = True  # missing, or not to be read now: what follows says so
    found = inspect(database, key)
    if found.kind is not None or found.unreadable:
        return found
    if record.account is not None and found.account != record.account:
        return Inspection.of(
            Problem.OTHER_ACCOUNT, "the credential database belongs to another account than the one last linked here"
        )
    if record.keys is not None and found.keys != record.keys:
        return Inspection.of(Problem.OTHER_KEYS, "the keys in the credential database are not those that were linked")
    if not same:
        return Inspection.of(Problem.CHANGED, "the credential database was changed since its client ended in order")
    return found
