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

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from wakit.core.declaration import Pairing
from wakit.core.phone import COARSE
from wakit.redact import Secret, scrub
from wakit.whatsapp.codes import Codes
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
from wakit.whatsapp.sentences import Said, explain_dial, explain_refusal, read

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
        self._codes = Codes()
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
        expires_at = self._codes.take(now)
        if self._pairing is Pairing.CODE:
            return None  # the QR is only the sign that a code may be asked for
        return self._say(QrShown(payload=Secret(payload), expires_at=expires_at))

    @property
    def wants_code(self) -> bool:
        """True once, after the first QR of a session that pairs by code."""
        return self._pairing is Pairing.CODE and self._codes.taken == 1 and not self._over

    def code(self, code: str, now: datetime) -> SessionEvent | None:
        """WhatsApp gave a code to type."""
        return self._say(CodeShown(code=Secret(code), expires_at=self._codes.typed_until(now)))

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
            case "timeout" if self._codes.ran_out(now):
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
        return self._say(Refused(code=code, why=explain_refusal(code) or scrub(why) or f"WhatsApp refused it ({code})"))

    def stream_error(self, code: str) -> SessionEvent | None:
        """A stream error the library has no rule for; whether it ends the connection is told by what follows."""
        self._drop_reason = (f"WhatsApp sent stream error {code}", code)
        return None

    # --- log and return

    def log(self, message: str) -> SessionEvent | None:
        """The library logged a sentence; some of them are verdicts."""
        sentence = read(message)
        if sentence is None:
            return None
        match sentence.said:
            case Said.LOGGED_OUT:
                return self.logged_out(sentence.rest, on_connect=True)
            case Said.REMOVED:
                return self.logged_out("device_removed", on_connect=False)
            case Said.REPLACED:
                return self.replaced()
            case Said.BANNED:
                return self.banned(sentence.attribute("code"), float(sentence.attribute("expire") or 0))
            case Said.OUTDATED:
                return self.outdated()
            case Said.REFUSED:
                return self.refused(sentence.attribute("reason"), "")
            case Said.REDIALS:  # remembered as the reason of the drop that follows
                self._drop_reason = (f"WhatsApp answered {sentence.rest}", sentence.rest)
                return None
            case Said.NOT_PAIRED:
                return self.pairing_failed(sentence.rest)
            case Said.GAVE_UP:
                return self.gave_up(sentence.rest)
            case Said.REDIAL_FAILED:
                return self.redial_failed(sentence.rest)
            case _:
                assert_never(sentence.said)

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
