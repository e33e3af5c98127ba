"""The accounts of this user on this machine: who runs each now, and where each credential was started last.

A credential's own lock keeps two clients out of one folder. A copy of the folder has a lock of its own, so there is a
second one, of the account, that every state directory of this user looks at. A worker holds both for its life. Beside
it is noted where each linked device was started last, so that a copy whose keys are over is never started by itself,
even when nobody runs the other one (:mod:`wakit.core.fencing` judges, this module knows and remembers).

A note is only changed by who holds the account's lock (but for that of a device that was linked just now, which nobody
else can have), and carries a token of its own. The worker compares it once it has the lock: between the daemon's note
and the worker's lock a person may have given the credential away.
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
from wakit.core.fencing import ALLOWED, Turn, judge
from wakit.durable import write_file
from wakit.errors import CredentialError, CredentialUnreadableError, HeldError
from wakit.owner import describe_holder
from wakit.redact import Secret
from wakit.vault.accounts_folder import AccountsFolder
from wakit.vault.device import Device, read_device
from wakit.vault.folder import DATABASE
from wakit.vault.use import Seat, Use, read_use, refusal, remark, whereabouts
from wakit.whatsapp.port import AccountHold

_REAL: Final = "whatsapp"
_DIGITS: Final = 24


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
    def permission(self, seat: Seat, device: Device | None) -> Iterator[Permission]:
        """Hold a credential's account while its start is prepared.

        Args:
            seat: The credential, whose lock is held.
            device: What was found in it.

        Raises:
            CredentialElsewhereError: It is an outdated copy; a person has to decide.
            HeldError: A live session of this machine has the account.
            CredentialError: There is no device in it.
            CredentialUnreadableError: Where it was started last cannot be read now.
        """
        if device is None:
            raise CredentialError(
                f"{seat.folder / DATABASE} cannot be used",
                why="it lacks what the library needs",
                hint=f"`wakit restore {seat.name}` puts a backup back; `wakit pair {seat.name}` links the phone anew",
            )
        # An outdated copy is told so at once, and not that it has to wait.
        with self._held(seat.name, device.user, lambda: self._judge(seat, device, self.in_use)):
            turn, last = self._judge(seat, device, lambda _user: "")  # nobody else runs it: we hold it
            yield Permission(remark(seat, turn, last), lambda epoch: self._take(seat, device, epoch))

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
            CredentialError: There is no credential that could be used.
            CredentialUnreadableError: It, or where it was started last, cannot be read now.
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
        return f"a person took {seat.name!r} over: from now on it runs here, and no longer {last.place}"

    def rest(self, account: AccountHold) -> None:
        """Note that a start has ended and its credential knows it; what does not know it is older from now on."""
        with suppress(Timeout), _lock(Path(account.lock)).acquire(blocking=False):  # if it is held, it was taken over
            note = Path(account.note)
            use = read_use(note)
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
        raise refusal(seat, turn, last, in_use(device.user))

    def _look(self, seat: Seat, device: Device) -> tuple[Turn, Use | None]:
        last = read_use(self._note(device))
        if last is None:
            return Turn.FIRST, None
        rival, gone = whereabouts(last, seat.folder)
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
    def _held(self, name: str, user: Secret, before_waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
        path = self._lock(user)
        lock = _lock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            before_waiting()
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
