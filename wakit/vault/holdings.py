"""What the vault holds: where each name's credential lies, in use or put away, and what there is of it.

Here it is looked, and nothing is changed. What changes something is ordered by job: :mod:`wakit.vault.notes` writes
down, :mod:`wakit.vault.starting` readies for a worker, :mod:`wakit.vault.moving` moves folders, and
:mod:`wakit.vault.copies` has backups taken and put back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from wakit.core.declaration import SESSION_NAME, VaultPolicy
from wakit.core.observation import Credential
from wakit.errors import CredentialError
from wakit.vault.backups import Backups
from wakit.vault.folder import (
    DATABASE,
    Finding,
    in_use,
    look,
    memory,
    present,
    usable_but_for_its_record,
    way_out,
)
from wakit.vault.inspection import Inspection, inspect, readable
from wakit.vault.layout import Layout, private_folder
from wakit.vault.record import SessionRecord
from wakit.vault.verification import Known


class Holdings:
    """The credentials of one state directory, in one namespace.

    Args:
        layout: An opened layout.
        namespace: Which checkout's credentials.
        now: The clock (UTC).
        key: The state directory's account key.
        policy: Reads how backups are kept.

    Attributes:
        went: Where a name's credential went last; a late note follows it.
    """

    def __init__(
        self,
        layout: Layout,
        namespace: str,
        now: Callable[[], datetime],
        key: bytes,
        policy: Callable[[], VaultPolicy],
    ) -> None:
        self.layout = layout
        self.namespace = namespace
        self.now = now
        self.key = key
        self.went: dict[str, Path] = {}
        self._policy = policy
        self._known = Known(now)

    def names(self) -> list[str]:
        """Every session that has a folder here or in the archive, sorted."""
        found = {
            folder.name
            for parent in (self.layout.sessions, self.layout.archive)
            if parent.is_dir()  # whoever only looks makes none
            for folder in parent.iterdir()
            if SESSION_NAME.fullmatch(folder.name) and folder.is_dir() and any(folder.iterdir())
        }
        return sorted(found)

    def folder(self, name: str) -> Path:
        """Return where a session's credential lies, or would lie.

        Raises:
            CredentialError: It is no session name.
        """
        if not SESSION_NAME.fullmatch(name):  # the last fence before a name becomes a path
            why = "names match [a-z0-9][a-z0-9_-]{0,62}"
            raise CredentialError(f"{name!r} is no session name", why=why, hint="give the name that is in the file")
        return self.layout.session(name, self.namespace)

    def make(self, name: str) -> Path:
        """Make the folder of a session's credential, or repair it, and return it.

        Raises:
            CredentialError: It is no session name.
            StateDirectoryError: It is a link, or somebody else's.
        """
        folder = self.folder(name)
        private_folder(folder.parent)
        return private_folder(folder)

    def archives(self, name: str) -> list[Path]:
        """Return the retired folders of a name, the newest first."""
        parent = self.layout.archive / name
        if not SESSION_NAME.fullmatch(name) or not parent.is_dir():
            return []
        return sorted((entry for entry in parent.iterdir() if entry.is_dir()), reverse=True)

    def place(self, name: str) -> Path:
        """Return where a name's credential lies, in use or retired."""
        folder = self.folder(name)
        return folder if in_use(folder) else self.trace(name)[0] or folder

    def find(self, name: str) -> Finding:
        """Say what there is of a session; :meth:`wakit.vault.Vault.find` says how."""
        folder = self.folder(name)
        found = self._look(folder)
        if found.credential is Credential.ABSENT and not present(folder / DATABASE):
            _, trace = self.trace(name)
            found = found if trace is None else _resting(trace, self.now(), parked=found.record.parked)
        return replace(found, hint=found.hint or way_out(name, found.credential))

    def trace(self, name: str) -> tuple[Path | None, Finding | None]:
        """Find what the archive knows: the newest credential that can be used, else the newest that was ever linked.

        One that was given away ends the search.
        """
        lost: tuple[Path | None, Finding | None] = (None, None)
        for folder in self.archives(name):
            finding = self._look(folder)
            if finding.credential is Credential.PRESENT:
                return folder, Finding(Credential.ARCHIVED, finding.record)
            if finding.credential is Credential.GIVEN_AWAY and lost[0] is None:
                return folder, finding  # what is older than that must not come back in its place
            if finding.credential is Credential.DAMAGED and usable_but_for_its_record(folder):
                return folder, Finding(Credential.ARCHIVED, memory(folder, self.now()))
            if finding.credential is not Credential.ABSENT and lost[0] is None:
                lost = folder, finding
        return lost

    def inspect(self, folder: Path) -> Inspection:
        """Look into the database in a folder, which no worker uses.

        Raises:
            CredentialUnreadableError: The system does not let it be read now.
        """
        return readable(folder, inspect(folder / DATABASE, self.key))

    def backups(self, folder: Path) -> Backups:
        """Return the backups of the credential in a folder."""
        return Backups(folder, self._policy(), self.now, self.key, known=self._known)

    def memory(self, name: str, folder: Path) -> SessionRecord:
        """Return what must not be forgotten of a name when it is linked anew, wherever it is written.

        Raises:
            CredentialError: A newer wakit wrote it.
        """
        record = memory(folder, self.now())
        archived, _ = self.trace(name) if record.paired_at is None else (None, None)
        if archived is not None:
            record = msgspec.structs.replace(memory(archived, self.now()), parked=record.parked)
        return msgspec.structs.replace(record, epoch=self.highest_epoch(name))

    def highest_epoch(self, name: str) -> int:
        """Return the highest number that a start of this name has had here, wherever its record went."""
        return max(memory(each, self.now()).epoch for each in (self.folder(name), *self.archives(name)))

    def stamp(self) -> str:
        """Name the present moment, for a folder."""
        return f"{self.now().astimezone(UTC):%Y%m%dT%H%M%S%fZ}"

    def _look(self, folder: Path) -> Finding:
        """Say what there is; a damaged database of which there is a backup counts as present: its start mends it."""
        found = look(folder)
        if found.credential is not Credential.DAMAGED or found.record.paired_at is None:
            return found
        offered = self.backups(folder).offers(found.record.account, found.record.keys)
        return replace(found, credential=Credential.PRESENT) if offered else found


def _resting(trace: Finding, now: datetime, *, parked: bool) -> Finding:
    """What is in the archive is retired, even if an older wakit or a late note did not say so."""
    record = trace.record
    resting = msgspec.structs.replace(
        record, retired_at=record.retired_at or now, verdict=None, parked=record.parked or parked
    )
    return replace(trace, record=resting)
