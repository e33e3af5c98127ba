"""The vault's operations. Each leaves the session as it was or as it should be, whatever moment the power goes.

A credential is a folder; retiring, reviving and renaming move whole folders by one rename within one file system.
Whoever moves or prepares one holds its ``lock`` meanwhile, the same that a worker holds for its life, so nothing is
ever moved under a client. Lock files are never deleted: two processes could then lock two files of one name.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from wakit.core.declaration import SESSION_NAME
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.durable import move, sync_folder, write_file
from wakit.errors import CredentialError, HeldError
from wakit.vault.inspection import Inspection, inspect
from wakit.vault.layout import Layout, private_folder
from wakit.vault.record import SessionRecord, Verdict, read_record, write_record

_DATABASE: Final = "creds.db"


@dataclass(frozen=True, slots=True)
class StartTicket:
    """What a worker needs to run a credential: its folder, and the epoch of this start."""

    directory: Path
    epoch: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What the vault knows of one session without touching the database of a live client."""

    credential: Credential
    record: SessionRecord
    problem: str = ""


class Vault:
    """All credentials of one state directory, in one namespace.

    Args:
        layout: An opened layout.
        namespace: Which checkout's credentials (``strategy``).
        now: The clock (UTC).
    """

    def __init__(self, layout: Layout, namespace: str, now: Callable[[], datetime]) -> None:
        self._layout = layout
        self._namespace = namespace
        self._now = now
        self.key = _account_key(layout.account_key)

    def names(self) -> list[str]:
        """Every session that has a folder here or in the archive, sorted."""
        found = {
            folder.name
            for parent in (self._layout.sessions, self._layout.archive)
            for folder in parent.iterdir()
            if SESSION_NAME.fullmatch(folder.name) and any(folder.iterdir())
        }
        return sorted(found)

    def find(self, name: str) -> Finding:
        """Say what there is of a session. Cheap: the database is only looked at from outside."""
        folder = self._folder(name)
        if not folder.exists():
            archived = self._archived(name)
            if archived is None:
                return Finding(Credential.ABSENT, SessionRecord())
            return Finding(Credential.ARCHIVED, read_record(archived))
        try:
            record = read_record(folder)
        except CredentialError as error:
            return Finding(Credential.DAMAGED, SessionRecord(), str(error))
        if record.unlinked_at is not None:
            return Finding(Credential.UNLINKED, record)
        if record.paired_at is None:
            return Finding(Credential.ABSENT, record)
        try:
            empty = (folder / _DATABASE).stat().st_size == 0
        except FileNotFoundError:
            return Finding(Credential.DAMAGED, record, "the credential database is missing")
        if empty:
            return Finding(Credential.DAMAGED, record, "the credential database is empty (zero bytes)")
        return Finding(Credential.PRESENT, record)

    def settle(self, name: str) -> Finding:
        """Find out about a session no worker runs, and adopt a link whose note was lost.

        A crash may fall between the library's writing the device row and our noting it. The row is the truth: without
        this look, the next start would pair a linked session anew.
        """
        finding = self.find(name)
        database = self._folder(name) / _DATABASE
        if finding.credential not in (Credential.ABSENT, Credential.UNLINKED) or not database.exists():
            return finding
        verdict = finding.record.verdict
        if verdict is not None and verdict.state == State.LOGGED_OUT:
            return finding  # the row of the device that was unlinked, which the library had no time to delete
        found = inspect(database, self.key)
        if found.linked and found.account is not None:
            return Finding(Credential.PRESENT, self.mark_paired(name, found.account))
        return finding

    def prepare_pairing(self, name: str) -> StartTicket:
        """Make room for a new credential; whatever was there is set aside as evidence first.

        That the session was paired once stays on record until it is paired again: a crash in between must not make it
        look new.

        Raises:
            HeldError: A worker still uses the folder.
        """
        folder = self._make(name)
        with self._locked(folder):
            record = self._record_or_empty(folder)
            if (folder / _DATABASE).exists() or record.paired_at is not None:
                self._set_aside(folder)
            lost_at = self._now() if record.paired_at is not None else None
            epoch = record.epoch + 1
            write_record(
                folder,
                msgspec.structs.replace(
                    record, epoch=epoch, verdict=None, retired_at=None, unlinked_at=record.unlinked_at or lost_at
                ),
            )
        return StartTicket(folder, epoch)

    def prepare_restore(self, name: str) -> StartTicket:
        """Check a credential and count a new epoch.

        Raises:
            CredentialError: It is missing, damaged, or of another account; the library must not be given it.
            HeldError: A worker still uses it.
        """
        folder = self._folder(name)
        with self._locked(folder):
            record = read_record(folder)
            found = inspect(folder / _DATABASE, self.key)
            problem = found.problem or _wrong_account(record, found)
            if problem:
                raise CredentialError(
                    f"The credential of {name!r} cannot be used",
                    why=problem,
                    hint=f"put back a copy of {folder}, or link the phone anew with `wakit pair {name}`",
                )
            _tighten(folder)
            epoch = record.epoch + 1
            # The note that it was linked may have been lost to a full disk; the device row is the truth.
            linked = {"paired_at": record.paired_at or self._now(), "account": record.account or found.account}
            fresh = {"epoch": epoch, "verdict": None, "retired_at": None}
            write_record(folder, msgspec.structs.replace(record, **fresh, **linked))
        return StartTicket(folder, epoch)

    def update(self, name: str, **changes: object) -> SessionRecord:
        """Change fields of the record; keys as in :class:`SessionRecord`."""
        # The record lives where the credential lives: a folder made beside an archived one would hide it.
        folder = self._folder(name)
        if not folder.exists():
            folder = self._archived(name) or self._make(name)
        record = msgspec.structs.replace(self._record_or_empty(folder), **changes)
        write_record(folder, record)
        return record

    def mark_paired(self, name: str, account: str) -> SessionRecord:
        """Note that a device was linked: from now on the session never pairs by itself."""
        return self.update(
            name, paired_at=self._now(), account=account, unlinked_at=None, retired_at=None, verdict=None
        )

    def mark_unlinked(self, name: str, verdict: Verdict) -> SessionRecord:
        """Note that the device row is gone; the folder stays as evidence."""
        return self.update(name, unlinked_at=self._now(), verdict=verdict)

    def retire(self, name: str, *, keep: bool) -> None:
        """Put a credential away: into the archive, or, with ``keep``, out of use where it is.

        Raises:
            HeldError: A worker still uses it.
        """
        folder = self._folder(name)
        if not folder.exists():
            return
        with self._locked(folder):
            record = self._record_or_empty(folder)
            if record.paired_at is None and record.verdict is None and not (folder / _DATABASE).exists():
                write_record(folder, SessionRecord(epoch=record.epoch))
                return
            write_record(folder, msgspec.structs.replace(record, retired_at=self._now(), verdict=None, parked=False))
            if keep:
                return
            move(folder, private_folder(self._layout.archive / name) / self._stamp())

    def revive(self, name: str) -> None:
        """Take the newest archived credential back.

        Raises:
            CredentialError: Nothing is archived under that name, or something is in its place.
        """
        source, folder = self._archived(name), self._folder(name)
        if source is None or folder.exists():
            raise CredentialError(
                f"{name!r} cannot be revived",
                why="nothing is archived under that name" if source is None else "a credential is in its place",
                hint=f"look into {self._layout.archive}",
            )
        with self._locked(source):
            write_record(source, msgspec.structs.replace(read_record(source), retired_at=None))
            private_folder(folder.parent)
            move(source, folder)

    def rename(self, source: str, target: str) -> None:
        """Move the credential of one name to another, archived or not.

        Raises:
            CredentialError: There is nothing to move, or the target has a credential.
            HeldError: A worker uses either.
        """
        if self._archived(source) is not None and not self._folder(source).exists():
            self.revive(source)
        old, new = self._folder(source), self._folder(target)
        if not old.exists():
            raise CredentialError(
                f"{source!r} cannot be renamed", why="it has no credential", hint="check renamed_from"
            )
        if new.exists():
            with self._locked(new):
                if self._record_or_empty(new).paired_at is not None:
                    raise CredentialError(
                        f"{source!r} cannot be renamed to {target!r}",
                        why="the target has a credential of its own",
                        hint=f"retire {target!r} first",
                    )
                self._set_aside(new)
                move(new, private_folder(self._layout.archive / target) / self._stamp())
        with self._locked(old):
            private_folder(new.parent)
            move(old, new)

    def _folder(self, name: str) -> Path:
        if not SESSION_NAME.fullmatch(name):  # the last fence before a name becomes a path
            raise CredentialError(f"{name!r} is no session name", why="names match [a-z0-9][a-z0-9_-]{0,62}")
        return self._layout.session(name, self._namespace)

    def _make(self, name: str) -> Path:
        folder = self._folder(name)
        private_folder(folder.parent)
        return private_folder(folder)

    def _archived(self, name: str) -> Path | None:
        parent = self._layout.archive / name
        if not SESSION_NAME.fullmatch(name) or not parent.is_dir():
            return None
        usable = [folder for folder in parent.iterdir() if _was_linked(folder)]
        return max(usable, default=None, key=lambda folder: folder.name)

    def _record_or_empty(self, folder: Path) -> SessionRecord:
        """Read a record that is about to be replaced; a damaged one still counts as once paired."""
        try:
            return read_record(folder)
        except CredentialError:
            return SessionRecord(paired_at=self._now())

    def _set_aside(self, folder: Path) -> None:
        """Move everything but the lock into a dated evidence folder."""
        evidence = private_folder(private_folder(folder / "evidence") / self._stamp())
        for entry in sorted(folder.iterdir()):
            if entry.name not in ("lock", "owner.json", "evidence"):
                entry.rename(evidence / entry.name)
        sync_folder(evidence)
        sync_folder(folder)

    def _stamp(self) -> str:
        return f"{self._now().astimezone(UTC):%Y%m%dT%H%M%S%fZ}"

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        lock = FileLock(folder / "lock", mode=0o600)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise HeldError(
                f"The credential in {folder} is in use",
                why=_holder(folder),
                hint="stop that process, or wait until it has ended",
            ) from None
        try:
            yield
        finally:
            lock.release()


def _account_key(path: Path) -> bytes:
    """Read the key of account hashes, or make it once."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        write_file(path, key)
    return key


def _wrong_account(record: SessionRecord, found: Inspection) -> str:
    if record.account is not None and found.account != record.account:
        return "the credential database belongs to another account than the one last linked here"
    return ""


def _was_linked(folder: Path) -> bool:
    try:
        record = read_record(folder)
    except CredentialError:
        return False
    return record.paired_at is not None and record.unlinked_at is None and (folder / _DATABASE).exists()


def _holder(folder: Path) -> str:
    """Name the process that a worker's owner file names."""
    try:
        owner = msgspec.json.decode((folder / "owner.json").read_bytes())
        return f"process {owner['pid']} on {owner['host']} holds it"
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return "another process holds it"


def _tighten(folder: Path) -> None:
    """The library makes its files 0644; nobody else has any business in them."""
    for entry in folder.iterdir():
        if entry.is_file() and entry.stat().st_mode & 0o077:
            entry.chmod(0o600)
