"""The vault's operations. Each leaves the session as it was or as it should be, whatever moment the power goes.

A credential is a folder; retiring, reviving and renaming move whole folders by one rename within one file system.
Whoever moves or prepares one holds its ``lock`` meanwhile, the same that a worker holds for its life, so nothing is
ever moved under a client. Lock files are never deleted: two processes could then lock two files of one name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from wakit.core.declaration import SESSION_NAME
from wakit.core.observation import Credential
from wakit.durable import move
from wakit.errors import CredentialError, CredentialUnreadableError
from wakit.redact import Secret
from wakit.vault.account_key import account_key
from wakit.vault.folder import (
    DATABASE,
    Finding,
    in_use,
    locked,
    look,
    memory,
    present,
    set_aside,
    tighten,
    usable_but_for_its_record,
)
from wakit.vault.inspection import Inspection, inspect
from wakit.vault.layout import Layout, private_folder
from wakit.vault.record import SessionRecord, Verdict, read_record, write_record
from wakit.vault.registry import UNWATCHED, Registry
from wakit.vault.use import Seat
from wakit.whatsapp.port import AccountHold

__all__ = ["Finding", "StartTicket", "Vault"]

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
    """

    directory: Path
    epoch: int
    account: AccountHold | None = None
    note: str = ""


class Vault:
    """All credentials of one state directory, in one namespace.

    Args:
        layout: An opened layout.
        namespace: Which checkout's credentials (``strategy``).
        now: The clock (UTC).
        registry: The accounts of this machine; without it a copy of a credential is not told from the original.

    Raises:
        StateDirectoryError: The account key is lost or damaged while sessions are linked.
    """

    def __init__(
        self, layout: Layout, namespace: str, now: Callable[[], datetime], registry: Registry | None = None
    ) -> None:
        self._layout = layout
        self._namespace = namespace
        self._now = now
        self._registry = registry
        self.key = account_key(layout)
        self._held: dict[str, AccountHold] = {}  # of starts that have not ended
        self._moved: dict[str, Path] = {}  # where a name's credential went last: a late note follows it

    def names(self) -> list[str]:
        """Every session that has a folder here or in the archive, sorted."""
        found = {
            folder.name
            for parent in (self._layout.sessions, self._layout.archive)
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
        folder = self._folder(name)
        here = look(folder)
        if here.credential is not Credential.ABSENT or present(folder / DATABASE):
            return here
        _, trace = self._trace(name)
        return here if trace is None else _resting(trace, self._now(), parked=here.record.parked)

    def settle(self, name: str) -> Finding:
        """Find out about a session no worker runs, and adopt a link whose note was lost.

        A crash may fall between the library's writing the device row and our noting it. The row is the truth: without
        this look, the next start would pair a linked session anew.

        Raises:
            CredentialUnreadableError: Whether there is a device cannot be told now.
        """
        finding = self.find(name)
        folder = self._folder(name)
        if finding.credential not in (Credential.ABSENT, Credential.UNLINKED):
            return finding
        if not present(folder / DATABASE):
            return finding if finding.credential is Credential.UNLINKED else self._settle_archived(name, finding)
        if finding.credential is Credential.UNLINKED and not finding.record.pairing:
            return finding  # the row of the device that was unlinked, which the library had no time to delete
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
                record = msgspec.structs.replace(record, paired_at=self._now(), account=found.account)
                write_record(folder, record)  # before the row goes, or nothing says any more that there was one
            set_aside(folder, self._stamp())
            lost_at = self._now() if record.paired_at is not None else None
            epoch = record.epoch + 1
            fresh = {"epoch": epoch, "verdict": None, "retired_at": None, "pairing": True}
            write_record(folder, msgspec.structs.replace(record, unlinked_at=record.unlinked_at or lost_at, **fresh))
        return StartTicket(folder, epoch)

    def prepare_restore(self, name: str) -> StartTicket:
        """Check a credential and count a new epoch.

        Raises:
            CredentialError: It is missing, damaged, or of another account; the library must not be given it.
            CredentialElsewhereError: It is an outdated copy of one that went on elsewhere.
            CredentialUnreadableError: The system does not let it be read now.
            HeldError: A worker still uses it, or another live session has its account.
        """
        folder = self._folder(name)
        with locked(folder):
            record = read_record(folder)
            found = self._inspect(folder)
            problem = found.problem or _wrong_account(record, found)
            if problem:
                raise CredentialError(
                    f"The credential of {name!r} cannot be used",
                    why=problem,
                    hint=f"put back a copy of {folder}, or link the phone anew with `wakit pair {name}`",
                )
            tighten(folder)
            epoch = record.epoch + 1
            # The note that it was linked may have been lost to a full disk; the device row is the truth.
            linked = {"paired_at": record.paired_at or self._now(), "account": record.account or found.account}
            fresh = {"epoch": epoch, "verdict": None, "retired_at": None, "rested": ""}
            registry, seat = self._registry, Seat(name, folder, record.epoch, record.rested)
            with registry.permission(seat) if registry else nullcontext(UNWATCHED) as permission:
                write_record(folder, msgspec.structs.replace(record, **fresh, **linked))
                account = permission.take(epoch)  # last: a note of a start that was not counted would fence off our own
        return StartTicket(folder, epoch, self._holds(name, account), permission.note)

    def hold_account(self, name: str, user: Secret) -> AccountHold | None:
        """Note which device was linked just now; return what its worker has to hold of the account from now on."""
        folder = self._folder(name)
        if self._registry is None or not in_use(folder):
            return None
        return self._holds(name, self._registry.hold(Seat(name, folder, read_record(folder).epoch), user))

    def rest(self, name: str) -> None:
        """Note that nobody runs a session any more: until it runs again, a copy of its credential is as good as it."""
        account = self._held.pop(name, None)
        if self._registry is not None and account is not None and account.token:
            self.update(name, rested=account.token)
            self._registry.rest(account)  # last: who does not know of a noted end is taken for an older state

    def take_over(self, name: str) -> str:
        """Let a credential go on here, a copy or not, because a person says so; other copies are refused from now on.

        Returns:
            What was decided, in words; "" if there was nothing to decide.

        Raises:
            CredentialError: There is no credential that could be used.
            HeldError: It is in use.
        """
        folder = self._folder(name)
        if self._registry is None:
            return ""
        with locked(folder):
            record = read_record(folder)

            def count(epoch: int) -> None:
                write_record(folder, msgspec.structs.replace(record, epoch=epoch))

            return self._registry.take_over(Seat(name, folder, record.epoch), count)

    def update(self, name: str, **changes: object) -> SessionRecord:
        """Change fields of the record; keys as in :class:`SessionRecord`.

        The record lives where the credential lives. A note that comes after its credential was put away or renamed
        follows it there; one that finds none is refused, for a folder made for it would look like a session.

        Raises:
            CredentialError: There is no credential to note it of.
        """
        folder = self._folder(name)
        if not in_use(folder):
            if changes.keys() <= {"parked"}:  # about the name, not about a credential: it may come before the first
                folder = self._trace(name)[0] or self._make(name)
            else:
                folder = self._gone_to(name)
                if folder.is_relative_to(self._layout.archive):
                    changes = {key: value for key, value in changes.items() if key not in _OF_A_LIFE}
        record = msgspec.structs.replace(memory(folder, self._now()), **changes)
        write_record(folder, record)
        return record

    def mark_paired(self, name: str, account: str) -> SessionRecord:
        """Note that a device was linked: from now on the session never pairs by itself."""
        fresh = {"unlinked_at": None, "retired_at": None, "verdict": None, "pairing": False}
        return self.update(name, paired_at=self._now(), account=account, **fresh)

    def mark_unlinked(self, name: str, verdict: Verdict) -> SessionRecord:
        """Note that the device row is gone; the folder stays as evidence."""
        return self.update(name, unlinked_at=self._now(), verdict=verdict, pairing=False)

    def retire(self, name: str, *, keep: bool) -> None:
        """Put a credential away: into the archive, or, with ``keep``, out of use where it is.

        Raises:
            HeldError: A worker still uses it.
        """
        folder = self._folder(name)
        if not in_use(folder) and look(folder).credential is Credential.ABSENT:
            return
        with locked(folder):
            record = memory(folder, self._now())
            if record.paired_at is None and record.verdict is None and not present(folder / DATABASE):
                write_record(folder, SessionRecord(epoch=record.epoch))
                return
            write_record(folder, msgspec.structs.replace(record, retired_at=self._now(), verdict=None, parked=False))
            if keep:
                return
            target = private_folder(self._layout.archive / name) / self._stamp()
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
                hint=f"look into {self._layout.archive}",
            )
        self._move_in(source, name, f"{name!r} cannot be revived")

    def rename(self, source: str, target: str) -> None:
        """Move the credential of one name to another, archived or not; an unlinked one takes its memory along.

        Raises:
            CredentialError: There is nothing to move, or the target has a credential.
            HeldError: A worker uses either.
        """
        old = self._folder(source)
        if not in_use(old) or (look(old).credential is Credential.ABSENT and not present(old / DATABASE)):
            archived, trace = self._trace(source)
            if archived is not None and trace is not None and trace.credential is not Credential.DAMAGED:
                old = archived
        if not in_use(old):
            raise CredentialError(
                f"{source!r} cannot be renamed", why="it has no credential", hint="check renamed_from"
            )
        self._moved[source] = self._move_in(old, target, f"{source!r} cannot be renamed to {target!r}")

    def _holds(self, name: str, account: AccountHold | None) -> AccountHold | None:
        if account is not None:
            self._held[name] = account
        return account

    def _move_in(self, old: Path, name: str, refused: str) -> Path:
        """Move a credential's folder to where that name's is, from the archive or from another name."""
        new = self._folder(name)
        epoch = 0
        if present(new):
            with locked(new):
                here = look(new)
                linked = present(new / DATABASE) and self._inspect(new).linked
                if here.credential is not Credential.ABSENT or linked:
                    raise CredentialError(
                        refused, why="the target has a credential of its own", hint=f"retire {name!r} first"
                    )
                epoch = here.record.epoch
                set_aside(new, self._stamp())
                move(new, private_folder(self._layout.archive / name) / self._stamp())
        with locked(old):
            record = memory(old, self._now())
            archived = old.is_relative_to(self._layout.archive)
            retired_at = None if archived else record.retired_at
            # The name's starts go on counting, too: what still runs under it must not look newer.
            fresh = msgspec.structs.replace(record, retired_at=retired_at, epoch=max(record.epoch, epoch))
            if archived or fresh != record:
                write_record(old, fresh)
            private_folder(new.parent)
            move(old, new)
        return new

    def _folder(self, name: str) -> Path:
        if not SESSION_NAME.fullmatch(name):  # the last fence before a name becomes a path
            raise CredentialError(f"{name!r} is no session name", why="names match [a-z0-9][a-z0-9_-]{0,62}")
        return self._layout.session(name, self._namespace)

    def _make(self, name: str) -> Path:
        folder = self._folder(name)
        private_folder(folder.parent)
        return private_folder(folder)

    def _inspect(self, folder: Path) -> Inspection:
        found = inspect(folder / DATABASE, self.key)
        if found.unreadable:
            raise CredentialUnreadableError(
                f"The credential in {folder} cannot be read now",
                why=found.problem,
                hint="mend the disk or the permissions; it is looked at again by itself",
            )
        return found

    def _archives(self, name: str) -> list[Path]:
        """The retired folders of a name, the newest first."""
        parent = self._layout.archive / name
        if not SESSION_NAME.fullmatch(name) or not parent.is_dir():
            return []
        return sorted((entry for entry in parent.iterdir() if entry.is_dir()), reverse=True)

    def _trace(self, name: str) -> tuple[Path | None, Finding | None]:
        """Find what the archive knows: the newest credential that can be used, else the newest that was ever linked."""
        lost: tuple[Path | None, Finding | None] = (None, None)
        for folder in self._archives(name):
            finding = look(folder)
            if finding.credential is Credential.PRESENT:
                return folder, Finding(Credential.ARCHIVED, finding.record)
            if finding.credential is Credential.DAMAGED and usable_but_for_its_record(folder):
                return folder, Finding(Credential.ARCHIVED, memory(folder, self._now()))
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
                write_record(folder, msgspec.structs.replace(record, paired_at=self._now(), account=found.account))
                return self.find(name)
        return finding

    def _memory(self, name: str, folder: Path) -> SessionRecord:
        """Return what must not be forgotten of a name when it is linked anew, wherever it is written."""
        record = memory(folder, self._now())
        archives = self._archives(name)
        epoch = max([record.epoch, *(memory(archived, self._now()).epoch for archived in archives)])
        archived, _ = self._trace(name) if record.paired_at is None else (None, None)
        if archived is not None:
            record = msgspec.structs.replace(memory(archived, self._now()), parked=record.parked)
        return msgspec.structs.replace(record, epoch=epoch)

    def _gone_to(self, name: str) -> Path:
        place = self._moved.get(name)
        if place is None or not in_use(place):
            raise CredentialError(
                f"A note of {name!r} came too late", why="its credential is no longer there", hint="none is needed"
            )
        return place

    def _stamp(self) -> str:
        return f"{self._now().astimezone(UTC):%Y%m%dT%H%M%S%fZ}"


def _resting(trace: Finding, now: datetime, *, parked: bool) -> Finding:
    """What is in the archive is retired, even if an older wakit or a late note did not say so."""
    record = trace.record
    resting = msgspec.structs.replace(
        record, retired_at=record.retired_at or now, verdict=None, parked=record.parked or parked
    )
    return replace(trace, record=resting)


def _wrong_account(record: SessionRecord, found: Inspection) -> str:
    if record.account is not None and found.account != record.account:
        return "the credential database belongs to another account than the one last linked here"
    return ""
