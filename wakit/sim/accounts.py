"""The accounts and their linked devices, on disk: what a restart of everything must not forget.

One JSON file an account under ``accounts/``, named after the account's hidden number (LID), never the phone number.
Every change is written before the change is told to anybody.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import msgspec

from wakit.errors import CredentialError
from wakit.redact import PhoneNumber
from wakit.sim.curve import KeyPair
from wakit.sim.nodes import Jid
from wakit.sim.statedir import SimDirectory

_LAST_DEVICE = 99  # WhatsApp numbers companions upwards and starts again; a device has one byte on the wire


class PreKey(msgspec.Struct, array_like=True):
    """A public key a companion left for others to start a conversation with."""

    number: int
    public: bytes
    signature: bytes = b""


class Device(msgspec.Struct, kw_only=True):
    """A companion that was linked to an account."""

    number: int
    noise_key: bytes
    identity: bytes
    registration_id: int
    signed_prekey: PreKey
    prekeys: list[PreKey] = []
    platform: str = ""
    linked_at: int = 0

    def __repr__(self) -> str:
        return f"Device({self.number})"


class Account(msgspec.Struct, kw_only=True):
    """A phone number with its identity; ``user`` is the number without ``+``."""

    user: str
    lid: str
    identity: bytes  # the private half
    raw_id: int
    last_device: int = 0
    online: bool = True
    devices: dict[int, Device] = {}

    @property
    def keys(self) -> KeyPair:
        """The phone's identity key pair."""
        return KeyPair.of(self.identity)

    @property
    def number(self) -> PhoneNumber:
        """The phone number, which shows only its ends."""
        return PhoneNumber(f"+{self.user}")

    def jid(self, device: int = 0) -> Jid:
        """Return the account's (or one of its devices') address by number."""
        return Jid(self.user, "s.whatsapp.net", device)

    def hidden_jid(self, device: int = 0) -> Jid:
        """Return the same address by hidden number."""
        return Jid(self.lid, "lid", device)

    def __repr__(self) -> str:
        return f"Account({self.number})"


class AccountBook:
    """Every account there is, in memory and on disk.

    Raises:
        CredentialError: A stored account cannot be read.
    """

    def __init__(self, directory: SimDirectory) -> None:
        self._directory = directory
        self._by_user: dict[str, Account] = {}
        for name in directory.names("accounts"):
            account = self._load(name)
            self._by_user[account.user] = account
        self._by_lid = {account.lid: account for account in self._by_user.values()}

    def _load(self, name: str) -> Account:
        try:
            return msgspec.json.decode(self._directory.read(name) or b"", type=Account)
        except msgspec.DecodeError as error:
            raise CredentialError(
                "The loopback WhatsApp cannot read one of its accounts",
                why=f"{name} is damaged",
                hint="move that file away; its number starts anew and its clients must pair again",
            ) from error

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_user.values())

    def find(self, user: str) -> Account | None:
        """Return the account of a number (without ``+``) or of a hidden number."""
        return self._by_user.get(user) or self._by_lid.get(user)

    def open(self, number: PhoneNumber) -> Account:
        """Return the account of a number, made if this is the first time it is heard of."""
        account = self._by_user.get(number.digits)
        if account is None:
            account = Account(
                user=number.digits,
                lid=self._fresh_lid(),
                identity=KeyPair.generate().private,
                raw_id=secrets.randbits(31),
            )
            self.save(account)
            self._by_user[account.user] = self._by_lid[account.lid] = account
        return account

    def save(self, account: Account) -> None:
        """Write an account as it is now."""
        self._directory.write(f"accounts/{account.lid}.json", msgspec.json.encode(account))

    def next_device_number(self, account: Account) -> int:
        """Return the number the next companion gets: the one after the last, starting again after 99.

        Raises:
            CredentialError: All 99 numbers are taken.
        """
        following: tuple[int, ...] = (
            *range(account.last_device + 1, _LAST_DEVICE + 1),
            *range(1, account.last_device + 1),
        )
        for number in following:
            if number not in account.devices:
                return number
        raise CredentialError("The phone has no room for another device", hint="unlink some of its devices first")

    def link(self, account: Account, device: Device) -> None:
        """Add a companion, durably."""
        account.devices[device.number] = device
        account.last_device = device.number
        self.save(account)

    def unlink(self, account: Account, device: int) -> None:
        """Forget a companion, durably."""
        del account.devices[device]
        self.save(account)

    def _fresh_lid(self) -> str:
        while (lid := str(secrets.randbelow(9 * 10**14) + 10**14)) in self._by_lid:
            pass
        return lid
