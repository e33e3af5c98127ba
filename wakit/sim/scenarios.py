"""Trouble on demand, as values: what can go wrong, and whom it meets.

A scenario is *armed* for what comes (:mod:`wakit.sim.faults`) or *struck* at what is connected. Light on purpose: tests
and the command line build these values and send them to the sim.
"""

from __future__ import annotations

import msgspec

from wakit.redact import PhoneNumber


class HangDial(msgspec.Struct, frozen=True, tag="hang-dial"):
    """The CONNECT is never answered."""


class RefuseDial(msgspec.Struct, frozen=True, tag="refuse-dial"):
    """The connection is closed instead of an answer to its CONNECT."""


class ProxySays(msgspec.Struct, frozen=True, tag="proxy-says"):
    """The CONNECT is answered with another HTTP status than 200."""

    status: int = 502


class RefuseTls(msgspec.Struct, frozen=True, tag="refuse-tls"):
    """TLS ends with a handshake failure."""


class SlowHandshake(msgspec.Struct, frozen=True, tag="slow-handshake"):
    """The server takes its time before its Noise answer."""

    seconds: float = 5.0


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """A login or a registration is answered with ``<failure reason=…>``; code and expire are for 402, a ban."""

    reason: int = 500
    code: int = 0
    expire: int = 0
    message: str = ""


class PasskeyRequired(msgspec.Struct, frozen=True, tag="passkey-required"):
    """The account is protected: the client that a phone scans is asked for a passkey instead of being linked."""


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """The socket is gone without a word."""


class Replaced(msgspec.Struct, frozen=True, tag="replaced"):
    """The device is told that another connection took its place."""


class StreamError(msgspec.Struct, frozen=True, tag="stream-error"):
    """The device is told ``<stream:error code=…>``, as when a server restarts."""

    code: int = 503


class Deaf(msgspec.Struct, frozen=True, tag="deaf"):
    """The server reads on, but answers nothing any more, pings included."""


class PhoneWrites(msgspec.Struct, frozen=True, tag="phone-writes"):
    """The phone sends a message that the device is told of and cannot open; one that is offline sends nothing."""


class PhoneReads(msgspec.Struct, frozen=True, tag="phone-reads"):
    """The phone sends a receipt of that type for a message of its account; one that is offline sends nothing."""

    kind: str = "read-self"


DialScenario = HangDial | RefuseDial | ProxySays | RefuseTls
OnlineScenario = Drop | Replaced | StreamError | Deaf | PhoneWrites | PhoneReads
Scenario = DialScenario | SlowHandshake | Failure | PasskeyRequired | OnlineScenario


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a scenario meets; nothing given means everybody.

    ``dialer`` is the user name a client's dial brings in Proxy-Authorization: the only thing known before the login.
    """

    number: PhoneNumber | None = None
    device: int | None = None
    dialer: str | None = None

    def fits(self, who: Target) -> bool:
        """Tell whether ``who`` (as far as it is known yet) is meant."""
        return (
            self.number in (None, who.number)
            and self.device in (None, who.device)
            and self.dialer in (None, who.dialer)
        )
