"""The vault's operations. Each leaves the session as it was or as it should be, whatever moment the power goes.

A credential is a folder; retiring, reviving and renaming move whole folders by one rename within one file system.
Whoever moves or prepares one holds its ``lock`` meanwhile, the same that a worker holds for its life, so nothing is
ever moved under a client. Lock files are never deleted: two processes could then lock two files of one name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from wakit.core.declaration import SESSION_NAME, VaultPolicy
from wakit.core.observation import Credential
from wakit.durable import move
from wakit.errors import CredentialError, CredentialUnreadableError, GivenAwayError
from wakit.redact import Secret
from wakit.vault import examination, write_ahead
from wakit.vault.account_key import account_key
from wakit.vault.backups import Backups, Taken
from wakit.vault.clean_stop import take
from wakit.vault.folder import (
    DATABASE,
    Finding,
    given_away,
    in_use,
    locked,
    look,
    memory,
    present,
    set_aside,
    sweep,
    tighten,
    usable_but_for_its_record,
)
from wakit.vault.inspection import Inspection, inspect
from wakit.vault.layout import Layout, private_folder
from wakit.vault.manifest import Why
from wakit.vault.record import RECORD, SessionRecord, Verdict, read_record, recording, write_record
from wakit.vault.recovery import Patient, Recovery, choose, put_back, recover
from wakit.vault.registry import UNWATCHED, Registry
from wakit.vault.use import Seat
from wakit.vault.verification import Backup
from wakit.whatsapp.port import AccountHold

__all__ = ["Finding", "StartTicket", "Vault"]

# A credential that was linked here is nobody else's, whatever became of an earlier one.
_OURS: Final = {"given_away_at": None, "given_to": None, "given_epoch": 0, "imported_from": None}
_NOTHING: Final = frozenset({Credential.ABSENT})
# What a note says of the credential in use; on one that was put away meanwhile it would call it back into a life.
_OF_A_LIFE: Final = frozenset({"verdict", "retired_at", "parked"})


@dataclass(frozen=True, slots=True)
class StartTicket:
    """What a worker needs to run a credential.

    Attributes:
        directory: Its folder.
        epoch: Of this start.
        account: What has to be held of its account; None while it is to be linked.
        note: What a person should know of this start, or "".
        recovered: What was mended before it, or None.
    """

    directory: Path
    epoch: int
    account: AccountHold | None = None
    note: str = ""
    recovered: Recovery | None = None


class Vault:
    """All credentials of one state directory, in one namespace.

    Args:
        layout: An opened layout.
        namespace: Which checkout's credentials (``strategy``).
        now: The clock (UTC).
        registry: The accounts of this machine; without it a copy of a credential is not told from the original.
        policy: Reads how backups are kept, whenever it matters.

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
        self._policy = policy
        self.registry = registry
        self.key = account_key(layout)
        self._held: dict[str, AccountHold] = {}  # of starts that have not ended
        self._moved: dict[str, Path] = {}  # where a name's credential went last: a late note follows it

    def names(self) -> list[str]:
        """Every session that has a folder here or in the archive, sorted."""
        found = {
            folder.name
            for parent in (self.layout.sessions, self.layout.archive)
            for folder in parent.iterdir()
            if SESSION_NAME.fullmatch(folder.name) and folder.is_dir() and any(folder.iterdir())
        }
        return sorted(found)

    def find(self, name: str) -> Finding:
        """Say what there is of a session. Cheap: the database is only looked at from outside.

        What was put away counts where nothing is in place: ARCHIVED if it can be used again, else UNLINKED or DAMAGED,
        so that a session that was ever linked is never taken for a new one.

        Raises:
            CredentialUnreadableError: The system does not let it be read now.
        """
        folder = self.folder(name)
        here = self._look(folder)
        if here.credential is not Credential.ABSENT or present(folder / DATABASE):
            return here
        _, trace = self._trace(name)
        return here if trace is None else _resting(trace, self.now(), parked=here.record.parked)

    def settle(self, name: str) -> Finding:
        """Find out about a session no worker runs, and adopt a link whose note was lost.

        A crash may fall between the library's writing the device row and our noting it. The row is the truth: without
        this look, the next start would pair a linked session anew.

        Raises:
            CredentialUnreadableError: Whether there is a device cannot be told now.
        """
        finding = self.find(name)
        folder = self.folder(name)
        if finding.credential not in (Credential.ABSENT, Credential.UNLINKED, Credential.GIVEN_AWAY):
            return finding
        if not present(folder / DATABASE):
            return self._settle_archived(name, finding)
        if finding.credential is not Credential.ABSENT and not finding.record.pairing:
            # The row of the device that was unlinked, which the library had no time to delete, or was given away.
            return finding
        found = self._inspect(folder)
        if found.linked and found.account is not None:
            return Finding(Credential.PRESENT, self.mark_paired(name, found.account))
        return finding

    def prepare_pairing(self, name: str) -> StartTicket:
        """Make room for a new credential; whatever was there is set aside as evidence first.

        That the session was paired once stays on record until it is paired again: a crash in between must not make it
        look new.

        Raises:
            CredentialUnreadableError: What is there cannot be read now, and may be the only credential.
            HeldError: A worker still uses the folder.
        """
        folder = self._make(name)
        with locked(folder):
            record = self._memory(name, folder)
            found = self._inspect(folder) if present(folder / DATABASE) else Inspection()
            if found.linked and record.paired_at is None:
                record = msgspec.structs.replace(record, paired_at=self.now(), account=found.account)
                write_record(folder, record)  # before the row goes, or nothing says any more that there was one
            set_aside(folder, self._stamp())
            lost_at = self.now() if record.paired_at is not None else None
            epoch = record.epoch + 1
            fresh = {"epoch": epoch, "verdict": None, "retired_at": None, "pairing": True}
            write_record(folder, msgspec.structs.replace(record, unlinked_at=record.unlinked_at or lost_at, **fresh))
        return StartTicket(folder, epoch)

    def prepare_restore(self, name: str) -> StartTicket:
        """Check a credential, replace it by its newest good backup if it is damaged, and count a new epoch.

        Raises:
            CredentialError: It is missing, damaged, or of another account, and no backup of it is good; the library
                must not be given it.
            GivenAwayError: It belongs to another place now.
            CredentialElsewhereError: It is an outdated copy of one that went on elsewhere.
            CredentialUnreadableError: The system does not let it be read now.
            HeldError: A worker still uses it, or another live session has its account.
        """
        folder = self.folder(name)
        with locked(folder):
            if (record := read_record(folder)).given_away_at is not None:
                raise GivenAwayError(
                    f"{name!r} is not started here",
                    why=given_away(record),
                    hint="take it back with `wakit import` of that bundle or of one from where it is now, "
                    f"remove it from the file, or link the phone anew with `wakit pair {name}`",
                )
            found = readable(folder, examination.examine(folder / DATABASE, record, self.key))
            recovered: Recovery | None = None
            if found.problem or found.mended:
                recovered = recover(self._patient(name, folder, record), found)
                found = self._inspect(folder)
            sweep(folder)
            write_ahead.hold(folder / DATABASE, make=True)
            tighten(folder)
            epoch = record.epoch + 1
            # The note that it was linked may have been lost to a full disk; the device row is the truth.
            linked = {
                "paired_at": record.paired_at or self.now(),
                "account": record.account or found.account,
                "keys": record.keys or found.keys,
            }
            fresh = {"epoch": epoch, "verdict": None, "retired_at": None, "rested": ""}
            registry, seat = self.registry, Seat(name, folder, record.epoch, record.rested)
            with registry.permission(seat) if registry else nullcontext(UNWATCHED) as permission:
                write_record(folder, msgspec.structs.replace(record, **fresh, **linked))
                account = permission.take(epoch)  # last: a note of a start that was not counted would fence off our own
        return StartTicket(folder, epoch, self._holds(name, account), permission.note, recovered)

    def hold_account(self, name: str, user: Secret) -> AccountHold | None:
        """Note which device was linked just now; return what its worker has to hold of the account from now on."""
        folder = self.folder(name)
        if self.registry is None or not in_use(folder):
            return None
        return self._holds(name, self.registry.hold(Seat(name, folder, read_record(folder).epoch), user))

    def rest(self, name: str) -> None:
        """Note that nobody runs a session any more: until it runs again, a copy of its credential is as good as it."""
        account = self._held.pop(name, None)
        if self.registry is not None and account is not None and account.token:
            self.update(name, rested=account.token)
            self.registry.rest(account)  # last: who does not know of a noted end is taken for an older state

    def take_over(self, name: str) -> str:
        """Let a credential go on here, a copy or not, because a person says so; other copies are refused from now on.

        Returns:
            What was decided, in words; "" if there was nothing to decide.

        Raises:
            CredentialError: There is no credential that could be used.
            HeldError: It is in use.
        """
        folder = self.folder(name)
        if self.registry is None:
            return ""
        with locked(folder):
            record = read_record(folder)

            def count(epoch: int) -> None:
                write_record(folder, msgspec.structs.replace(record, epoch=epoch))

            return self.registry.take_over(Seat(name, folder, record.epoch), count)

    def backup(self, name: str, why: Why) -> Taken | None:
        """Back a credential up, also while a worker uses it; None if there is none in use.

        Raises:
            BackupError: It could not be written; the credential is as it was.
            CredentialError: It is damaged, so that no copy of it is worth keeping.
        """
        folder = self.folder(name)
        if look(folder).credential is not Credential.PRESENT:
            return None
        backups, record = self._backups(folder), read_record(folder)
        taken = backups.take(why, record)
        if taken.new:
            backups.prune()
        if (left := record.clean_stop) is not None and left.kept_as != taken.backup.name:
            left = msgspec.structs.replace(left, kept_as=taken.backup.name)
            write_record(folder, msgspec.structs.replace(record, stopped=left))
        return taken

    def listed_backups(self, name: str) -> list[Backup]:
        """Return the backups of a session, also of one that was retired; newest first, judged by their manifests."""
        return self._backups(self._place(name)).listed()

    def newest_backup_at(self, name: str) -> datetime | None:
        """Return when the newest backup that may be good was taken."""
        return next((b.manifest.created_at for b in self.listed_backups(name) if b.manifest and not b.problem), None)

    def find_backup(self, name: str, chosen: str | None) -> Backup:
        """Return a backup that can be put back: the named one, or the newest good one.

        Raises:
            CredentialError: There is no such backup, or it is not good.
        """
        folder = self._place(name)
        return choose(name, memory(folder, self.now()), self._backups(folder), chosen)

    def put_back(self, name: str, chosen: str | None, *, identities: Sequence[Path] = ()) -> Recovery:
        """Replace a credential by a backup because a person asks; what is there is kept as evidence.

        Raises:
            CredentialError: There is no such backup, or it is not good.
            HeldError: Somebody uses the credential.
        """
        folder = self.folder(name)
        with locked(folder):
            record = memory(folder, self.now())
            if record.given_away_at is not None:
                raise GivenAwayError(
                    f"No backup of {name!r} is put back",
                    why=given_away(record),
                    hint="take it back with `wakit import`: what is here is older",
                )
            patient = self._patient(name, folder, record)
            found = choose(name, record, patient.backups, chosen)
            asked = Inspection(problem="a person asked for it")
            recovery = put_back(patient, found, because=asked, identities=identities)
            fresh = {"verdict": None, "retired_at": None, "stopped": None}
            write_record(folder, msgspec.structs.replace(record, **fresh))
        return recovery

    def examine(self, name: str) -> tuple[SessionRecord, Inspection]:
        """Look into a credential that no worker uses now; whoever asks holds its lock.

        Raises:
            CredentialError: It is missing, damaged, or of another account.
            CredentialUnreadableError: The system does not let it be read now.
        """
        folder = self.folder(name)
        record = read_record(folder)
        found = readable(folder, examination.examine(folder / DATABASE, record, self.key))
        if found.problem:
            raise CredentialError(
                f"The credential of {name!r} cannot be used",
                why=found.problem,
                hint=f"`wakit restore {name}` puts a backup back; `wakit pair {name}` links the phone anew",
            )
        return record, found

    def update(self, name: str, **changes: object) -> SessionRecord:
        """Change fields of the record; keys as in :class:`SessionRecord`.

        The record lives where the credential lives. A note that comes after its credential was put away or renamed
        follows it there; one that finds none is refused, for a folder made for it would look like a session.

        Raises:
            CredentialError: There is no credential to note it of.
        """
        folder = self.folder(name)
        if not in_use(folder):
            if changes.keys() <= {"parked"}:  # about the name, not about a credential: it may come before the first
                folder = self._trace(name)[0] or self._make(name)
            else:
                folder = self._gone_to(name)
                if folder.is_relative_to(self.layout.archive):
                    changes = {key: value for key, value in changes.items() if key not in _OF_A_LIFE}
        with recording(folder):
            record = msgspec.structs.replace(memory(folder, self.now()), **changes)
            write_record(folder, record)
        return record

    def mark_paired(self, name: str, account: str) -> SessionRecord:
        """Note that a device was linked: from now on the session never pairs by itself."""
        fresh = {"unlinked_at": None, "retired_at": None, "verdict": None, "pairing": False, "keys": None, **_OURS}
        record = self.update(name, paired_at=self.now(), account=account, **fresh)
        write_ahead.hold(self.folder(name) / DATABASE, make=False)
        return record

    def mark_unlinked(self, name: str, verdict: Verdict) -> SessionRecord:
        """Note that the device row is gone; the folder stays as evidence."""
        return self.update(name, unlinked_at=self.now(), verdict=verdict, pairing=False)

    def mark_stopped(self, name: str) -> None:
        """Note what a client that ended in order left behind. Its process is gone.

        Raises:
            HeldError: Somebody uses the credential again.
        """
        folder = self.folder(name)
        if look(folder).credential is not Credential.PRESENT:
            return
        with locked(folder):
            record = read_record(folder)
            stopped = take(folder / DATABASE, record.epoch, self.now())
            if stopped is not None:
                write_record(folder, msgspec.structs.replace(record, stopped=stopped))

    def mark_given_away(self, name: str, bundle: str) -> SessionRecord:
        """Note that a credential belongs to another place now: it stays, and is not started any more.

        That it was parked is forgotten: people park a session to export it, and mean to have it run when it is back.
        """
        epoch = read_record(self.folder(name)).epoch
        fresh = {"verdict": None, "parked": False}
        return self.update(name, given_away_at=self.now(), given_to=bundle, given_epoch=epoch, **fresh)

    def retire(self, name: str, *, keep: bool) -> None:
        """Put a credential away: into the archive, or, with ``keep``, out of use where it is.

        Raises:
            HeldError: A worker still uses it.
        """
        folder = self.folder(name)
        if not in_use(folder) and look(folder).credential is Credential.ABSENT:
            return
        with locked(folder):
            record = memory(folder, self.now())
            if record.paired_at is None and record.verdict is None and not present(folder / DATABASE):
                write_record(folder, SessionRecord(epoch=record.epoch))
                return
            write_record(folder, msgspec.structs.replace(record, retired_at=self.now(), verdict=None, parked=False))
            if keep:
                return
            target = private_folder(self.layout.archive / name) / self._stamp()
            move(folder, target)
            self._moved[name] = target

    def revive(self, name: str) -> None:
        """Take the newest archived credential back.

        Raises:
            CredentialError: Nothing usable is archived under that name, or something is in its place.
            HeldError: Somebody uses it.
        """
        source, trace = self._trace(name)
        if source is None or trace is None or trace.credential is not Credential.ARCHIVED:
            raise CredentialError(
                f"{name!r} cannot be revived",
                why="nothing is archived under that name that could be used",
                hint=f"look into {self.layout.archive}",
            )
        self._move_in(source, name, f"{name!r} cannot be revived")

    def rename(self, source: str, target: str) -> None:
        """Move the credential of one name to another, archived or not; an unlinked one takes its memory along.

        Raises:
            CredentialError: There is nothing to move, or the target has a credential.
            HeldError: A worker uses either.
        """
        old = self.folder(source)
        if not in_use(old) or (look(old).credential is Credential.ABSENT and not present(old / DATABASE)):
            archived, trace = self._trace(source)
            if archived is not None and trace is not None and trace.credential is not Credential.DAMAGED:
                old = archived
        if not in_use(old):
            raise CredentialError(
                f"{source!r} cannot be renamed", why="it has no credential", hint="check renamed_from"
            )
        self._moved[source] = self._move_in(old, target, f"{source!r} cannot be renamed to {target!r}")

    def place(self, name: str, folder: Path, refused: str) -> None:
        """Move a credential in that comes from elsewhere; one that was given away makes room for it.

        Args:
            name: The session.
            folder: The credential with its record, on the file system of the state directory.
            refused: What to tell if it is not possible.

        Raises:
            CredentialError: The name has a credential that is in use here.
            HeldError: Somebody uses it.
        """
        self._move_in(folder, name, refused, instead_of=frozenset({Credential.ABSENT, Credential.GIVEN_AWAY}))

    def _holds(self, name: str, account: AccountHold | None) -> AccountHold | None:
        if account is not None:
            self._held[name] = account
        return account

    def _move_in(self, old: Path, name: str, refused: str, *, instead_of: frozenset[Credential] = _NOTHING) -> Path:
        """Move a credential's folder to where that name's is: from the archive, another name, or another place."""
        new = self.folder(name)
        epoch = 0
        if present(new):
            with locked(new), recording(new):
                here = look(new)
                fresh_link = here.credential is Credential.ABSENT or here.record.pairing
                linked = fresh_link and present(new / DATABASE) and self._inspect(new).linked
                if here.credential not in instead_of or linked:
                    raise CredentialError(
                        refused, why="the target has a credential of its own", hint=f"retire {name!r} first"
                    )
                epoch = here.record.epoch
                set_aside(new, self._stamp())
                move(new, private_folder(self.layout.archive / name) / self._stamp())
        with locked(old):
            record = memory(old, self.now())
            archived = old.is_relative_to(self.layout.archive)
            retired_at = None if archived else record.retired_at
            # The name's starts go on counting, too: what still runs under it must not look newer.
            fresh = msgspec.structs.replace(record, retired_at=retired_at, epoch=max(record.epoch, epoch))
            if archived or fresh != record:
                write_record(old, fresh)
            private_folder(new.parent)
            move(old, new)
        return new

    def folder(self, name: str) -> Path:
        """Return where a session's credential lies, or would lie."""
        if not SESSION_NAME.fullmatch(name):  # the last fence before a name becomes a path
            why = "names match [a-z0-9][a-z0-9_-]{0,62}"
            raise CredentialError(f"{name!r} is no session name", why=why, hint="give the name that is in the file")
        return self.layout.session(name, self.namespace)

    def _make(self, name: str) -> Path:
        folder = self.folder(name)
        private_folder(folder.parent)
        return private_folder(folder)

    def _look(self, folder: Path) -> Finding:
        """Say what there is; a damaged database of which there is a backup counts as present: its start mends it."""
        found = look(folder)
        if found.credential is not Credential.DAMAGED or found.record.paired_at is None:
            return found
        offered = self._backups(folder).offers(found.record.account, found.record.keys)
        return replace(found, credential=Credential.PRESENT) if offered else found

    def _place(self, name: str) -> Path:
        """Where a name's credential lies, in use or retired."""
        folder = self.folder(name)
        return folder if in_use(folder) else self._trace(name)[0] or folder

    def _patient(self, name: str, folder: Path, record: SessionRecord) -> Patient:
        return Patient(name, folder, record, self._backups(folder), self._stamp())

    def _backups(self, folder: Path) -> Backups:
        return Backups(folder, self._policy(), self.now, self.key)

    def _inspect(self, folder: Path) -> Inspection:
        return readable(folder, inspect(folder / DATABASE, self.key))

    def _archives(self, name: str) -> list[Path]:
        """The retired folders of a name, the newest first."""
        parent = self.layout.archive / name
        if not SESSION_NAME.fullmatch(name) or not parent.is_dir():
            return []
        return sorted((entry for entry in parent.iterdir() if entry.is_dir()), reverse=True)

    def _trace(self, name: str) -> tuple[Path | None, Finding | None]:
        """Find what the archive knows: the newest credential that can be used, else the newest that was ever linked.

        One that was given away ends the search.
        """
        lost: tuple[Path | None, Finding | None] = (None, None)
        for folder in self._archives(name):
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

    def _settle_archived(self, name: str, finding: Finding) -> Finding:
        """Adopt a link whose note was lost before its folder was put away."""
        if finding.credential is not Credential.ABSENT:
            return finding
        for folder in self._archives(name):
            if not present(folder / DATABASE):
                continue
            found = self._inspect(folder)
            if found.linked:
                record = read_record(folder)
                write_record(folder, msgspec.structs.replace(record, paired_at=self.now(), account=found.account))
                return self.find(name)
        return finding

    def _memory(self, name: str, folder: Path) -> SessionRecord:
        """Return what must not be forgotten of a name when it is linked anew, wherever it is written."""
        record = memory(folder, self.now())
        archived, _ = self._trace(name) if record.paired_at is None else (None, None)
        if archived is not None:
            record = msgspec.structs.replace(memory(archived, self.now()), parked=record.parked)
        return msgspec.structs.replace(record, epoch=self.highest_epoch(name))

    def highest_epoch(self, name: str) -> int:
        """Return the highest number that a start of this name has had here, wherever its record went."""
        return max(memory(each, self.now()).epoch for each in (self.folder(name), *self._archives(name)))

    def _gone_to(self, name: str) -> Path:
        place = self._moved.get(name)
        if place is None or not in_use(place):
            raise CredentialError(
                f"A note of {name!r} came too late", why="its credential is no longer there", hint="none is needed"
            )
        return place

    def _stamp(self) -> str:
        return f"{self.now().astimezone(UTC):%Y%m%dT%H%M%S%fZ}"

    def adopt(self, name: str, database: Path, account: str, *, resting: bool) -> SessionRecord:
        """Put a credential that was made elsewhere in place, as one that has just been linked.

        Whatever a crash leaves of it is as before or as after: without its note, the next look at the device row notes
        it (:meth:`settle`).

        Args:
            name: Whose credential it becomes.
            database: Checked, complete, and on this file system; it is moved.
            account: Keyed hash of its account.
            resting: It stays out of use until the session is declared.

        Raises:
            CredentialError: The session has a credential, or another session has the account.
            CredentialUnreadableError: What is there cannot be read now.
            HeldError: A worker uses the folder.
        """
        refused = f"Session {name!r} cannot take in a credential"
        # Before there is a folder: one that stayed empty would look like a session.
        if (other := self._holder_of(account, self.folder(name))) is not None:
            raise CredentialError(
                refused,
                why=f"its account is linked as {other!r} already; one account has one session",
                hint=f"retire {other!r} first",
            )
        folder = self._make(name)
        with locked(folder):
            if self.settle(name).credential not in (Credential.ABSENT, Credential.UNLINKED):
                raise CredentialError(
                    refused, why="it has, or had, one of its own", hint="choose another name, or retire this one first"
                )
            record = self._memory(name, folder)
            set_aside(folder, self._stamp())
            cleared = {"epoch": record.epoch + 1, "verdict": None, "retired_at": None, "pairing": True}
            write_record(folder, msgspec.structs.replace(record, **cleared))
            move(database, folder / DATABASE)
            now = self.now()
            record = SessionRecord(
                epoch=record.epoch + 1,
                paired_at=now,
                account=account,
                retired_at=now if resting else None,
                parked=record.parked,
            )
            write_record(folder, record)
        return record

    def _holder_of(self, account: str, folder: Path) -> str | None:
        """Name a session, of whatever namespace, that is linked to an account; ``folder`` is not asked."""
        for path in sorted(self.layout.sessions.glob(f"*/*/{RECORD}")):
            try:
                record = read_record(path.parent)
            except CredentialError:
                continue  # who holds what cannot be told by it
            if path.parent != folder and record.account == account and record.unlinked_at is None:
                return path.parent.parent.name
        return None


def _resting(trace: Finding, now: datetime, *, parked: bool) -> Finding:
    """What is in the archive is retired, even if an older wakit or a late note did not say so."""
    record = trace.record
    resting = msgspec.structs.replace(
        record, retired_at=record.retired_at or now, verdict=None, parked=record.parked or parked
    )
    return replace(trace, record=resting)


def readable(folder: Path, found: Inspection) -> Inspection:
    """Return what was found.

    Raises:
        CredentialUnreadableError: Nothing was, because the system did not let it be read.
    """
    if found.unreadable:
        raise CredentialUnreadableError(
            f"The credential in {folder} cannot be read now",
            why=found.problem,
            hint="mend the disk or the permissions; it is looked at again by itself",
        )
    return found
