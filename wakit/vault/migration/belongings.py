"""What a device takes along: rows for the library's tables, and sentences about what stays behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from wakit.redact import PhoneNumber, Secret

DEVICES: Final = "whatsmeow_device"
PREFIX: Final = "whatsmeow_"
VERSIONS: Final = "whatsmeow_version"
LID_MAP: Final = "whatsmeow_lid_map"
ACCOUNT_SERVER: Final = "s.whatsapp.net"

Value = bytes | str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for one table. They are keys and other people's numbers, so they are never shown.

    Attributes:
        name: The library's name of it.
        columns: What each row has, in order.
        rows: Read once.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterable[tuple[Value, ...]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Belongings:
    """A device as it moves.

    Attributes:
        account: The digits of its account's number.
        tables: Its rows; :data:`DEVICES` has exactly one.
        left: What stays behind, and what that means: one sentence each.
    """

    account: Secret
    tables: tuple[Table, ...]
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Migrated:
    """What became of somebody else's credential.

    Attributes:
        account: The digits of the account's number.
        carried: How many rows of each kind were carried over, in words: ``{"device": 1, "pre keys": 812}``.
        left: What was not, and what that means: one sentence each.
        advice: What must, and must not, be done now: one sentence each.
    """

    account: Secret
    carried: Mapping[str, int]
    left: tuple[str, ...]
    advice: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """A device's address, ``user.agent:device@server`` with the agent left out nowadays (whatsmeow's types/jid.go)."""

    user: str = field(repr=False)
    device: int
    server: str

    @classmethod
    def read(cls, text: object) -> Address | None:
        """Read an address; None if it is none.

        Example:
            >>> Address.read("34600000001.0:7@s.whatsapp.net").device
            7
        """
        left, at, server = text.partition("@") if isinstance(text, str) else ("", "", "")
        user, _, device = left.partition(":")
        user = user.partition(".")[0]
        if not at or not _digits(user) or not (_digits(device) or not device):
            return None
        return cls(user, int(device or 0), server)

    def __str__(self) -> str:
        """The notation that the library stores."""
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}"


def _digits(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(1 << 64))


def masked(user: str) -> str:
    """Show an account's number by its ends."""
    try:
        return str(PhoneNumber(f"+{user}"))
    except ValueError:
        return "•••"


def words(table: str) -> str:
    """Say what a table's rows are.

    Example:
        >>> words("whatsmeow_pre_keys")
        'pre keys'
    """
    return table.removeprefix(PREFIX).replace("_", " ")


def counted(count: int, one: str, many: str) -> str:
    """Say how many; numbers in sentences have their noun."""
    return f"{count} {one if count == 1 else many}"
