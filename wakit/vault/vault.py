"""The vault's one door: what the daemon and the commands ask of credentials.

Each operation leaves the session as it was or as it should be, whatever moment the power goes. What it does is written
where the others of its job are: :mod:`~wakit.vault.holdings` (what there is), :mod:`~wakit.vault.notes` (what is
written down, and found out afterwards), :mod:`~wakit.vault.starting` (before a start, after an end),
:mod:`~wakit.vault.copies` (backups), and :mod:`~wakit.vault.moving` (archive and names). Export, import and adoption
are commands of their own: :mod:`~wakit.vault.giving`, :mod:`~wakit.vault.taking`, :mod:`~wakit.vault.adopting`.

Whoever moves or prepares a credential holds its ``lock`` meanwhile, the same that a worker holds for its life. Lock
files are never deleted: two processes could then lock two files of one name. Whoever changes its record holds that
still (:func:`~wakit.vault.record.recording`), for a daemon and a command may both have something to note.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from wakit.core.declaration import VaultPolicy
from wakit.errors import CredentialError
from wakit.redact import Secret
from wakit.vault import copies, moving, notes
from wakit.vault.account_key import account_key
from wakit.vault.backups import Taken
from wakit.vault.examination import examine
from wakit.vault.folder import DATABASE, Finding
from wakit.vault.holdings import Holdings
from wakit.vault.inspection import Inspection, readable
from wakit.vault.layout import Layout
from wakit.vault.manifest import Why
from wakit.vault.record import SessionRecord, Verdict, read_record
from wakit.vault.recovery import Recovery
from wakit.vault.registry import Registry
from wakit.vault.starting import Starts, StartTicket
from wakit.vault.verification import Backup
from wakit.whatsapp.port import AccountHold

__all__ = ["Finding", "StartTicket", "Vault"]


class Vault:
    """All credentials of one state directory, in one namespace.

    Args:
        layout: An opened layout.
        namespace: Which checkout's credentials (``strategy``).
        now: The clock (UTC).
        registry: The accounts of this machine; without it a copy of a credential is not told from the original.
        policy: Reads how backups are kept, whenever it matters.

    Attributes:
        key: The state directory's account key.
        holdings: Where each credential lies and what there is of it, for what comes through this door from elsewhere.

    Raises:
        StateDirectoryError: The account key is lost or damaged while sessions are linked.
    """

    def __init__(
        self,
        layout: Layout,
        namespace: str,
        now: Callable[[], datetime],
        registry: Registry | None = None,
        *,
        policy: Callable[[], VaultPolicy] = VaultPolicy,
    ) -> None:
        self.layout = layout
        self.namespace = namespace
        self.now = now
        self.registry = registry
        self.key = account_key(layout)
        self.holdings = Holdings(layout, namespace, now, self.key, policy)
        self._starts = Starts(self.holdings, registry)

    # -- what there is -----------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Every session that has a folder here or in the archive, sorted."""
        return self.holdings.names()

    def folder(self, name: str) -> Path:
        """Return where a session's credential lies, or would lie.

        Raises:
            CredentialError: It is no session name.
        """
        return self.holdings.folder(name)

    def find(self, name: str) -> Finding:
        """Say what there is of a session. Cheap: the database is only looked at from outside.

        What was put away counts where nothing is in place: ARCHIVED if it can be used again, else UNLINKED or DAMAGED,
        so that a session that was ever linked is never taken for a new one.

        Raises:
            CredentialError: It is no session name.
            CredentialUnreadableError: The system does not let it be read now.
        """
        return self.holdings.find(name)

    def settle(self, name: str) -> Finding:
        """Find out about a session no worker runs, and adopt a link whose note was lost.

        A crash may fall between the library's writing the device row and our noting it. The row is the truth: without
        this look, the next start would pair a linked session anew.

        Raises:
            CredentialUnreadableError: Whether there is a device cannot be told now.
        """
        return notes.settle(self.holdings, name)

    def examine(self, name: str) -> tuple[SessionRecord, Inspection]:
        """Look into a credential that no worker uses now; whoever asks holds its lock.

        Raises:
            CredentialError: It is missing, damaged, or of another account.
            CredentialUnreadableError: The system does not let it be read now.
        """
        folder = self.folder(name)
        record = read_record(folder)
        found = readable(folder, examine(folder / DATABASE, record, self.key))
        if found.problem:
            raise CredentialError(
                f"The credential of {name!r} cannot be used",
                why=found.problem,
                hint=f"`wakit restore {name}` puts a backup back; `wakit pair {name}` links the phone anew",
            )
        return record, found

    # -- starts and ends ---------------------------------------------------------------------------------------------

    def prepare_pairing(self, name: str) -> StartTicket:
        """Make room for a new credential; whatever was there is set aside as evidence first.

        That the session was paired once stays on record until it is paired again: a crash in between must not make it
        look new.

        Raises:
            CredentialError: A newer wakit wrote its record.
            CredentialUnreadableError: What is there cannot be read now, and may be the only credential.
            HeldError: A worker still uses the folder.
            StateDirectoryError: The folder is a link, or somebody else's.
        """
        return self._starts.pairing(name)

    def prepare_restore(self, name: str) -> StartTicket:
        """Check a credential, replace it by its newest good backup if it is damaged, and count a new epoch.

        Raises:
            CredentialError: It is missing, damaged, or of another account, and no backup of it is good; the library
                must not be given it.
            GivenAwayError: It belongs to another place now.
            CredentialElsewhereError: It is an outdated copy of one that went on elsewhere.
            CredentialUnreadableError: The system does not let it be read now.
            HeldError: A worker still uses it, or another live session has its account.
            BackupError: Its backup cannot be put in its place; it is as it was.
        """
        return self._starts.restoring(name)

    def hold_account(self, name: str, user: Secret) -> AccountHold | None:
        """Note which device was linked just now; return what its worker has to hold of the account from now on.

        Raises:
            CredentialError: Its record is damaged.
            CredentialUnreadableError: Its record cannot be read now.
        """
        return self._starts.hold_account(name, user)

    def take_over(self, name: str) -> str:
        """Let a credential go on here, a copy or not, because a person says so; other copies are refused from now on.

        Returns:
            What was decided, in words; "" if there was nothing to decide.

        Raises:
            CredentialError: There is no credential that could be used.
            CredentialUnreadableError: It cannot be read now.
            HeldError: It is in use.
        """
        return self._starts.take_over(name)

    def rest(self, name: str) -> None:
        """Note that nobody runs a session any more: until it runs again, a copy of its credential is as good as it.

        Raises:
            CredentialError: There is no credential to note it of.
        """
        self._starts.rested(name)

    def mark_stopped(self, name: str) -> None:
        """Note that nobody runs a session any more, and what its client left behind when it and its process ended.

        Raises:
            CredentialError: There is no credential to note it of.
            HeldError: Somebody uses the credential again; that it was let go is noted.
        """
        self._starts.stopped(name)

    # -- notes -------------------------------------------------------------------------------------------------------

    def update(self, name: str, **changes: object) -> SessionRecord:
        """Change fields of the record, wherever it went; keys as in :class:`SessionRecord`.

        Raises:
            CredentialError: There is no credential to note it of, or a newer wakit wrote its record.
            CredentialUnreadableError: The record cannot be read now.
        """
        return notes.note(self.holdings, name, **changes)

    def mark_paired(self, name: str, account: str) -> SessionRecord:
        """Note that a device was linked: from now on the session never pairs by itself. Raises as :meth:`update`."""
        return notes.paired(self.holdings, name, account)

    def mark_unlinked(self, name: str, verdict: Verdict) -> SessionRecord:
        """Note that the device row is gone; the folder stays as evidence. Raises as :meth:`update`."""
        return notes.unlinked(self.holdings, name, verdict)

    # -- backups -----------------------------------------------------------------------------------------------------

    def backup(self, name: str, why: Why) -> Taken | None:
        """Back a credential up, also while a worker uses it; None if there is none in use.

        Raises:
            BackupError: It could not be written; the credential is as it was.
            CredentialError: It is damaged, so that no copy of it is worth keeping.
            CredentialUnreadableError: It cannot be read now.
            HeldError: Another process is at its backups.
            SealError: One of the recipients is no public key.
        """
        return copies.take(self.holdings, name, why)

    def listed_backups(self, name: str) -> list[Backup]:
        """Return the backups of a session, also of one that was retired; newest first, judged by their manifests.

        Raises:
            CredentialUnreadableError: They cannot be listed now.
            StateDirectoryError: Their folder is a link, or somebody else's.
        """
        return self.holdings.backups(self.holdings.place(name)).listed()

    def newest_backup_at(self, name: str) -> datetime | None:
        """Return when the newest backup that may be good was taken. Raises as :meth:`listed_backups`."""
        return next((b.manifest.created_at for b in self.listed_backups(name) if b.manifest and not b.problem), None)

    def find_backup(self, name: str, chosen: str | None) -> Backup:
        """Return a backup that can be put back: the named one, or the newest good one.

        Raises:
            CredentialError: There is no such backup, or it is not good.
            CredentialUnreadableError: They cannot be read now.
        """
        return copies.find(self.holdings, name, chosen)

    def put_back(self, name: str, chosen: str | None, *, identities: Sequence[Path] = ()) -> Recovery:
        """Replace a credential by a backup because a person asks; what is there is kept as evidence.

        Raises:
            CredentialError: There is no such backup, or it is not good; nothing was touched, as with the others.
            GivenAwayError: The credential belongs to another place now.
            CredentialUnreadableError: The backup cannot be read now.
            SealError: It is sealed, and no key fits.
            BackupError: The disk does not take it.
            HeldError: Somebody uses the credential.
        """
        return copies.restore(self.holdings, name, chosen, identities)

    # -- moves -------------------------------------------------------------------------------------------------------

    def retire(self, name: str, *, keep: bool) -> None:
        """Put a credential away: into the archive, or, with ``keep``, out of use where it is.

        Raises:
            HeldError: A worker still uses it.
            CredentialError: A newer wakit wrote its record.
        """
        moving.retire(self.holdings, name, keep=keep)

    def revive(self, name: str) -> None:
        """Take the newest archived credential back.

        Raises:
            CredentialError: Nothing usable is archived under that name, or something is in its place.
            HeldError: Somebody uses it.
        """
        moving.revive(self.holdings, name)

    def rename(self, source: str, target: str) -> None:
        """Move the credential of one name to another, archived or not; an unlinked one takes its memory along.

        Raises:
            CredentialError: There is nothing to move, or the target has a credential.
            HeldError: A worker uses either.
        """
        moving.rename(self.holdings, source, target)
