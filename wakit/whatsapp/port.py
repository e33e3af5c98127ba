"""The port: what a WhatsApp client is told, and what it tells, whatever library plays it.

Events are frozen, tagged and carry their :class:`~wakit.core.lifecycle.Happening`, so that the reconciler needs no
knowledge of the library. Secrets in them (QR payloads, codes, the account's number) are redacting types; the worker's
wire reveals them only inside its own frames.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, TypeAlias

import msgspec

from wakit.core.declaration import Endpoint, Pairing
from wakit.core.lifecycle import Happening
from wakit.redact import PhoneNumber, Secret


class DialFailure(StrEnum):
    """Why a dial did not get through, as the relay saw it."""

    NAME_LOOKUP = "name_lookup"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    PROXY_DENIED = "proxy_denied"
    PROXY_UNREACHABLE = "proxy_unreachable"
    NOT_ALLOWED = "not_allowed"
    TLS = "tls"
    CLOSED = "closed"


class _Event(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    happening: ClassVar[Happening]


class QrShown(_Event, frozen=True, tag=True, kw_only=True):
    """A QR to scan. ``payload`` is the whole URL; it is good until ``expires_at`` (UTC)."""

    happening: ClassVar[Happening] = Happening.QR_SHOWN
    payload: Secret
    expires_at: datetime


class CodeShown(_Event, frozen=True, tag=True, kw_only=True):
    """Eight characters to type on the phone (``ABCD-1234``), good until ``expires_at`` (UTC)."""

    happening: ClassVar[Happening] = Happening.CODE_SHOWN
    code: Secret
    expires_at: datetime


class PairingExpired(_Event, frozen=True, tag=True, kw_only=True):
    """All codes ran out and nobody used one."""

    happening: ClassVar[Happening] = Happening.PAIRING_EXPIRED


class PairingFailed(_Event, frozen=True, tag=True, kw_only=True):
    """The phone answered, and the link was refused; ``why`` is scrubbed."""

    happening: ClassVar[Happening] = Happening.PAIRING_FAILED
    why: str


class PasskeyAsked(_Event, frozen=True, tag=True, kw_only=True):
    """WhatsApp wants a passkey for this link, which the library cannot give."""

    happening: ClassVar[Happening] = Happening.PASSKEY_ASKED


class Paired(_Event, frozen=True, tag=True, kw_only=True):
    """The device is linked; ``account`` is the number's digits."""

    happening: ClassVar[Happening] = Happening.PAIRED
    account: Secret


class Connected(_Event, frozen=True, tag=True, kw_only=True):
    """Logged in. ``account`` is the number's digits when the client knows it."""

    happening: ClassVar[Happening] = Happening.CONNECTED
    account: Secret | None = None


class WentDeaf(_Event, frozen=True, tag=True, kw_only=True):
    """Keepalives go unanswered; ``errors`` of them in a row."""

    happening: ClassVar[Happening] = Happening.WENT_DEAF
    errors: int = 0


class HearsAgain(_Event, frozen=True, tag=True, kw_only=True):
    """Keepalives are answered again."""

    happening: ClassVar[Happening] = Happening.HEARS_AGAIN


class ConnectionLost(_Event, frozen=True, tag=True, kw_only=True):
    """The connection dropped and the library redials by itself; ``why`` says more where it is known."""

    happening: ClassVar[Happening] = Happening.CONNECTION_LOST
    why: str = ""
    code: str = ""


class DialFailed(_Event, frozen=True, tag=True, kw_only=True):
    """One dial did not get through; ``detail`` is a sentence without secrets."""

    happening: ClassVar[Happening] = Happening.DIAL_FAILED
    cause: DialFailure
    detail: str


class ClientEnded(_Event, frozen=True, tag=True, kw_only=True):
    """The client gave up and will not redial. ``why`` is scrubbed; ``cause`` is the relay's view of its last dial."""

    happening: ClassVar[Happening] = Happening.CLIENT_ENDED
    why: str = ""
    cause: DialFailure | None = None


class Replaced(_Event, frozen=True, tag=True, kw_only=True):
    """Another client logged in with the same credential."""

    happening: ClassVar[Happening] = Happening.REPLACED


class LoggedOut(_Event, frozen=True, tag=True, kw_only=True):
    """The device was unlinked. ``code`` is the failure's number as text, or ``device_removed``."""

    happening: ClassVar[Happening] = Happening.LOGGED_OUT
    code: str = ""
    on_connect: bool = False


class Banned(_Event, frozen=True, tag=True, kw_only=True):
    """A temporary ban with WhatsApp's code, over in ``seconds``."""

    happening: ClassVar[Happening] = Happening.BANNED
    code: str = ""
    seconds: float = 0.0


class Outdated(_Event, frozen=True, tag=True, kw_only=True):
    """WhatsApp refuses this version of the library (405)."""

    happening: ClassVar[Happening] = Happening.OUTDATED


class Refused(_Event, frozen=True, tag=True, kw_only=True):
    """Any other refusal at login that the library does not retry."""

    happening: ClassVar[Happening] = Happening.REFUSED
    code: str = ""
    why: str = ""


class AccountHeld(_Event, frozen=True, tag=True, kw_only=True):
    """The account that was linked just now has a live session on this machine already; ``why`` names its process."""

    happening: ClassVar[Happening] = Happening.ACCOUNT_HELD
    why: str


class CredentialBad(_Event, frozen=True, tag=True, kw_only=True):
    """The worker would not, or could not, use the credential; nothing was paired anew."""

    happening: ClassVar[Happening] = Happening.CREDENTIAL_BAD
    why: str


SessionEvent: TypeAlias = (
    QrShown
    | CodeShown
    | PairingExpired
    | PairingFailed
    | PasskeyAsked
    | Paired
    | Connected
    | WentDeaf
    | HearsAgain
    | ConnectionLost
    | DialFailed
    | ClientEnded
    | Replaced
    | LoggedOut
    | Banned
    | Outdated
    | Refused
    | AccountHeld
    | CredentialBad
)


class PhoneSeen(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The phone that the session is linked to was online ``at`` (UTC). Nothing follows for the session's own state."""

    at: datetime


News: TypeAlias = SessionEvent | PhoneSeen
"""What a session of a worker tells."""


class AccountHold(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has to hold of an account, beside the credential's own lock.

    Attributes:
        lock: Absolute path of the account's lock file, which every fleet of this user on this machine looks at.
        note: Absolute path of the note on where this credential was started last, or "" if there is none yet.
        token: What the note must bear; another token means that the credential was given to somebody else since.
    """

    lock: str
    note: str = ""
    token: str = ""


class SessionStart(msgspec.Struct, frozen=True, kw_only=True):
    """The order to run one session.

    Attributes:
        name: The session.
        directory: Absolute path of the credential's folder (``lock``, ``creds.db``); it exists, mode 0700.
        epoch: Grows with each start of this credential.
        pairing: How to pair; None restores, and then a QR is an error, never shown.
        phone: The account's number, needed for pairing by code.
        proxy: Upstream proxy URL, given to the relay and never to the library.
        device_name: What the phone shows under linked devices.
        account: What has to be held of its account, or None while that is not known.
    """

    name: str
    directory: str
    epoch: int
    pairing: Pairing | None = None
    phone: PhoneNumber | None = None
    proxy: Secret | None = None
    device_name: str = "wakit"
    account: AccountHold | None = None


class WorkerLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """The order to run one sealed worker: its sessions are fixed from birth, and start one after the other.

    Attributes:
        worker_id: Names it.
        sessions: Who is ever aboard.
        endpoint: The loopback server to use instead of WhatsApp.
        on_call: Each session starts when it is called, and not at birth: its credential is still in use elsewhere. Its
            order here has no valid ``epoch``; the call brings the one that counts.
    """

    worker_id: str
    sessions: tuple[SessionStart, ...]
    endpoint: Endpoint | None = None
    on_call: bool = False


class SessionReport(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What one session of a worker told, and when (UTC)."""

    worker_id: str
    session: str
    at: datetime
    event: News


class WorkerSilent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker gave no sign of life for ``seconds`` and is being ended by force; its exit follows once it is reaped."""

    worker_id: str
    sessions: tuple[str, ...]
    seconds: float


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """How long a session's web socket has carried nothing, by direction, in seconds; None before the first byte.

    ``fresh`` if there is something new in it, other than that time has passed; ``heard`` if WhatsApp said something
    since the last heartbeat (a standstill that was forgiven is new, and nothing was heard).
    """

    unheard_for: float | None = None
    unsent_for: float | None = None
    fresh: bool = True
    heard: bool = True


class WorkerBeat(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's heartbeat, with the pulse of each session aboard. No report: it comes every five seconds."""

    worker_id: str
    pulses: dict[str, Pulse]


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """A session's relay let a dial to WhatsApp through, after ``waited`` seconds in line; ``pid`` is its worker's."""

    session: str
    pid: int
    waited: float


class WorkerExited(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker is gone and reaped; its locks are free.

    Attributes:
        worker_id: Which one.
        pid: Its process id.
        sessions: Who was aboard.
        asked: True if wakit ended it on purpose.
        cause: One plain sentence.
        next_step: What a person could do, or "" if nothing.
        evidence: First lines of a Go panic or Python traceback, scrubbed, or "".
        exit_code: As subprocess reports it: negative for a signal.
    """

    worker_id: str
    pid: int
    sessions: tuple[str, ...]
    asked: bool
    cause: str
    next_step: str = ""
    evidence: str = ""
    exit_code: int = 0


WorkerReport: TypeAlias = SessionReport | WorkerSilent | WorkerExited
