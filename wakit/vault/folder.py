"""One credential's folder: who may use it, what can be told of it from outside, and how it is cleared.

``session.json`` is the memory that the session was linked once. It is only ever replaced by one rename, never moved
away, so at no moment does a once-linked session look new.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from wakit.core.observation import Credential
from wakit.durable import move, sync_folder, write_file
from wakit.errors import CredentialError, CredentialUnreadableError, HeldError
from wakit.owner import describe_holder
from wakit.vault.layout import private_folder
from wakit.vault.record import (
    RECORD,
    DamagedRecordError,
    NewerRecordError,
    SessionRecord,
    read_record,
    recording,
    refusal,
    write_record,
)

DATABASE: Final = "creds.db"
# What stays when a credential is set aside: lock and memory must never be missing, and copies are no credential.
_STAYS: Final = frozenset({"lock", "owner.json", "evidence", "backups", RECORD})
_UNFINISHED: Final = "unfinished"
_LEFTOVER: Final = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")  # as wakit.durable names what it writes
_EPOCH: Final = re.compile(rb'"epoch"\s*:\s*(\d{1,18})')


@dataclass(frozen=True, slots=True)
class Finding:
    """What the vault knows of one session without touching the database of a live client.

    Attributes:
        credential: What there is.
        record: What is remembered of it.
        problem: What is wrong, or "".
        hint: What a person can do about it, or "".
    """

    credential: Credential
    record: SessionRecord
    problem: str = ""
    hint: str = ""

    @property
    def said(self) -> str:
        """The problem and the way out, in one sentence."""
        return "; ".join(filter(None, (self.problem, self.hint)))


@contextmanager
def locked(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock that a worker holds for its life.

    Args:
        folder: The credential's.
        patience: Seconds to wait for a worker that is about to end.

    Raises:
        HeldError: Somebody has it.
    """
    lock = FileLock(folder / "lock", mode=0o600)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise HeldError(
            f"The credential in {folder} is in use",
            why=describe_holder(folder / "owner.json"),
            hint="stop that process, or wait until it has ended",
        ) from None
    try:
        yield
    finally:
        lock.release()


def present(path: Path) -> bool:
    """Return whether there is anything under that name, even a dangling link.

    Raises:
        CredentialUnreadableError: The system does not tell.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise CredentialUnreadableError.of(path, error) from None
    return True


def in_use(folder: Path) -> bool:
    """Return whether a folder holds a credential or a record; one with a mere lock was prepared and never used."""
    return any(present(folder / entry) for entry in (RECORD, DATABASE))


def look(folder: Path) -> Finding:
    """Say what there is in a folder. Cheap: the database is only looked at from outside.

    Raises:
        CredentialUnreadableError: It cannot be read now, which says nothing about the credential.
    """
    for place in (folder.parent, folder):
        if _is_link(place):
            return Finding(Credential.DAMAGED, SessionRecord(), f"{place} is a symbolic link")
    try:
        record = read_record(folder)
    except NewerRecordError as error:  # no backup and no new link helps: this wakit overwrites no such record
        return Finding(Credential.DAMAGED, SessionRecord(), str(error), error.hint)
    except CredentialError as error:
        return Finding(Credential.DAMAGED, SessionRecord(), str(error))
    if not present(folder / RECORD) and _lost_memory(folder) is not None:
        return Finding(Credential.DAMAGED, SessionRecord(), f"{folder / RECORD} is missing")
    if record.given_away_at is not None:
        return Finding(Credential.GIVEN_AWAY, record, given_away(record))
    if record.unlinked_at is not None:
        return Finding(Credential.UNLINKED, record)
    if record.paired_at is None:
        return Finding(Credential.ABSENT, record)
    problem = _from_outside(folder / DATABASE)
    return Finding(Credential.DAMAGED if problem else Credential.PRESENT, record, problem)


def given_away(record: SessionRecord) -> str:
    """Say when and in what a credential was given away."""
    return f"it was given away on {record.given_away_at:%Y-%m-%d %H:%M} UTC in the bundle {record.given_to}"


def way_out(name: str, credential: Credential) -> str:
    """Say what a person can do about a session that cannot be started as it is, or ""."""
    match credential:
        case Credential.GIVEN_AWAY:
            return (
                "take it back with `wakit import` of that bundle or of one from where it is now, "
                f"remove it from the file, or link the phone anew with `wakit pair {name}`"
            )
        case Credential.DAMAGED:
            return f"`wakit restore {name} --list` shows what there is, `wakit pair {name}` links the phone anew"
        case _:
            return ""


def usable_but_for_its_record(folder: Path) -> bool:
    """Return whether only the record is damaged, and the credential beside it looks whole."""
    try:
        read_record(folder)
    except DamagedRecordError:
        return not _from_outside(folder / DATABASE)
    except CredentialError:
        return False
    return False


def memory(folder: Path, now: datetime) -> SessionRecord:
    """Read a record that is about to be replaced; a damaged or vanished one still counts as once paired.

    Raises:
        CredentialError: A newer wakit wrote it, so it is not ours to replace.
    """
    try:
        record = read_record(folder)
    except NewerRecordError:
        raise
    except CredentialError:
        return SessionRecord(paired_at=now, epoch=_highest_epoch(folder))
    if present(folder / RECORD):
        return record
    return _lost_memory(folder) or record


def amend(folder: Path, now: datetime, **changes: object) -> SessionRecord:
    """Change fields of a record, keys as in :class:`SessionRecord`, and leave what others have noted meanwhile.

    Raises:
        CredentialError: A newer wakit wrote it.
        CredentialUnreadableError: It cannot be read now.
        FileNotFoundError: There is no such folder.
    """
    with recording(folder):
        record = msgspec.structs.replace(memory(folder, now), **changes)
        write_record(folder, record)
    return record


def set_aside(folder: Path, stamp: str) -> None:
    """Move a credential into a dated evidence folder, with a copy of its record.

    What an earlier try left half moved is finished first, so that the parts of one database stay together. The database
    goes first: without it the credential is plainly missing, while a database without its log would look whole.
    """
    sweep(folder)
    leaving = sorted(entry for entry in folder.iterdir() if entry.name not in _STAYS)
    evidence = folder / "evidence"
    unfinished = evidence / _UNFINISHED
    if not leaving and not present(unfinished):
        return
    private_folder(evidence)
    if present(unfinished / DATABASE) and present(folder / DATABASE):
        move(unfinished, evidence / f"{stamp}-earlier")
    sweep(private_folder(unfinished))
    record = folder / RECORD
    if record.exists() and not record.is_symlink():
        write_file(unfinished / RECORD, record.read_bytes())
    sync_folder(evidence)
    for entry in leaving:
        entry.rename(unfinished / entry.name)
    sync_folder(unfinished)
    sync_folder(folder)
    move(unfinished, evidence / stamp)


def sweep(folder: Path) -> None:
    """Remove what a write that was cut off left behind. The caller holds the lock, so none is under way."""
    for entry in folder.iterdir():
        if _LEFTOVER.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


def tighten(folder: Path) -> None:
    """The library makes its files 0644; nobody else has any business in them."""
    for entry in folder.iterdir():
        mode = entry.lstat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            entry.chmod(0o600)


def _from_outside(database: Path) -> str:
    """Say what is wrong with a database as far as its size and kind tell, or ""."""
    try:
        if why := refusal(database):
            return f"the credential database is refused: {why}"
        return "" if database.lstat().st_size else "the credential database is empty (zero bytes)"
    except FileNotFoundError:
        return "the credential database is missing"
    except OSError as error:
        raise CredentialUnreadableError.of(database, error) from None


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CredentialUnreadableError.of(path, error) from None


def _lost_memory(folder: Path) -> SessionRecord | None:
    """Find the newest evidence that there was a link, for a folder whose own record is gone."""
    for copy in sorted(folder.glob(f"evidence/*/{RECORD}"), reverse=True):
        with suppress(CredentialError):
            record = read_record(copy.parent)
            if record.paired_at is not None:
                return msgspec.structs.replace(record, epoch=_highest_epoch(folder))
    return None


def _highest_epoch(folder: Path) -> int:
    """Find the highest epoch that anything in the folder tells: a later start must never count lower."""
    epochs = [0]
    for path in (folder / RECORD, folder / "owner.json", *folder.glob(f"evidence/*/{RECORD}")):
        with suppress(OSError):
            epochs += [int(digits) for digits in _EPOCH.findall(path.read_bytes())]
    return max(epochs)
