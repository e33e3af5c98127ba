"""Who holds a lock: a record beside the lock file, and what it says to people.

A lock that dies with its holder does not tell who that is, so the holder writes it down. The record outlives its
writer, hence it is never believed alone: boot and start time make the process unmistakable after a reboot or a reuse of
its number, and what has ended is said to have ended. Records are for words only; what counts is the lock.
"""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path

import msgspec

from wakit.process import birth, is_stopped


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process that took a lock.

    Attributes:
        host: The machine's name.
        pid: The process id there.
        boot_id: The kernel's id of that boot.
        started: The process's start in clock ticks since boot (proc(5), field 22 of ``stat``).
        session: Whose credential it took the lock for.
        epoch: Which start of the credential that was.
        directory: The credential's folder.
        since: When it took the lock (UTC).
    """

    host: str
    pid: int
    boot_id: str
    started: int
    session: str
    epoch: int
    directory: str = ""
    since: datetime | None = None


class _Life(Enum):
    RUNS = auto()
    STOPPED = auto()
    ENDED = auto()
    EARLIER_BOOT = auto()
    UNKNOWN = auto()


def write_owner(path: Path, *, session: str, epoch: int, directory: str) -> None:
    """Write down that this process holds the lock."""
    born = birth(os.getpid())
    owner = Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot_id=born.boot_id if born else "",
        started=born.ticks if born else 0,
        session=session,
        epoch=epoch,
        directory=directory,
        since=datetime.now(UTC),
    )
    _note(path, msgspec.json.encode(owner))


def _note(path: Path, data: bytes) -> None:
    """Write over what is there, in place: a new file and a rename cost ten times as much, for each of a fleet's starts.

    Who reads in the middle of it, or after a crash in it, finds no record and says so; after a power failure nobody
    holds anything. Only the holder of the lock writes.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, os.write(descriptor, data))
    finally:
        os.close(descriptor)


def describe_holder(path: Path) -> str:
    """Say in one sentence who holds the lock that this record belongs to.

    Example:
        >>> describe_holder(Path("/nonexistent/owner.json"))
        'another process holds it'
    """
    try:
        owner = msgspec.json.decode(path.read_bytes(), type=Owner)
    except (OSError, msgspec.DecodeError):
        return "another process holds it"
    who = f"process {owner.pid} on {owner.host}"
    since = f" since {in_words(owner.since)}" if owner.since is not None else ""
    place = f", for {owner.session!r} in {owner.directory}" if owner.directory else ""
    holds = f"{who} holds it{since}{place}"
    match _life(owner):
        case _Life.STOPPED:
            return f"{holds}; it is stopped (SIGSTOP), and goes on with it once it is continued"
        case _Life.ENDED:
            return f"another process holds it; the last one known, {who}{place}, has ended"
        case _Life.EARLIER_BOOT:
            return f"another process holds it; the last one known, {who}{place}, was of an earlier boot"
        case _:
            return holds


def in_words(moment: datetime) -> str:
    """Say a moment so that no run of digits in it looks like a phone number.

    Example:
        >>> in_words(datetime(2026, 1, 31, 9, 5, tzinfo=UTC))
        '31 Jan 2026 at 09:05 UTC'
    """
    return f"{moment.astimezone(UTC):%d %b %Y at %H:%M UTC}"


def _life(owner: Owner) -> _Life:
    if owner.host != socket.gethostname() or not owner.boot_id:
        return _Life.UNKNOWN
    ours, theirs = birth(os.getpid()), birth(owner.pid)
    if ours is not None and owner.boot_id != ours.boot_id:
        return _Life.EARLIER_BOOT
    if theirs is None or theirs.ticks != owner.started:
        return _Life.ENDED
    return _Life.STOPPED if is_stopped(owner.pid) else _Life.RUNS
