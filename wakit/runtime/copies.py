"""Backups while no daemon runs, and putting a sealed one back, for which only a person has the key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wakit.control.schemas import BackupList, BackupTaken
from wakit.core.observation import Credential
from wakit.errors import UnknownSessionError
from wakit.reconciler.telling import backup_info, backup_taken
from wakit.runtime.place import Place
from wakit.runtime.vaults import open_vault
from wakit.vault.manifest import Why
from wakit.vault.recovery import Recovery


def back_up(place: Place, names: Sequence[str]) -> list[BackupTaken]:
    """Back sessions up, or all that have a credential.

    Raises:
        WakitError: One could not be; those before it were.
    """
    vault = open_vault(place)
    wanted = names or [name for name in vault.names() if vault.find(name).credential is Credential.PRESENT]
    return [backup_taken(name, vault.backup(name, Why.MANUAL)) for name in wanted]


def listed(place: Place, name: str) -> BackupList:
    """Return the backups of a session, also of one that was retired."""
    vault = open_vault(place)
    if name not in vault.names():
        raise UnknownSessionError("There is no credential of that name", hint="`wakit status` lists the sessions")
    return BackupList(session=name, backups=[backup_info(backup) for backup in vault.listed_backups(name)])


def put_back(place: Place, name: str, backup: str | None, *, identity: Path | None) -> Recovery:
    """Put a backup in the place of a credential that nobody uses.

    Raises:
        CredentialError: There is no such backup, or it is not good.
        HeldError: The session is running; `wakit park` it first.
    """
    return open_vault(place).put_back(name, backup, identities=[identity] if identity else [])
