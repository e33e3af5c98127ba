"""What the library's own words and numbers mean; they belong to the release that wakit pins exactly.

The sentences are those of whatsmeow's connectionevents.go, pair.go and client.go, the numbers those of goneonize's
Neonize.proto. A new release is read against this file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wakit.whatsapp.port import DialFailure

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


class Said(StrEnum):
    """What a sentence in the log tells."""

    LOGGED_OUT = "logged_out"
    REMOVED = "removed"
    REPLACED = "replaced"
    BANNED = "banned"
    OUTDATED = "outdated"
    REFUSED = "refused"
    REDIALS = "redials"
    NOT_PAIRED = "not_paired"
    GAVE_UP = "gave_up"
    REDIAL_FAILED = "redial_failed"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that means something.

    Attributes:
        said: What it tells.
        rest: What it tells it with: a number, an error, or the node that WhatsApp sent.
    """

    said: Said
    rest: str = ""

    def attribute(self, name: str) -> str:
        """Return a number in the node that WhatsApp sent; "" if it has none of that name."""
        found = re.search(rf'\b{name}="(\d+)"', self.rest)
        return found[1] if found else ""


# They tell what no event tells, or tell it in time.
_SENTENCES: Final = (
    (re.compile(r"Got (\d+): .*connect failure, sending LoggedOut event"), Said.LOGGED_OUT),
    (re.compile(r"Got device removed stream error()"), Said.REMOVED),
    (re.compile(r"Got replaced stream error()"), Said.REPLACED),
    (re.compile(r"Temporary ban connect failure: (.*)"), Said.BANNED),
    (re.compile(r"Client outdated \(405\) connect failure()"), Said.OUTDATED),
    (re.compile(r"Unknown connect failure: (.*)"), Said.REFUSED),
    (re.compile(r"Got (\d+)(?:/.*connect failure| stream error), assuming automatic reconnect"), Said.REDIALS),
    (re.compile(r"Failed to pair device: (.*)"), Said.NOT_PAIRED),
    (re.compile(r"Failed to reconnect after 515 code: (.*)"), Said.GAVE_UP),
    (re.compile(r"Error reconnecting after autoreconnect sleep: (.*)"), Said.REDIAL_FAILED),
)


def read(message: str) -> Sentence | None:
    """Read a line of the log; None if it tells nothing that counts.

    Example:
        >>> read('Temporary ban connect failure: <failure code="102" expire="3600"/>').attribute("expire")
        '3600'
        >>> read("Sending presence")
    """
    for pattern, said in _SENTENCES:
        match = pattern.match(message)
        if match is not None:
            return Sentence(said, match[1])
    return None


def explain_refusal(code: str) -> str:
    """Say what the number of a refused login means; "" if it is not known.

    Example:
        >>> explain_refusal("401")
        'the device was unlinked'
    """
    return _FAILURES.get(code, "")


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
