"""The note on where a linked device was started last: what it holds, whether that place still exists, and its words."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from wakit.core.fencing import Mark, Turn
from wakit.errors import CredentialElsewhereError, CredentialUnreadableError
from wakit.owner import in_words
from wakit.vault.birth import born


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Where a linked device was started last.

    Attributes:
        session: As which session.
        directory: The credential's folder, as it was called then.
        inode: Of the lock file in it.
        born: When that file was made (ns since 1970), 0 if unknown.
        host: The machine's name.
        epoch: Which start of the credential that was.
        at: When (UTC).
        token: Of this note; another one means that the credential was given to somebody else.
        ended: That start has ended, and the credential knows it.
    """

    session: str
    directory: str
    inode: int
    born: int
    host: str
    epoch: int
    at: datetime
    token: str
    ended: bool = False

    @property
    def mark(self) -> Mark:
        """What tells that folder from a copy."""
        return Mark(self.inode, self.born, self.epoch)

    @property
    def place(self) -> str:
        """Where and when that was, in words."""
        host = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"in {self.directory}{host} (as {self.session!r}, start {self.epoch}, {in_words(self.at)})"


@dataclass(frozen=True, slots=True)
class Seat:
    """A session's credential in its folder, whose lock file exists.

    Attributes:
        name: The session.
        folder: The credential's folder.
        epoch: How many starts it has seen.
        rested: The token of the last one of which it has seen the end, or "".
    """

    name: str
    folder: Path
    epoch: int
    rested: str = ""

    @property
    def mark(self) -> Mark:
        """What tells it from a copy."""
        return _mark(self.folder, self.epoch)


def read_use(note: Path) -> Use | None:
    """Read a note, or return None if there is none.

    Raises:
        CredentialUnreadableError: It is damaged, so nobody knows whose turn it is.
    """
    try:
        return msgspec.json.decode(note.read_bytes(), type=Use)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise CredentialUnreadableError(
            f"{note} cannot be read",
            why="it is damaged",
            hint=f"make sure that no copy of this credential was used since, then remove {note}",
        ) from None


def whereabouts(last: Use, folder: Path) -> tuple[bool, bool]:
    """Say whether the folder that was used last is still there beside this one, and whether it is gone."""
    if last.host != socket.gethostname():
        return False, False  # its path means nothing on this machine
    there = Path(last.directory)
    try:
        there.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False, True
    except OSError:
        return False, False
    with suppress(OSError):
        ours = (there / "lock").samefile(folder / "lock")
        return not ours and _mark(there, 0).same_place(last.mark), False
    return False, False


def refusal(seat: Seat, turn: Turn, last: Use, live: str) -> CredentialElsewhereError:
    """Return the error for a credential whose turn it is not.

    Args:
        seat: The credential.
        turn: Why not.
        last: Where it was used last.
        live: Who runs its account now, or "".
    """
    name, then = seat.name, f"run `wakit restart {seat.name} --take-over`; messages that came since may stay unreadable"
    if turn is Turn.BEHIND:
        return CredentialElsewhereError(
            f"The credential of {name!r} was put back to an earlier state",
            why=f"its device was started last {last.place}, and what is here is from before that start or its end",
            hint=f"put the newest state in its place, or, to go on with this one for good, {then}",
        )
    _, gone = whereabouts(last, seat.folder)
    nothing = ", where nothing is any more, and this copy did not see the end of that start" if gone else ""
    first = "end that one and " if live else ""
    return CredentialElsewhereError(
        f"The credential of {name!r} is an outdated copy",
        why=f"its device was started last {last.place}{nothing}" + (f"; {live}" if live else ""),
        hint=f"use it there, or, to go on here for good, {first}{then}",
    )


def remark(seat: Seat, turn: Turn, last: Use | None) -> str:
    """Say what a person should know of a start that is allowed, or ""."""
    match turn:
        case Turn.MOVED if last is not None:
            return (
                f"the credential of {seat.name!r} was used last {last.place}, which is gone: it is taken to have been "
                "moved here"
            )
        case Turn.NEWER if last is not None:
            return (
                f"the credential of {seat.name!r} has seen start {seat.epoch}, and was known here {last.place}: it was "
                "used where this machine did not note it, and goes on here"
            )
        case _:
            return ""


def _mark(folder: Path, epoch: int) -> Mark:
    lock = folder / "lock"
    return Mark(lock.stat().st_ino, born(lock), epoch)
