"""The accounts of this user on this machine: who runs each now, and where each credential was started last.

A credential's own lock keeps two clients out of one folder. A copy of the folder has a lock of its own, so there is a
second one, of the account, that every state directory of this user looks at. A worker holds both for its life. Beside
it is noted where each linked device was started last, so that a copy whose keys are over is never started by itself,
even when nobody runs the other one (:mod:`wakit.core.fencing` judges, this module knows and remembers).

A note is only ever changed by who holds the account's lock, and carries a token of its own. The worker compares it once
it has the lock: between the daemon's note and the worker's lock a person may have given the credential away.
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from wakit.core.declaration import Endpoint
from wakit.core.fencing import ALLOWED, Mark, Turn, judge
from wakit.durable import write_file
from wakit.errors import CredentialElsewhereError, CredentialError, CredentialUnreadableError, HeldError
from wakit.owner import describe_holder, in_words
from wakit.redact import Secret
from wakit.vault.accounts_folder import AccountsFolder
from wakit.vault.birth import born
from wakit.vault.device import Device, read_device
from wakit.vault.folder import DATABASE
from wakit.whatsapp.port import AccountHold

_REAL: Final = "whatsapp"
_DIGITS: Final = 24


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


@dataclass(frozen=True, slots=True)
class Seat:
    """A session's credential in its folder, whose lock is held or was made.

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


@dataclass(frozen=True, slots=True)
class Permission:
    """A start that is allowed; the account's lock is held until it was noted.

    Attributes:
        note: What a person should know of it, or "".
        take: Notes the start under its epoch; returns what the worker has to hold.
    """

    note: str
    take: Callable[[int], AccountHold | None]


UNWATCHED: Final = Permission("", lambda _epoch: None)
"""Every start is allowed and none is noted: for a vault without a registry."""


class Registry:
    """The accounts of one endpoint.

    Args:
        accounts: The opened folder.
        endpoint: The loopback server of this fleet, or None for WhatsApp.
        now: The clock (UTC).
    """

    def __init__(self, accounts: AccountsFolder, endpoint: Endpoint | None, now: Callable[[], datetime]) -> None:
        self._accounts = accounts
        self._realm = endpoint.noise_root_key.lower() if endpoint else _REAL
        self._now = now
        self.note = accounts.note

    @contextmanager
    def permission(self, seat: Seat) -> Iterator[Permission]:
        """Hold a credential's account while its start is prepared.

        Raises:
            CredentialElsewhereError: It is an outdated copy; a person has to decide.
            HeldError: A live session of this machine has the account.
            CredentialError: There is no device in it.
            CredentialUnreadableError: The system does not let it be read now.
        """
        device = read_device(seat.folder / DATABASE)
        self._judge(seat, device, self.in_use)  # an outdated copy is told so at once, and not that it has to wait
        with self._held(seat.name, device.user):
            turn, last = self._judge(seat, device, lambda _user: "")  # nobody else runs it: we hold it
            yield Permission(_remark(seat, turn, last), lambda epoch: self._take(seat, device, epoch))

    def hold(self, seat: Seat, user: Secret) -> AccountHold:
        """Note a device that was linked just now; return what its worker, which runs already, has to hold."""
        try:
            device = read_device(seat.folder / DATABASE)
        except (CredentialError, CredentialUnreadableError):
            return AccountHold(lock=str(self._lock(user)))  # its first start will note it
        return self._take(seat, device, seat.epoch)

    def take_over(self, seat: Seat, count: Callable[[int], object]) -> str:
        """Have a credential go on in this folder from now on, because a person says so.

        Args:
            seat: The folder.
            count: Writes the epoch from which its starts go on being counted.

        Returns:
            What was decided, in words; "" if it was its turn anyway.

        Raises:
            HeldError: A live session of this machine has the account.
        """
        device = read_device(seat.folder / DATABASE)
        with self._held(seat.name, device.user):
            turn, last = self._look(seat, device)
            if last is None or turn in ALLOWED:
                return ""
            epoch = max(seat.epoch, last.epoch) + 1  # higher than what any copy has seen: all of them are outdated now
            count(epoch)
            self._take(seat, device, epoch)
        return f"a person took {seat.name!r} over: from now on it runs here, and no longer {_place(last)}"

    def rest(self, account: AccountHold) -> None:
        """Note that a start has ended and its credential knows it; what does not know it is older from now on."""
        with suppress(Timeout), _lock(Path(account.lock)).acquire(blocking=False):  # if it is held, it was taken over
            note = Path(account.note)
            use = _read(note)
            if use is not None and use.token == account.token:
                write_file(note, msgspec.json.encode(msgspec.structs.replace(use, ended=True)))

    def in_use(self, user: Secret) -> str:
        """Say who runs an account on this machine now, or ""."""
        lock = self._lock(user)
        if not lock.exists():
            return ""
        try:
            with _lock(lock).acquire(blocking=False):
                return ""
        except Timeout:
            return describe_holder(lock.with_suffix(".json"))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _judge(self, seat: Seat, device: Device, in_use: Callable[[Secret], str]) -> tuple[Turn, Use | None]:
        turn, last = self._look(seat, device)
        if turn in ALLOWED or last is None:
            return turn, last
        live = in_use(device.user)
        _, gone = _whereabouts(last, seat.folder)
        where = _place(last) + (
            ", where nothing is any more; this copy did not see the end of that start" if gone else ""
        )
        raise CredentialElsewhereError(
            f"The credential of {seat.name!r} is an outdated copy"
            if turn is Turn.COPY
            else f"The credential of {seat.name!r} was put back to an earlier state",
            why=f"its device was started last {where}" + (f"; {live}" if live else ""),
            hint=f"use it there, or, for good, here: {'end that one and ' if live else ''}run `wakit restart "
            f"{seat.name} --take-over`; messages that came since may stay unreadable",
        )

    def _look(self, seat: Seat, device: Device) -> tuple[Turn, Use | None]:
        last = _read(self._note(device))
        if last is None:
            return Turn.FIRST, None
        rival, gone = _whereabouts(last, seat.folder)
        rested = seat.rested == last.token
        return judge(seat.mark, last.mark, rival=rival, gone=gone, rested=rested, ended=last.ended), last

    def _take(self, seat: Seat, device: Device, epoch: int) -> AccountHold:
        mark = seat.mark
        use = Use(
            session=seat.name,
            directory=os.path.realpath(seat.folder),
            inode=mark.inode,
            born=mark.born,
            host=socket.gethostname(),
            epoch=epoch,
            at=self._now(),
            token=secrets.token_hex(16),
        )
        note = self._note(device)
        write_file(note, msgspec.json.encode(use))
        return AccountHold(lock=str(self._lock(device.user)), note=str(note), token=use.token)

    @contextmanager
    def _held(self, name: str, user: Secret) -> Iterator[None]:
        path = self._lock(user)
        lock = _lock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise HeldError(
                f"The account of {name!r} is in use on this machine",
                why=describe_holder(path.with_suffix(".json")),
                hint="one account has one live session: end the other one, or leave this one out of the file",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _lock(self, user: Secret) -> Path:
        return self._accounts.path / f"{self._hash('account', user.reveal())}.lock"

    def _note(self, device: Device) -> Path:
        account, link = self._hash("account", device.user.reveal()), self._hash("device", device.fingerprint)
        return self._accounts.path / f"{account}-{link}.json"

    def _hash(self, kind: str, text: str) -> str:
        whole = f"{self._realm}\0{kind}\0{text}".encode()
        return hmac.new(self._accounts.key, whole, sha256).hexdigest()[:_DIGITS]


def _lock(path: Path) -> FileLock:
    return FileLock(path, mode=0o600, fallback_to_soft=False)


def _read(note: Path) -> Use | None:
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


def _mark(folder: Path, epoch: int) -> Mark:
    lock = folder / "lock"
    return Mark(lock.stat().st_ino, born(lock), epoch)


def _whereabouts(last: Use, folder: Path) -> tuple[bool, bool]:
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


def _place(last: Use) -> str:
    host = "" if last.host == socket.gethostname() else f" on {last.host}"
    return f"in {last.directory}{host} (as {last.session!r}, start {last.epoch}, {in_words(last.at)})"


def _remark(seat: Seat, turn: Turn, last: Use | None) -> str:
    if last is None:
        return ""
    match turn:
        case Turn.MOVED:
            return (
                f"the credential of {seat.name!r} was used last {_place(last)}, which is gone: it is taken to have "
                "been moved here"
            )
        case Turn.NEWER:
            return (
                f"the credential of {seat.name!r} has seen start {seat.epoch}, and was known here {_place(last)}: it "
                "was used where this machine did not note it, and goes on here"
            )
        case _:
            return ""
