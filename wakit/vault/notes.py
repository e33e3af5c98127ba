"""What is written down of a session: as it is heard of, and afterwards where a note was lost.

A note lives where its credential lives. One that comes after its credential was put away or renamed follows it there;
one that finds none is refused, for a folder made for it would look like a session.

The library's device row is the truth, and the note that there is one comes a moment later. A crash in between leaves a
linked session that is not known for one; :func:`settle` looks and notes it then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from wakit.core.observation import Credential
from wakit.errors import CredentialError
from wakit.vault import write_ahead
from wakit.vault.folder import DATABASE, Finding, amend, in_use, present
from wakit.vault.holdings import Holdings
from wakit.vault.record import SessionRecord, Verdict, read_record

# A credential that was linked here is nobody else's, whatever became of an earlier one.
_OURS: Final = {"given_away_at": None, "given_to": None, "given_epoch": 0, "imported_from": None}
# What a note says of the credential in use; on one that was put away meanwhile it would call it back into a life.
_OF_A_LIFE: Final = frozenset({"verdict", "retired_at", "parked"})


def note(holdings: Holdings, name: str, **changes: object) -> SessionRecord:
    """Change fields of a session's record, wherever it is now.

    Raises:
        CredentialError: There is no credential to note it of, or a newer wakit wrote its record.
        CredentialUnreadableError: The record cannot be read now.
    """
    folder = holdings.folder(name)
    if not in_use(folder):
        if changes.keys() <= {"parked"}:  # about the name, not about a credential: it may come before the first
            folder = holdings.trace(name)[0] or holdings.make(name)
        else:
            folder = _gone_to(holdings, name)
            if folder.is_relative_to(holdings.layout.archive):
                changes = {key: value for key, value in changes.items() if key not in _OF_A_LIFE}
    return amend(folder, holdings.now(), **changes)


def paired(holdings: Holdings, name: str, account: str) -> SessionRecord:
    """Note that a device was linked.

    Raises:
        CredentialError: As :func:`note`, like the rest.
    """
    fresh = {"unlinked_at": None, "retired_at": None, "verdict": None, "pairing": False, "keys": None, **_OURS}
    record = note(holdings, name, paired_at=holdings.now(), account=account, former=(), **fresh)
    write_ahead.hold(holdings.folder(name) / DATABASE, make=False)
    return record


def unlinked(holdings: Holdings, name: str, verdict: Verdict) -> SessionRecord:
    """Note that the device row is gone.

    Raises:
        CredentialError: As :func:`note`, like the rest.
    """
    return note(holdings, name, unlinked_at=holdings.now(), verdict=verdict, pairing=False)


def given_away(holdings: Holdings, name: str, bundle: str) -> SessionRecord:
    """Note that a credential belongs to another place now; whoever gives it away holds its lock.

    That it was parked is forgotten: people park a session to export it, and mean to have it run when it is back.

    Raises:
        CredentialError: As :func:`note`, like the rest.
    """
    epoch = read_record(holdings.folder(name)).epoch
    fresh = {"verdict": None, "parked": False}
    return note(holdings, name, given_away_at=holdings.now(), given_to=bundle, given_epoch=epoch, **fresh)


def settle(holdings: Holdings, name: str) -> Finding:
    """Find out about a session no worker runs, and adopt a link whose note was lost.

    Raises:
        CredentialUnreadableError: Whether there is a device cannot be told now.
    """
    finding = holdings.find(name)
    folder = holdings.folder(name)
    if finding.credential not in (Credential.ABSENT, Credential.UNLINKED, Credential.GIVEN_AWAY):
        return finding
    if not present(folder / DATABASE):
        return _settle_archived(holdings, name, finding)
    if finding.credential is not Credential.ABSENT and not finding.record.pairing:
        # The row of the device that was unlinked, which the library had no time to delete, or was given away.
        return finding
    found = holdings.inspect(folder)
    if found.linked and found.account is not None:
        return Finding(Credential.PRESENT, paired(holdings, name, found.account))
    return finding


def _settle_archived(holdings: Holdings, name: str, finding: Finding) -> Finding:
    """Adopt a link whose note was lost before its folder was put away."""
    if finding.credential is not Credential.ABSENT:
        return finding
    for folder in holdings.archives(name):
        if not present(folder / DATABASE):
            continue
        found = holdings.inspect(folder)
        if found.linked:
            amend(folder, holdings.now(), paired_at=holdings.now(), account=found.account)
            return holdings.find(name)
    return finding


def _gone_to(holdings: Holdings, name: str) -> Path:
    place = holdings.went.get(name)
    if place is None or not in_use(place):
        raise CredentialError(
            f"A note of {name!r} came too late", why="its credential is no longer there", hint="none is needed"
        )
    return place
