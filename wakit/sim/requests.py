"""What can be said over the admin socket: requests, answers and the values in them.

Newline-delimited JSON. A request is ``{"op": "scan", ...}`` and gets one line back: ``{"ok": {...}}`` or
``{"error": {"what", "why", "hint"}}``. After ``{"op": "watch"}`` the server keeps sending journal entries, one a line,
until the connection ends. Light on purpose (stdlib and msgspec): daemons and tests import it, and no client library.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from wakit.redact import PhoneNumber, Secret
from wakit.sim.scenarios import OnlineScenario, Scenario, Target


class Scan(msgspec.Struct, frozen=True, tag="scan", tag_field="op"):
    """The phone of ``number`` scans the QR code that reads ``payload``."""

    number: PhoneNumber
    payload: Secret


class TypeCode(msgspec.Struct, frozen=True, tag="type", tag_field="op"):
    """On the phone of ``number`` the eight characters are typed."""

    number: PhoneNumber
    code: Secret


class Unlink(msgspec.Struct, frozen=True, tag="unlink", tag_field="op"):
    """On the phone, one linked device (or every one) is removed."""

    number: PhoneNumber
    device: int | None = None


class SetOnline(msgspec.Struct, frozen=True, tag="set-online", tag_field="op"):
    """The phone goes offline (it then cannot scan, type or unlink), or comes back."""

    number: PhoneNumber
    online: bool


class Strike(msgspec.Struct, frozen=True, tag="strike", tag_field="op"):
    """A scenario happens now to every live connection of the target; answers how many."""

    scenario: OnlineScenario
    target: Target = Target()


class Arm(msgspec.Struct, frozen=True, tag="arm", tag_field="op"):
    """A scenario waits for the target's next dials or logins; ``times`` None means until disarmed."""

    scenario: Scenario
    target: Target = Target()
    times: int | None = 1


class Disarm(msgspec.Struct, frozen=True, tag="disarm", tag_field="op"):
    """One armed scenario, or every one, is taken back; what it holds (a hanging dial) is let go."""

    armed: int | None = None


class Listen(msgspec.Struct, frozen=True, tag="listen", tag_field="op"):
    """The port is closed (dials are refused by the kernel), or opened again."""

    on: bool


class SetRefs(msgspec.Struct, frozen=True, tag="set-refs", tag_field="op"):
    """How many QR codes a registering client gets from now on."""

    count: int


class GetEndpoint(msgspec.Struct, frozen=True, tag="endpoint", tag_field="op"):
    """Where the sim can be dialled."""


class GetStatus(msgspec.Struct, frozen=True, tag="status", tag_field="op"):
    """Everything the sim knows, counters included."""


class GetJournal(msgspec.Struct, frozen=True, tag="journal", tag_field="op"):
    """The journal's entries after a sequence number."""

    since: int = 0


class Watch(msgspec.Struct, frozen=True, tag="watch", tag_field="op"):
    """Journal entries after a sequence number, and then each new one as it comes."""

    since: int = 0


Request = (
    Scan
    | TypeCode
    | Unlink
    | SetOnline
    | Strike
    | Arm
    | Disarm
    | Listen
    | SetRefs
    | GetEndpoint
    | GetStatus
    | GetJournal
    | Watch
)


class What(StrEnum):
    """What happened, in the sim's journal."""

    DIAL = "dial"  # a CONNECT for WhatsApp's host was let through
    REFUSED_DIAL = "refused-dial"  # a dial that a scenario or a wrong request ended
    PAIRING = "pairing"  # an unpaired client was given refs
    CODE_REQUEST = "code-request"  # an unpaired client asked for a pairing code
    PAIRED = "paired"
    PAIRING_FAILED = "pairing-failed"
    LOGIN = "login"
    ACTIVE = "active"  # a logged-in client said that it is ready
    REPLACED = "replaced"
    FAILURE = "failure"
    STREAM_ERROR = "stream-error"
    UNLINKED = "unlinked"
    MESSAGE = "message"  # a client handed in a message
    BROKE_PROTOCOL = "broke-protocol"  # a client's bytes made no sense, and it was told so
    CLOSED = "closed"  # a connection is gone, whoever ended it
    SCENARIO = "scenario"  # an armed scenario was met


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the sim's journal; ``at`` is Unix seconds, ``connection`` counts the dials."""

    seq: int
    at: float
    what: What
    number: PhoneNumber | None = None
    device: int | None = None
    connection: int | None = None
    dialer: str = ""
    detail: str = ""


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A linked device as the server sees it; counters since the sim started."""

    device: int
    platform: str
    linked_at: int
    connected: bool
    logins: int
    replaced: int
    failures: int
    most_at_once: int
    """Connections that were logged in at the same time, at most; the older one is then told to go: 2 is a clash."""
    prekeys: int


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A phone number and its devices."""

    number: PhoneNumber
    online: bool
    devices: tuple[DeviceStatus, ...]


class PendingPairing(msgspec.Struct, frozen=True, kw_only=True):
    """A client that shows QR codes or waits for a code to be typed."""

    connection: int
    dialer: str
    platform: str
    refs: int
    code_for: PhoneNumber | None


class ArmedScenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario that waits; ``left`` None means until disarmed."""

    id: int
    scenario: Scenario
    target: Target
    left: int | None


class SimStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the sim knows."""

    proxy: str
    listening: bool
    connections: int
    seq: int
    totals: dict[str, int]
    accounts: tuple[AccountStatus, ...]
    pending: tuple[PendingPairing, ...]
    armed: tuple[ArmedScenario, ...]

    def account(self, number: PhoneNumber | str) -> AccountStatus | None:
        """Return the account of a number, or None."""
        wanted = number if isinstance(number, PhoneNumber) else PhoneNumber(number)
        return next((each for each in self.accounts if each.number == wanted), None)

    def connected(self, number: PhoneNumber | str) -> int:
        """Return how many devices of a number are connected."""
        account = self.account(number)
        return sum(device.connected for device in account.devices) if account else 0


class Linked(msgspec.Struct, frozen=True):
    """The device that a phone linked."""

    device: int
    platform: str


class Done(msgspec.Struct, frozen=True):
    """A request that has nothing to say was carried out; ``count`` is what it touched, or the armed scenario's id."""

    count: int = 0


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready", tag_field="event"):
    """The line the sim prints when it can be dialled; ``noise_root_key`` is 64 hex digits, a public key."""

    proxy: str
    ca_file: str
    noise_root_key: str
    admin: str
    pid: int


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal, in the parts of a :class:`~wakit.errors.WakitError`."""

    what: str
    why: str = ""
    hint: str = ""


class NotReady(msgspec.Struct, frozen=True, kw_only=True, tag="not-ready", tag_field="event"):
    """The line the sim prints instead, before it ends; ``error`` names the class of :mod:`wakit.errors`."""

    error: str
    problem: Problem


_T = TypeVar("_T")


def _encode_hook(value: object) -> object:
    match value:
        case PhoneNumber() | Secret():
            return value.reveal()
        case _:
            raise NotImplementedError(f"{type(value).__name__} has no JSON form here")


def _decode_hook(kind: type, value: Any) -> object:
    if kind in (PhoneNumber, Secret):
        return kind(value)
    raise NotImplementedError(f"{kind.__name__} has no JSON form here")


def to_line(value: object) -> bytes:
    """Write a value as one line of JSON; numbers and secrets are revealed, for the socket only."""
    return msgspec.json.encode(value, enc_hook=_encode_hook) + b"\n"


def from_line(line: bytes, kind: type[_T]) -> _T:
    """Read a value from a line of JSON; raises msgspec.ValidationError or DecodeError."""
    return msgspec.json.decode(line, type=kind, dec_hook=_decode_hook)


read_request: Callable[[bytes], Request] = msgspec.json.Decoder(Request, dec_hook=_decode_hook).decode
"""Read a request from a line of JSON; raises msgspec.ValidationError or DecodeError."""
