"""The backups of one credential: when one is taken, which can be put back, and which may go.

Nothing here knows who runs the credential. Copies may be taken under a live worker, from a process that does not run
the library; whoever puts one back holds the credential's own lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wakit.core.declaration import VaultPolicy
from wakit.errors import CredentialError
from wakit.vault.disk import FREE_SPACE_FLOOR, BackupError, in_pieces, refused, require_space, write
from wakit.vault.draft import describe, fit, sealed, unfit
from wakit.vault.folder import DATABASE, present
from wakit.vault.inspection import inspect
from wakit.vault.manifest import Manifest, Why
from wakit.vault.record import SessionRecord
from wakit.vault.retention import Item, Standing, expendable
from wakit.vault.sealing import check_recipients, fingerprints
from wakit.vault.shelf import Shelf
from wakit.vault.snapshot import COMPANIONS, drafted, source_digest
from wakit.vault.verification import Backup, Known, check_bytes, look, plain_bytes, unusable, verify


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that stands for what the credential is now.

    Attributes:
        backup: It, with its manifest.
        new: False if nothing changed since it was taken.
    """

    backup: Backup
    new: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be put back.

    Attributes:
        backup: The newest good one, or None.
        passed_over: Newer ones that are bad or cannot be judged, each with its problem.
    """

    backup: Backup | None
    passed_over: tuple[Backup, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What thinning out did.

    Attributes:
        deleted: Names.
        bad: Backups that were found to be of no use, deleted or not, each with its problem.
    """

    deleted: tuple[str, ...] = ()
    bad: tuple[Backup, ...] = ()


class Backups:
    """The backups of the credential in one folder.

    Args:
        folder: ``sessions/<name>/<namespace>``.
        policy: How many are kept, in how much room, and for whom they are sealed.
        now: The clock (UTC).
        key: The state directory's account key.
        known: Backups that were found good lately; without it, it begins with none.
        free_space_floor: Bytes that must stay free on the disk.
    """

    def __init__(
        self,
        folder: Path,
        policy: VaultPolicy,
        now: Callable[[], datetime],
        key: bytes,
        *,
        known: Known | None = None,
        free_space_floor: int = FREE_SPACE_FLOOR,
    ) -> None:
        self._folder = folder
        self._shelf = Shelf(folder / "backups")
        self._policy = policy
        self._now = now
        self._key = key
        self._known = Known(now) if known is None else known
        self._floor = free_space_floor

    def take(self, why: Why, record: SessionRecord) -> Taken:
        """Copy the credential, unless the newest good backup is the same.

        Raises:
            CredentialError: It is missing, damaged, holds no device, or another account than the record says.
            CredentialUnreadableError: It cannot be read now.
            NoSpaceError: The disk is too full; it says how much is missing.
            BackupError: The copy cannot be written for another reason.
            SealError: One of the recipients is no public key.
            StateDirectoryError: The folder is a link, or somebody else's.
            HeldError: Another process is at the backups.
        """
        check_recipients(self._policy.recipients)
        database = self._folder / DATABASE
        if not present(database):
            raise unfit(self._folder, "the credential database is missing")
        with self._shelf.alone():
            source = source_digest(database)
            if same := self._same_as_last(record.account, source=source):
                return Taken(same, new=False)
            with drafted(database, self._shelf.place, free_space_floor=self._floor) as (draft, copy):
                found = fit(self._folder, inspect(draft, self._key), record)
                if same := self._same_as_last(found.account, sha256=copy.sha256):
                    return Taken(same, new=False)
                now = self._now()
                says = describe(self._folder, found, copy, why=why, epoch=record.epoch, source=source, created_at=now)
                return Taken(self._shelf.put(*sealed(draft, says, self._policy.recipients)), new=True)

    def listed(self) -> list[Backup]:
        """List all backups, the newest first, each with what can be told without reading the copies.

        Raises:
            StateDirectoryError: The folder is a link, or somebody else's.
            CredentialUnreadableError: The system does not let them be listed now.
        """
        return self._shelf.listed()

    def verify(self, backup: Backup) -> Backup:
        """Read a backup's bytes, hash them, and look at the database in them; return it with what was found.

        Not read again is what was found good within a day and was not touched since.
        """
        backup = look(backup.folder)
        return backup if self._known.has(backup, looked=True) else verify(backup, self._key, self._known)

    def choose(
        self, account: str | None, keys: str | None = None, *, sealed: bool = True, anew: bool = False
    ) -> Choice:
        """Find the newest good backup of a device, verified, and name the bad ones that are newer.

        Args:
            account: Keyed hash. Backups of another one are never offered. None if the record does not say: any will do.
            keys: Keyed hash of the device's keys; None if the record does not say.
            sealed: Also those for which a person has to bring a key.
            anew: Read also what was found good lately: nobody is there to choose another one.
        """
        passed_over: list[Backup] = []
        for listed in self.listed():
            if not _is_of(listed, account, keys, sealed=sealed):
                continue
            backup = verify(listed, self._key, self._known) if anew else self._judge(listed, look_into=True)
            if backup.good:
                return Choice(backup, tuple(passed_over))
            passed_over.append(backup)
        return Choice(None, tuple(passed_over))

    def newest_good(
        self, account: str | None, keys: str | None = None, *, sealed: bool = True, anew: bool = False
    ) -> Backup | None:
        """Return the newest good backup of a device, verified, or None; :meth:`choose` also tells of bad ones."""
        return self.choose(account, keys, sealed=sealed, anew=anew).backup

    def offers(self, account: str | None, keys: str | None) -> bool:
        """Return whether one could be put back without a person, as far as can be told without reading any."""
        return any(
            backup.good and backup.manifest is not None and _is_of(backup, account, keys, sealed=False)
            for backup in self.listed()
        )

    def put_back(
        self,
        backup: Backup,
        database: Path,
        *,
        account: str | None = None,
        identities: Sequence[Path] = (),
        make_room: Callable[[], object] = lambda: None,
    ) -> Manifest:
        """Write a backup's bytes as a credential that nobody runs; the caller holds its lock.

        Whoever chose it has verified it, which is known and not done again: what is written are the very bytes whose
        hash is compared here, in memory, and nothing can have become of them in between.

        Args:
            backup: One of these.
            database: Where to; neither it nor any companion of it may be there.
            account: Whose it has to be, or None if that does not matter.
            identities: Key files, if it is sealed.
            make_room: Called once the bytes are at hand and sound, and the disk has room: nothing is touched before.

        Raises:
            CredentialError: The backup is bad, or of another account.
            CredentialUnreadableError: It cannot be read now.
            SealError: It is sealed, and no key fits.
            NoSpaceError: The disk is too full.
            BackupError: Something is in the place, or it cannot be written.
        """
        with self._shelf.alone():
            verified = self.verify(backup)
            says = verified.manifest
            if says is None or not verified.good:
                raise unusable(verified)
            if account not in (None, says.account):
                why = "it is of another account than the one last linked here"
                raise CredentialError(f"The backup {backup.name} is refused", why=why, hint="take another one")
            try:
                data = plain_bytes(verified, identities=identities)
            except CredentialError:
                self._known.forget(verified)  # it has rotted since; who asks again is offered another one
                raise
            require_space(database.parent, says.size)
            make_room()
            _must_be_free(database)
            try:
                for leftover in database.parent.glob(f".{database.name}.*.tmp"):
                    leftover.unlink()
                write(database, in_pieces(data), sha256=says.sha256)
            except OSError as error:
                raise refused(database.parent, says.size, error) from None
            return says

    def prune(self, *, made: Backup | None = None) -> Pruned:
        """Delete what the policy does not keep, and what interrupted operations left behind.

        Args:
            made: A backup that was made just now: its database was looked into and its bytes were hashed on their way.
                Reading it now would show what the system still has in memory, and tell nothing of the disk.

        Raises:
            BackupError: Something cannot be deleted.
            HeldError: Another process is at the backups.
        """
        if not present(self._shelf.place):
            return Pruned()
        with self._shelf.alone():
            judged = self._judged(made)
            deleted = expendable([_item(backup) for backup in judged], self._policy, self._now())
            for name in deleted:
                self._shelf.discard(name)
            return Pruned(tuple(deleted), tuple(backup for backup in judged if not backup.good))

    def _judged(self, made: Backup | None) -> list[Backup]:
        """Read every backup that is not known; of each account look into the newest, until one is good."""
        judged: list[Backup] = []
        settled: set[str] = set()
        for listed in self.listed():
            account = listed.manifest.account if listed.manifest else ""
            backup = listed if listed == made else self._judge(listed, look_into=account not in settled)
            if backup.good:
                settled.add(account)
            judged.append(backup)
        return judged

    def _judge(self, listed: Backup, *, look_into: bool) -> Backup:
        if self._known.has(listed, looked=look_into):
            return listed
        return verify(listed, self._key, self._known) if look_into else check_bytes(listed, self._known)

    def _same_as_last(self, account: str | None, *, source: str = "", sha256: str = "") -> Backup | None:
        """Return the newest backup if it is a sound copy of the same, sealed for the same."""
        last = next((backup for backup in self.listed() if backup.good), None)
        says = last.manifest if last else None
        if last is None or says is None or account not in (None, says.account):
            return None
        same = says.source == source or says.sha256 == sha256
        sealed_for = says.sealed.recipients if says.sealed else ()
        if not same or sealed_for != fingerprints(self._policy.recipients):
            return None
        return last if self.verify(last).good else None


def _is_of(backup: Backup, account: str | None, keys: str | None, *, sealed: bool) -> bool:
    says = backup.manifest
    if says is None:
        return True  # its manifest is bad, which is to be said
    return account in (None, says.account) and keys in (None, says.keys) and (sealed or says.sealed is None)


def _must_be_free(database: Path) -> None:
    for suffix in ("", *COMPANIONS):
        if present(database.with_name(database.name + suffix)):
            raise BackupError(
                f"No backup can be put back as {database}",
                why=f"there is still a {database.name}{suffix}",
                hint="set the old credential aside first",
            )


def _item(backup: Backup) -> Item:
    says = backup.manifest
    standing = Standing.UNKNOWN if backup.unknown else Standing.GOOD if backup.good else Standing.BAD
    taken_at = says.created_at if says else backup.stamp
    return Item(backup.name, taken_at, says.account if says else None, backup.size, standing)
