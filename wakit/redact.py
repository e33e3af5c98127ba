"""Secrets as types that do not speak, and a scrubber for text that others wrote.

A value that must never be seen (a QR payload, a pairing code, a proxy's password, a phone number) is wrapped where it
enters wakit and revealed only where it leaves for the one place that needs it. ``repr``, ``str`` and ``format`` of the
wrappers are masked, so a traceback or an f-string cannot leak them.

:func:`scrub` is for text of unknown origin (the Go library's output, a foreign exception): it masks by shape, and
rather too much than too little.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import Final, final

_MASK: Final = "•••"


@final
class Secret:
    """A text that must not be shown.

    Example:
        >>> token = Secret("hunter2")
        >>> f"{token!r} {token}"
        "Secret('•••') •••"
        >>> token.reveal()
        'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself; call it only where the text leaves wakit."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: reveal it on purpose, or send it on a typed wire")


@final
class PhoneNumber:
    """A phone number in E.164 form (``+`` and 8 to 15 digits) that shows only its ends.

    Spaces, dashes, dots and parentheses are dropped, as ITU-T E.123 notation allows them; nothing else is.

    Raises:
        ValueError: The text is not such a number. The message does not repeat it.

    Example:
        >>> number = PhoneNumber("+34 600 000 001")
        >>> f"{number}"
        '+34•••01'
        >>> number.reveal()
        '+34600000001'
    """

    __slots__ = ("_value",)
    _SHAPE: Final = re.compile(r"\+[1-9][0-9]{7,14}")

    def __init__(self, value: str) -> None:
        compact = re.sub(r"[ \-.()]", "", value)
        if not self._SHAPE.fullmatch(compact):
            raise ValueError("a phone number is a + and 8 to 15 digits, country code first")
        self._value = compact

    @property
    def digits(self) -> str:
        """The number without its plus, as WhatsApp's user part has it."""
        return self._value[1:]

    def reveal(self) -> str:
        """Return the number itself, with its plus."""
        return self._value

    def __repr__(self) -> str:
        return f"PhoneNumber('{self}')"

    def __str__(self) -> str:
        return f"{self._value[:3]}{_MASK}{self._value[-2:]}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PhoneNumber) and self._value == other._value

    def __hash__(self) -> int:
        return hash((PhoneNumber, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a PhoneNumber is not pickled: reveal it on purpose, or send it on a typed wire")


def account_hash(user: str, key: bytes) -> str:
    """Name an account without naming its number: a keyed hash, 16 hex digits.

    Args:
        user: The account's number, with or without ``+``, or the user part of its JID.
        key: The state directory's own random key, so that hashes of two deployments cannot be joined.

    Example:
        >>> account_hash("+34600000001", b"k") == account_hash("34600000001", b"k")
        True
    """
    return hmac.new(key, user.lstrip("+").encode(), sha256).hexdigest()[:16]


# What wakit itself writes when it says since when: no number has colons in it.
_MOMENT: Final = r"20[0-9]{2}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
# Order matters: whole URLs and QR payloads go before the digits and base64 inside them.
_SHAPES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"https?://wa\.me/\S+"), "[qr]"),
    (re.compile(r"\b2@[A-Za-z0-9+/=,._-]{20,}"), "[qr]"),
    (re.compile(r"(?P<scheme>\b[a-z][a-z0-9+-]{0,30}://)[^\s/@]+@"), r"\g<scheme>[credentials]@"),
    (
        re.compile(r"(?<![0-9.:])[0-9][0-9.:]{0,40}@(?:s\.whatsapp\.net|lid|g\.us|c\.us|newsletter|broadcast)\b"),
        "[jid]",
    ),
    (re.compile(r"(?i)(pair(?:ing)?[ _-]?code\W+)\S+"), r"\1[code]"),
    (re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b"), "[code]"),
    (re.compile(r"\b(?=[A-Za-z0-9+/_-]*[0-9+/_-])[A-Za-z0-9+/_-]{32,}={0,2}"), "[key]"),
    (re.compile(rf"\+?(?<![0-9.:-])(?!{_MOMENT})[0-9](?:[ ().-]{{0,3}}[0-9]){{7,14}}(?![0-9])"), "[number]"),
)


def scrub(text: str) -> str:
    """Mask everything in ``text`` that has the shape of a secret.

    Example:
        >>> scrub("Pair Code:  ABCD-2345 for 34600000001@s.whatsapp.net")
        'Pair Code:  [code] for [jid]'
    """
    for shape, mask in _SHAPES:
        text = shape.sub(mask, text)
    return text
