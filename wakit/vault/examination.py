"""Is this the credential that was last in use here? What must be asked before each start.

An inspection tells whether a file is *a* sound credential. This compares it with what is remembered of *the* one: its
account, its keys, and the bytes that the last clean stop left; or, after a crash, with the log that it left.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wakit.errors import WakitError
from wakit.vault import write_ahead
from wakit.vault.clean_stop import unchanged
from wakit.vault.disk import file_sha256
from wakit.vault.inspection import Inspection, inspect
from wakit.vault.problems import Problem
from wakit.vault.record import SessionRecord


def examine(database: Path, record: SessionRecord, key: bytes) -> Inspection:
    """Look at a credential that is about to be started: sound in itself, and the one that was last in use here.

    A log that was removed and can be put back is put back.

    Args:
        database: ``creds.db``; the caller holds its lock.
        record: What is remembered of it.
        key: The state directory's account key.
    """
    if record.clean_stop is None:
        return _after_a_crash(database, record, key)
    same, untouched = True, False
    try:
        same = unchanged(database, record)
        untouched = same and not write_ahead.lies_beside(database)
    except WakitError:
        pass  # missing, or not to be read now: what follows says so
    # What nobody touched since it was closed in order has no log to bring in. So SQLite need not make one, nor its
    # index, nor take both away again, which costs as much as all the rest.
    found = _known(inspect(database, key, untouched=untouched), record)
    if found.kind is None and not found.unreadable and not same:
        return Inspection.of(Problem.CHANGED, "the credential database was changed since its client ended in order")
    return found


def _after_a_crash(database: Path, record: SessionRecord, key: bytes) -> Inspection:
    before = file_sha256(database) if write_ahead.bring_back(database) else ""
    lost = not before and write_ahead.removed(database)
    found = _known(inspect(database, key, untouched=lost), record)
    if found.kind is not None or found.unreadable:
        return found
    if lost:
        return Inspection.of(Problem.LOG_MISSING, write_ahead.REMOVED)
    if before and file_sha256(database) != before:
        return replace(found, mended=f"{write_ahead.REMOVED}; wakit had kept hold of it, and it is in its place again")
    return found


def _known(found: Inspection, record: SessionRecord) -> Inspection:
    """Return what was found in a database, compared with what is remembered."""
    if found.kind is not None or found.unreadable:
        return found
    if record.account is not None and found.account != record.account:
        return Inspection.of(
            Problem.OTHER_ACCOUNT, "the credential database belongs to another account than the one last linked here"
        )
    if record.keys is not None and found.keys != record.keys:
        return Inspection.of(Problem.OTHER_KEYS, "the keys in the credential database are not those that were linked")
    return found
