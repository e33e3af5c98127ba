"""``session.json``: what must be remembered of a credential beside the credential itself.

It is the reason why a once-paired session is never paired anew in silence: the credential may be lost, this file still
says that there was one.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from wakit.core.phone import PhoneMemory
from wakit.durable import write_file
from wakit.errors import CredentialError, CredentialUnreadableError

VERSION: Final = 2
"""The newest record this wakit understands. Each is written as the oldest version that can be trusted with it: what an
older wakit would not know of and may ignore costs nothing, but a credential that was given away it would start."""

_PLAIN: Final = 1
_GIVEN_AWAY: Final = 2
RECORD: Final = "session.json"


class Verdict(msgspec.Struct, frozen=True):
    """A state that outlives the daemon: the session waits there for a person, or for a moment.

    Attributes:
        state: A :class:`~wakit.core.lifecycle.State`.
        reason: In words, without secrets.
        at: When (UTC).
        until: When it ends by itself (UTC), or None if only a person ends it.
    """

    state: str
    reason: str
    at: datetime
    until: datetime | None = None


class CleanStop(msgspec.Struct, frozen=True):
    """What a client that ended in order left behind, for the next start to compare.

    Attributes:
        epoch: Of the start that ended; a record of an older start says nothing.
        digest: Of the database's files, as :func:`wakit.vault.snapshot.source_digest` makes it.
        at: When (UTC).
        kept_as: The backup that has all of it, or "" if none was taken since.
    """

    epoch: int
    digest: str
    at: datetime
    kept_as: str = ""


class SessionRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``session.json``.

    Attributes:
        version: Of this format.
        epoch: Grows with each start of the credential; a later start fences off an earlier one.
        paired_at: When it was last linked (UTC), or None if never.
        account: Keyed hash of the linked account.
        unlinked_at: When the phone or WhatsApp unlinked it (UTC), or None.
        retired_at: When it was retired and kept in place (UTC), or None.
        parked: A person parked it.
        verdict: Where it waits, or None.
        rested: Token of the note on its last start, once that start has ended; a copy made before does not have it.
        pairing: Its place was cleared to link it anew, and no link was noted since: a device row found there is new.
        keys: Keyed hash of the linked device's own keys, which never change, or None if it was not taken yet.
        stopped: What the last clean stop left behind, or None.
        given_away_at: When it was exported and given to another place (UTC), or None while it is ours.
        given_to: The bundle it was given away in.
        given_epoch: Its epoch when it was given away: what comes back from elsewhere has seen more starts.
        imported_from: The bundle it came in, or None.
        phone: How the phone that it is linked to has shown itself, or None if it has not.
        former: The names it had before, the latest last; whoever takes a renaming back finds it by them.
    """

    version: int = _PLAIN
    epoch: int = 0
    paired_at: datetime | None = None
    account: str | None = None
    unlinked_at: datetime | None = None
    retired_at: datetime | None = None
    parked: bool = False
    verdict: Verdict | None = None
    rested: str = ""
    pairing: bool = False
    keys: str | None = None
    stopped: CleanStop | None = None
    given_away_at: datetime | None = None
    given_to: str | None = None
    given_epoch: int = 0
    imported_from: str | None = None
    phone: PhoneMemory | None = None
    former: tuple[str, ...] = ()

    @property
    def clean_stop(self) -> CleanStop | None:
        """What the last start left behind when it ended in order, or None if it did not, or has not."""
        return self.stopped if self.stopped is not None and self.stopped.epoch == self.epoch else None


class NewerRecordError(CredentialError):
    """A newer wakit wrote ``session.json``; what it says is not to be guessed at, and not to be overwritten."""


class DamagedRecordError(CredentialError):
    """``session.json`` is no record; the credential beside it may still be sound."""


def refusal(path: Path) -> str:
    """Say why a file must not be trusted, or "": it has to be a plain file of this user.

    Behind a link, somebody else could put another credential in place, or be given this one.

    Raises:
        FileNotFoundError: It is not there.
        OSError: The system does not tell.
    """
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "it is a symbolic link"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a plain file"
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}"
    return ""


def read_record(folder: Path) -> SessionRecord:
    """Read the record of a credential's folder; a missing file is an empty record.

    Raises:
        CredentialError: The file is there and cannot be trusted or understood. Guessing "never paired" would pair anew.
        CredentialUnreadableError: The system does not let it be read now.
    """
    path = folder / RECORD
    try:
        if why := refusal(path):
            raise CredentialError(f"{path} is refused", why=why, hint="put the real file of your user in its place")
        data = path.read_bytes()
    except FileNotFoundError:
        return SessionRecord()
    except OSError as error:
        raise CredentialUnreadableError.of(path, error) from None
    try:
        record = msgspec.json.decode(data, type=SessionRecord)
    except msgspec.DecodeError:
        raise DamagedRecordError(
            f"{path} cannot be read", why="it is damaged", hint="put back the file from a copy of the state directory"
        ) from None
    if record.version > VERSION:
        raise NewerRecordError(
            f"{path} cannot be read", why="a newer wakit wrote it", hint="run the newer wakit, or an older copy"
        )
    return record


def write_record(folder: Path, record: SessionRecord) -> None:
    """Write the record durably."""
    if record.version <= VERSION:
        version = _PLAIN if record.given_away_at is None else _GIVEN_AWAY
        record = msgspec.structs.replace(record, version=version)
    write_file(folder / RECORD, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


@contextmanager
def recording(folder: Path) -> Iterator[None]:
    """Hold a record still while it is read and written again: a daemon and a command may both have something to note.

    The lock is on the folder itself, so nothing is left behind, and it is held for a moment only. Who has it must not
    ask for it again: it would wait for itself. Whoever waited while the folder was moved away takes the one that lies
    there now.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(descriptor), folder.stat()):
                continue
            yield
            return
        finally:
            os.close(descriptor)
