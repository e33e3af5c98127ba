"""What the library says, translated into events: one small state machine a session, pure and without the library.

The library speaks through four mouths, and no single one of them is enough (facts of neonize 0.5.2; its callback loop
is ``CallbackFunction`` and ``FetchMe`` in goneonize/main.go):

- *Events* arrive only while the device has an identity: the loop that delivers them first waits for one. So nothing
  arrives before the first login, and a login answered by 401, which deletes the identity, may race its own event.
- The *login status* callback speaks while pairing only, in one word. ``timeout`` means that the codes ran out, but also
  that the socket dropped: the clock and the number of codes shown tell which.
- The *log* is the one mouth that always speaks, and it speaks first. Its sentences (connectionevents.go, pair.go,
  client.go of whatsmeow) are part of the release wakit pins exactly. Some refusals come only here: for the reasons 415
  and 418 the event cannot be encoded and takes the whole callback loop down.
- The *return* of the blocking call: a first dial that failed, or a database that could not be opened.

Whatever comes first gives the verdict, and after a verdict nothing else is told: the same refusal arrives as a log
line, an event and an error, and the later ones know less.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wakit.core.declaration import Pairing
from wakit.core.phone import COARSE
from wakit.redact import Secret, scrub
from wakit.whatsapp.port import (
    Banned,
    ClientEnded,
    CodeShown,
    Connected,
    ConnectionLost,
    CredentialBad,
    DialFailed,
    DialFailure,
    HearsAgain,
    LoggedOut,
    News,
    Outdated,
    Paired,
    PairingExpired,
    PairingFailed,
    PasskeyAsked,
    PhoneSeen,
    QrShown,
    Refused,
    Replaced,
    SessionEvent,
    WentDeaf,
)

FIRST_CODE: Final = timedelta(seconds=60)
NEXT_CODES: Final = timedelta(seconds=20)
CODES: Final = 6
"""WhatsApp sends six codes; the first lives 60 s and each other 20 s (qrchan.go)."""

ALL_CODES: Final = FIRST_CODE + (CODES - 1) * NEXT_CODES
"""How long pairing is possible at all, and so how long a typed code is good."""

_SLACK: Final = timedelta(seconds=1)

# goneonize numbers the reasons in its own way (Neonize.proto); people and WhatsApp know these.
FAILURE_NUMBERS: Final = {1: 400, 2: 401, 3: 402, 4: 403, 5: 406, 6: 405, 7: 409, 8: 500, 9: 501, 10: 503}
BAN_NUMBERS: Final = {1: 101, 2: 102, 3: 103, 4: 104, 5: 106}

_FAILURES: Final = {
    "400": "WhatsApp refused the login as malformed",
    "401": "the device was unlinked",
    "403": "the account was logged out on the phone, or is locked",
    "406": "the account was logged out by WhatsApp",
    "409": "WhatsApp rejected the client's user agent",
    "415": "WhatsApp does not know this account (415)",
    "418": "WhatsApp does not know this client (418)",
    "501": "WhatsApp refused the login as experimental",
}

_VERDICTS: Final = (
    PairingExpired,
    PairingFailed,
    PasskeyAsked,
    ClientEnded,
    Replaced,
    LoggedOut,
    Banned,
    Outdated,
    Refused,
    CredentialBad,
)


@dataclass(frozen=True, slots=True)
class LastDial:
    """How the relay saw a session's newest dial: not at all yet, or with this failure, or well."""

    seen: bool = False
    cause: DialFailure | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ear:
    """Who hears a client. Called from Go's threads; none of them may block.

    Attributes:
        tell: An event happened.
        log: The library logged a line; scrubbed.
        settled: The client will not read the library's maps any more by itself.
        last_dial: The relay's view of the session's newest dial.
    """

    tell: Callable[[News], None]
    log: Callable[[str], None]
    settled: Callable[[], None]
    last_dial: Callable[[], LastDial]


class Translator:
    """Turns one client's utterances into events. Every method returns what to tell now, or None.

    Args:
        pairing: How the session pairs, or None if it restores, in which case a QR is an alarm and not an invitation.
        last_dial: The relay's view of the session's newest dial.

    Example:
        >>> from datetime import UTC, datetime
        >>> translator = Translator(None, lambda: LastDial(seen=True))
        >>> translator.qr("https://wa.me/…", datetime.now(UTC)).why
        'the stored device is gone: the library wanted to pair anew'
    """

    def __init__(self, pairing: Pairing | None, last_dial: Callable[[], LastDial]) -> None:
        self._pairing = pairing
        self._last_dial = last_dial
        self._unpaired = pairing is not None
        self._over = False
        self._account: Secret | None = None
        self._codes = 0
        self._first_code_at: datetime | None = None
        self._code_until: datetime | None = None
        self._drop_reason: tuple[str, str] = ("", "")
        self._phone_at: datetime | None = None

    def _say(self, event: SessionEvent | None) -> SessionEvent | None:
        if self._over or event is None:
            return None
        self._over = isinstance(event, _VERDICTS)
        return event

    # --- pairing

    def qr(self, payload: str, now: datetime) -> SessionEvent | None:
        """The library shows a QR."""
        if self._pairing is None:
            return self._say(CredentialBad(why="the stored device is gone: the library wanted to pair anew"))
        self._codes += 1
        self._first_code_at = self._first_code_at or now
        self._code_until = now + (FIRST_CODE if self._codes == 1 else NEXT_CODES)
        if self._pairing is Pairing.CODE:
            return None  # the QR is only the sign that a code may be asked for
        return self._say(QrShown(payload=Secret(payload), expires_at=self._code_until))

    @property
    def wants_code(self) -> bool:
        """True once, after the first QR of a session that pairs by code."""
        return self._pairing is Pairing.CODE and self._codes == 1 and not self._over

    def code(self, code: str, now: datetime) -> SessionEvent | None:
        """WhatsApp gave a code to type."""
        return self._say(CodeShown(code=Secret(code), expires_at=(self._first_code_at or now) + ALL_CODES))

    def code_refused(self, why: str) -> SessionEvent | None:
        """WhatsApp gave no code."""
        return self._say(PairingFailed(why=f"WhatsApp gave no pairing code: {scrub(why)}"))

    def pairing_failed(self, why: str) -> SessionEvent | None:
        """The phone answered, and its answer was refused."""
        return self._say(PairingFailed(why=scrub(why)))

    def login_status(self, word: str, now: datetime) -> SessionEvent | None:
        """The pairing ended, or stumbled, in the library's word for it."""
        match word:
            case "success":
                self._unpaired = False
            case "timeout" if self._ran_out(now):
                return self._say(PairingExpired())
            case "timeout":
                return self._say(ClientEnded(why=self._drop_reason[0] or "the connection was lost while pairing"))
            case "err-client-outdated":
                return self._say(Outdated())
            case "passkey-request" | "passkey-confirmation":
                return self._say(PasskeyAsked())
            case "error":
                return self._say(PairingFailed(why="the phone's answer could not be used"))
            case "err-unexpected-state":
                return self._say(ClientEnded(why="WhatsApp ended the pairing"))
            case _:  # err-scanned-without-multidevice: the same code can be scanned again
                pass
        return None

    def _ran_out(self, now: datetime) -> bool:
        return self._code_until is not None and (self._codes >= CODES or now >= self._code_until - _SLACK)

    def paired(self, account: str) -> SessionEvent | None:
        """The phone linked the device."""
        self._unpaired = False
        self._account = Secret(account)
        return self._say(Paired(account=self._account))

    # --- life

    def identity(self, account: str) -> None:
        """The library told whose device this is; it does so before any event."""
        self._account = Secret(account) if account else self._account

    def connected(self) -> SessionEvent | None:
        """Logged in."""
        self._drop_reason = ("", "")
        return self._say(Connected(account=self._account))

    def keepalive_failed(self, errors: int) -> SessionEvent | None:
        """A ping was not answered."""
        return self._say(WentDeaf(errors=errors))

    def keepalive_restored(self) -> SessionEvent | None:
        """Pings are answered again."""
        return self._say(HearsAgain())

    def message(self, *, from_me: bool, device: int, sent_at: datetime, now: datetime) -> PhoneSeen | None:
        """A message came. One from device 0 of the own account was sent by the phone, which was online then.

        Told once an hour at most; what was sent while this device was away comes later, with its own time.
        """
        seen_at = min(sent_at, now)
        known = self._phone_at
        if self._over or not from_me or device != 0 or (known is not None and seen_at - known < COARSE):
            return None
        self._phone_at = seen_at
        return PhoneSeen(at=seen_at)

    def disconnected(self) -> SessionEvent | None:
        """The connection dropped; the library redials."""
        (why, code), self._drop_reason = self._drop_reason, ("", "")
        return self._say(ConnectionLost(why=why or "the connection dropped", code=code))

    def replaced(self) -> SessionEvent | None:
        """Another client took over."""
        return self._say(Replaced())

    def logged_out(self, code: str, *, on_connect: bool) -> SessionEvent | None:
        """The device is unlinked; while it was never linked, the same numbers are a refusal."""
        if self._unpaired:
            return self.refused(code, "")
        return self._say(LoggedOut(code=code, on_connect=on_connect))

    def banned(self, code: str, seconds: float) -> SessionEvent | None:
        """A temporary ban."""
        return self._say(Banned(code=code, seconds=seconds))

    def outdated(self) -> SessionEvent | None:
        """This version of the library is refused."""
        return self._say(Outdated())

    def refused(self, code: str, why: str) -> SessionEvent | None:
        """The login is refused for good."""
        return self._say(Refused(code=code, why=_FAILURES.get(code) or scrub(why) or f"WhatsApp refused it ({code})"))

    def stream_error(self, code: str) -> SessionEvent | None:
        """A stream error the library has no rule for; whether it ends the connection is told by what follows."""
        self._drop_reason = (f"WhatsApp sent stream error {code}", code)
        return None

    # --- log and return

    def log(self, message: str) -> SessionEvent | None:
        """The library logged a sentence; some of them are verdicts."""
        for pattern, read in _SENTENCES:
            match = pattern.match(message)
            if match is not None:
                return read(self, match)
        return None

    def will_redial(self, code: str) -> None:
        """A refusal that the library answers with a redial: remembered as the reason of the drop that follows."""
        self._drop_reason = (f"WhatsApp answered {code}", code)

    def redial_failed(self, error: str) -> SessionEvent | None:
        """A redial failed; the relay has told why unless the failure was inside the tunnel."""
        if self._last_dial().cause is not None:
            return None
        cause, sentence = explain_dial(error)
        return self._say(DialFailed(cause=cause, detail=sentence))

    def gave_up(self, error: str) -> SessionEvent | None:
        """The client will not dial again."""
        dial = self._last_dial()
        cause, sentence = (dial.cause, dial.detail) if dial.cause is not None else explain_dial(error)
        return self._say(ClientEnded(why=sentence, cause=cause))

    def returned(self, error: str) -> SessionEvent | None:
        """The blocking call came back; with an error before any dial, the credential itself is at fault."""
        if not error:
            return self._say(ClientEnded(why="the client ended"))
        if self._last_dial().seen:
            return self.gave_up(error)
        if "locked" in error or "busy" in error:
            return self._say(ClientEnded(why="the credential's database is busy"))
        return self._say(CredentialBad(why=f"the library cannot open the credential: {scrub(error)}"))


def explain_dial(error: str) -> tuple[DialFailure, str]:
    """Class the library's own words for a dial that failed inside the tunnel, where the relay cannot look.

    Example:
        >>> explain_dial("x509: certificate signed by unknown authority")[0]
        <DialFailure.TLS: 'tls'>
    """
    if "timed out" in error or "timeout" in error:
        return DialFailure.TIMEOUT, "WhatsApp did not finish the login handshake in time"
    if "x509" in error or "tls:" in error:
        return DialFailure.TLS, "TLS failed: what answered is not WhatsApp, or something in between reads along"
    if "noise handshake" in error and "cert" in error:
        return DialFailure.TLS, "the Noise handshake failed: what answered is not WhatsApp"
    return DialFailure.CLOSED, "the connection was closed during the login handshake"


def _attribute(text: str, name: str) -> str:
    found = re.search(rf'\b{name}="(\d+)"', text)
    return found[1] if found else ""


def _read_ban(translator: Translator, match: re.Match[str]) -> SessionEvent | None:
    node = match[1]
    return translator.banned(_attribute(node, "code"), float(_attribute(node, "expire") or 0))


def _read_refusal(translator: Translator, match: re.Match[str]) -> SessionEvent | None:
    return translator.refused(_attribute(match[1], "reason"), "")


def _read_redial(translator: Translator, match: re.Match[str]) -> SessionEvent | None:
    translator.will_redial(match[1])
    return None


# The sentences of whatsmeow that tell what no event tells, or tell it in time.
_SENTENCES: Final[tuple[tuple[re.Pattern[str], Callable[[Translator, re.Match[str]], SessionEvent | None]], ...]] = (
    (
        re.compile(r"Got (\d+): .*connect failure, sending LoggedOut event"),
        lambda translator, match: translator.logged_out(match[1], on_connect=True),
    ),
    (
        re.compile(r"Got device removed stream error"),
        lambda translator, _: translator.logged_out("device_removed", on_connect=False),
    ),
    (re.compile(r"Got replaced stream error"), lambda translator, _: translator.replaced()),
    (re.compile(r"Temporary ban connect failure: (.*)"), _read_ban),
    (re.compile(r"Client outdated \(405\) connect failure"), lambda translator, _: translator.outdated()),
    (re.compile(r"Unknown connect failure: (.*)"), _read_refusal),
    (re.compile(r"Got (\d+)(?:/.*connect failure| stream error), assuming automatic reconnect"), _read_redial),
    (
        re.compile(r"Failed to pair device: (.*)"),
        lambda translator, match: translator.pairing_failed(match[1]),
    ),
    (
        re.compile(r"Failed to reconnect after 515 code: (.*)"),
        lambda translator, match: translator.gave_up(match[1]),
    ),
    (
        re.compile(r"Error reconnecting after autoreconnect sleep: (.*)"),
        lambda translator, match: translator.redial_failed(match[1]),
    ),
)
