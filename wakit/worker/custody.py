"""One live client a credential and an account: the locks a worker holds from before a client starts until its own end.

Two of them, because a credential can be copied: one beside the credential, and one of its account, which every fleet of
this user on this machine looks at. The kernel frees a lock when the process is gone, however it went, and not before: a
stopped process keeps its own. The files stay, since deleting a locked file would let two processes hold two files of
one name. Who holds a lock stands in a file beside it, for people and for error texts.

The descriptors are not inherited, so no child of the worker can keep a lock alive.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from wakit.errors import HeldError
from wakit.owner import describe_holder, write_owner
from wakit.whatsapp.port import AccountHold, SessionStart

OWNER: Final = "owner.json"

LOCK_PATIENCE: Final = 2.0
"""Seconds for the locks of a predecessor to become free: after ``kill -9`` it may still be dying."""


class _Note(msgspec.Struct):
    """What matters here of the note on where a credential was started last."""

    token: str


class Custody:
    """The locks of one session, held until they are released or the process ends.

    Args:
        start: Whose, and where its credential lies.
    """

    def __init__(self, start: SessionStart) -> None:
        self._start = start
        self._locks: list[FileLock] = []

    def hold_credential(self, *, patience: float) -> None:
        """Lock the credential; as :func:`take`."""
        folder = Path(self._start.directory)
        self._hold(folder / "lock", folder / OWNER, f"The credential of {self._start.name} is in use", patience)

    def hold_account(self, account: AccountHold, *, patience: float) -> None:
        """Lock the account; as :func:`take`."""
        lock = Path(account.lock)
        what = f"The account of {self._start.name} is in use on this machine"
        self._hold(lock, lock.with_suffix(".json"), what, patience)
        if account.note and not _bears(Path(account.note), account.token):
            raise HeldError(
                f"The credential of {self._start.name} is not used here",
                why="it was given to another fleet of this machine while it was about to start",
                hint=f"`wakit restart {self._start.name}` says to whom",
            )

    def release(self) -> None:
        """Let everything go."""
        while self._locks:
            self._locks.pop().release()

    def _hold(self, path: Path, owner: Path, what: str, patience: float) -> None:
        # Without flock there is no lock that dies with its holder, and none that a stopped one keeps.
        lock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
        try:
            lock.acquire(timeout=patience, poll_interval=0.02)
        except Timeout:
            raise HeldError(what, why=describe_holder(owner), hint="end the other process") from None
        self._locks.append(lock)
        start = self._start
        write_owner(owner, session=start.name, epoch=start.epoch, directory=start.directory)


def take(start: SessionStart, *, patience: float = 0.0) -> Custody:
    """Lock a session's credential and its account, and write down who holds them.

    Args:
        start: Whose, and where it lies.
        patience: Seconds to wait for holders that are about to end.

    Returns:
        The locks. They are held for as long as this object is kept.

    Raises:
        HeldError: Another process holds one of them, which is named; or the credential was given away.
        OSError: A folder cannot be written.
    """
    until = time.monotonic() + patience
    custody = Custody(start)
    try:
        custody.hold_credential(patience=patience)
        if start.account is not None:
            custody.hold_account(start.account, patience=max(0.0, until - time.monotonic()))
    except BaseException:
        custody.release()
        raise
    return custody


def _bears(note: Path, token: str) -> bool:
    try:
        return msgspec.json.decode(note.read_bytes(), type=_Note).token == token
    except (FileNotFoundError, msgspec.DecodeError):
        return False
