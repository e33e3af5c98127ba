"""A credential that another tool made takes its place here, as one that has just been linked.

Whatever a crash leaves of it is as before or as after: without its note, the next look at the device row notes it
(:func:`wakit.vault.notes.settle`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from wakit.core.observation import Credential
from wakit.durable import move
from wakit.errors import CredentialError
from wakit.vault.folder import DATABASE, Finding, locked, set_aside
from wakit.vault.holders import claims, holder
from wakit.vault.record import SessionRecord, recording, write_record
from wakit.vault.vault import Vault

_REFUSED: Final = "Session {!r} cannot take in a credential"


def refuse_taken(name: str, finding: Finding) -> None:
    """Refuse a name that was ever linked, unless it was unlinked.

    Raises:
        CredentialError: It was.
    """
    if finding.credential not in (Credential.ABSENT, Credential.UNLINKED):
        raise CredentialError(
            _REFUSED.format(name),
            why="it has, or had, one of its own",
            hint="choose another name, or retire this one first",
        )


def adopt(vault: Vault, name: str, database: Path, account: str, *, resting: bool) -> SessionRecord:
    """Put a credential that was made elsewhere in place.

    Args:
        vault: Where to.
        name: Whose credential it becomes.
        database: Checked, complete, and on this file system; it is moved.
        account: Keyed hash of its account.
        resting: It stays out of use until the session is declared.

    Raises:
        CredentialError: The session has a credential, or another session has the account.
        CredentialUnreadableError: What is there cannot be read now.
        HeldError: A worker uses the folder.
    """
    holdings = vault.holdings
    # Before there is a folder: one that stayed empty would look like a session.
    other = holder(claims(holdings), account, but=vault.folder(name))
    if other is not None and other.finding.credential is not Credential.ARCHIVED:
        raise CredentialError(
            _REFUSED.format(name),
            why=f"its account is linked as {other.name!r} already; one account has one session",
            hint=f"retire {other.name!r} first",
        )
    folder = holdings.make(name)
    with locked(folder):
        refuse_taken(name, vault.settle(name))
        with recording(folder):
            record = holdings.memory(name, folder)
            set_aside(folder, holdings.stamp())
            cleared = {"epoch": record.epoch + 1, "verdict": None, "retired_at": None, "pairing": True}
            write_record(folder, msgspec.structs.replace(record, **cleared))
            move(database, folder / DATABASE)
            now = holdings.now()
            record = SessionRecord(
                epoch=record.epoch + 1,
                paired_at=now,
                account=account,
                retired_at=now if resting else None,
                parked=record.parked,
            )
            write_record(folder, record)
    return record
