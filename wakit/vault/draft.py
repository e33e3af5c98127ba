"""From a draft to a backup: whether a copy is worth keeping, what its manifest says, and what is written of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from wakit.errors import CredentialError, CredentialUnreadableError
from wakit.vault.disk import in_pieces, pieces
from wakit.vault.inspection import Inspection
from wakit.vault.manifest import VERSION, Manifest, Sealed, Why, versions
from wakit.vault.record import SessionRecord
from wakit.vault.sealing import fingerprints, seal
from wakit.vault.snapshot import Snapshot


def fit(folder: Path, found: Inspection, record: SessionRecord) -> Inspection:
    """Return what was found in a copy of the credential in a folder, if it is worth keeping.

    Raises:
        CredentialError: It is not: it is damaged, or not of the device that the record says.
        CredentialUnreadableError: It could not be looked into.
    """
    if found.unreadable:
        raise CredentialUnreadableError(
            f"The credential in {folder} cannot be copied now", why=found.problem, hint="it is tried again"
        )
    if found.problem or found.account is None:
        raise unfit(folder, found.problem)
    if record.account not in (None, found.account):
        raise unfit(folder, "it belongs to another account than the one last linked here")
    if record.keys not in (None, found.keys):
        raise unfit(folder, "its keys are not those that were linked")
    return found


def unfit(folder: Path, why: str) -> CredentialError:
    """Return the error for a credential of which no copy is worth keeping."""
    return CredentialError(
        f"The credential in {folder} is not worth a backup",
        why=why,
        hint="put back a good backup, or link the phone anew",
    )


def describe(
    folder: Path, found: Inspection, copy: Snapshot, *, why: Why, epoch: int, source: str, created_at: datetime
) -> Manifest:
    """Say what a copy of the credential in a folder is."""
    return Manifest(
        version=VERSION,
        created_at=created_at.astimezone(UTC),
        why=why,
        session=folder.parent.name,
        namespace=folder.name,
        account=found.account or "",
        keys=found.keys or "",
        epoch=epoch,
        sha256=copy.sha256,
        size=copy.size,
        rows=copy.rows,
        source=source,
        made_with=versions(),
    )


def sealed(draft: Path, says: Manifest, recipients: Sequence[str]) -> tuple[Iterable[bytes | memoryview], Manifest]:
    """Return what is to be written of a draft, and the manifest that goes with it.

    Raises:
        SealError: One of the recipients is no public key.
    """
    if not recipients:
        return pieces(draft), says
    data = seal(draft.read_bytes(), recipients)
    envelope = Sealed(sha256(data).hexdigest(), len(data), fingerprints(recipients))
    return in_pieces(data), msgspec.structs.replace(says, sealed=envelope)
