"""A session's backups, wherever its credential lies: one is taken, found, or put in its place.

What makes a good backup, and which may go, is the matter of :mod:`wakit.vault.backups`; here they meet the session's
record and the credential's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from wakit.core.observation import Credential
from wakit.errors import GivenAwayError
from wakit.vault.backups import Taken
from wakit.vault.folder import amend, given_away, locked, look, memory
from wakit.vault.holdings import Holdings
from wakit.vault.inspection import Inspection
from wakit.vault.manifest import Why
from wakit.vault.record import read_record, recording, write_record
from wakit.vault.recovery import Patient, Recovery, choose, put_back
from wakit.vault.verification import Backup


def take(holdings: Holdings, name: str, why: Why) -> Taken | None:
    """Back a credential up, and thin out; :meth:`wakit.vault.Vault.backup` says more."""
    folder = holdings.folder(name)
    if look(folder).credential is not Credential.PRESENT:
        return None
    backups, record = holdings.backups(folder), read_record(folder)
    taken = backups.take(why, record)
    if taken.new:
        backups.prune(made=taken.backup)
    if (left := record.clean_stop) is not None and left.kept_as != taken.backup.name:
        with recording(folder):
            record = read_record(folder)  # anew: copying took its time, and an export may have marked it meanwhile
            if record.clean_stop == left:
                kept = msgspec.structs.replace(left, kept_as=taken.backup.name)
                write_record(folder, msgspec.structs.replace(record, stopped=kept))
    return taken


def find(holdings: Holdings, name: str, chosen: str | None) -> Backup:
    """Return a backup that can be put back: the named one, or the newest good one.

    Raises:
        CredentialError: There is no such backup, or it is not good.
        CredentialUnreadableError: They cannot be read now.
    """
    folder = holdings.place(name)
    return choose(name, memory(folder, holdings.now()), holdings.backups(folder), chosen)


def restore(holdings: Holdings, name: str, chosen: str | None, identities: Sequence[Path]) -> Recovery:
    """Replace a credential by a backup because a person asks; :meth:`wakit.vault.Vault.put_back` says more."""
    folder = holdings.folder(name)
    with locked(folder):
        record = memory(folder, holdings.now())
        if record.given_away_at is not None:
            raise GivenAwayError(
                f"No backup of {name!r} is put back",
                why=given_away(record),
                hint="take it back with `wakit import`: what is here is older",
            )
        patient = Patient(name, folder, record, holdings.backups(folder), holdings.stamp())
        found = choose(name, record, patient.backups, chosen)
        asked = Inspection(problem="a person asked for it")
        recovery = put_back(patient, found, because=asked, identities=identities)
        amend(folder, holdings.now(), verdict=None, retired_at=None, stopped=None)
    return recovery
