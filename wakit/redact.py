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
from collections.abc import Callable
from datetime import datetime
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


_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12][0-9]|3[01])"
_HOUR, _OF_SIXTY = r"(?:[01][0-9]|2[0-3])", r"[0-5][0-9]"
# What wakit itself writes when it says since when: no number has colons in it.
_MOMENT: Final = (
    rf"(?P<moment>20[0-9]{{2}}-{_MONTH}-{_DAY}[ T]{_HOUR}:{_OF_SIXTY})"
    rf"(?::{_OF_SIXTY}(?![0-9])|(?=Z\b| ?UTC\b|\+00:00))"
)
# And how it names a backup.
_BACKUP: Final = (
    rf"(?P<backup>20[0-9]{{2}}{_MONTH}{_DAY}T{_HOUR}{_OF_SIXTY}{_OF_SIXTY}[0-9]{{6}}Z)-[0-9a-f]{{8}}(?![0-9A-Za-z])"
)
_DIGITS: Final = r"\+?(?<![0-9.:-])[0-9](?:[ ().-]{0,3}[0-9]){7,14}(?![0-9])"
_NUMBER: Final = re.compile(_DIGITS)
_NUMBER_OR_TIME: Final = re.compile(rf"(?<![0-9.:-])(?:{_MOMENT}|(?<![0-9A-Za-z]){_BACKUP})|{_DIGITS}")

_KEY: Final = re.compile(r"\b(?=[A-Za-z0-9+/_-]*[0-9+/_-])[A-Za-z0-9+/_-]{32,}={0,2}")
# What is looked at on either side of what may be a key, to tell whether it is part of a path.
_AROUND: Final = 512
_BEFORE: Final = re.compile(r"[^\s\"'`(),;:=<>]*\Z")
_AFTER: Final = re.compile(r"[^\s\"'`(),;:=<>]*")
_PLACE: Final = re.compile(r"/.*\.(?:go|py|pyi|so|c|h|s|S|rs|toml|db|duckdb|log|sock)|(?:[a-z0-9-]+\.)+[a-z]{2,4}/.*")
_MODULE_VERSION: Final = re.compile(
    r"@v[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9a-z.]*[0-9]{14}-[0-9a-f]{12})?(?:\+incompatible)?"
)
# A number that is spread over parts of a path; nothing else would see it.
_SPREAD_NUMBER: Final = re.compile(r"[0-9](?:[/._~+@!*-]{0,2}[0-9]){7}")
# A word as people write them into paths: of random characters, 32 in a row hardly ever are all such words.
_WORD: Final = re.compile(r"(?:[a-z]+(?:[A-Z][a-z]+)*|(?:[A-Z][a-z]+)+|[A-Z]{2,6})?[0-9]{0,4}")


def _mask_key(found: re.Match[str]) -> str:
    """Mask what has the shape of a key, unless it is a part of a path to a file or of a Go package's name."""
    text, begin, end = found.string, found.start(), found.end()
    before, after = _BEFORE.search(text, max(0, begin - _AROUND), begin), _AFTER.match(text, end, end + _AROUND)
    whole = (before[0] if before else "") + found[0] + (after[0] if after else "")
    return found[0] if _is_path(whole) else "[key]"


def _is_path(text: str) -> bool:
    if not _PLACE.fullmatch(text):
        return False
    words = _MODULE_VERSION.sub("", re.sub(_BACKUP, "", text))
    if _SPREAD_NUMBER.search(words):
        return False
    return all(_WORD.fullmatch(word) for word in re.split(r"[/._~+@!*-]+", words))


def _mask_number(found: re.Match[str]) -> str:
    """Mask what has the shape of a number, unless it is a moment or a backup's name."""
    if (moment := found["moment"]) is not None:
        kept = _is_moment(moment.replace("T", " "), "%Y-%m-%d %H:%M")
    elif (stamp := found["backup"]) is not None:
        kept = _is_moment(stamp, "%Y%m%dT%H%M%S%fZ")
    else:
        return "[number]"
    return found[0] if kept else _NUMBER.sub("[number]", found[0])


def _is_moment(text: str, shape: str) -> bool:
    try:
        datetime.strptime(text, shape)  # noqa: DTZ007 - only whether there is such a day
    except ValueError:
        return False
    return True


# Order matters: whole URLs and QR payloads go before the digits and base64 inside them.
_SHAPES: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"https?://wa\.me/\S+"), "[qr]"),
    (re.compile(r"\b2@[A-Za-z0-9+/=,._-]{20,}"), "[qr]"),
    (re.compile(r"(?P<scheme>\b[a-z][a-z0-9+-]{0,30}://)[^\s/@]+@"), r"\g<scheme>[credentials]@"),
    (
        re.compile(r"(?<![0-9.:])[0-9][0-9.:]{0,40}@(?:s\.whatsapp\.net|lid|g\.us|c\.us|newsletter|broadcast)\b"),
        "[jid]",
    ),
    (re.compile(r"(?i)(pair(?:ing)?[ _-]?code\W+)\S+"), r"\1[code]"),
    (re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b"), "[code]"),
    (_KEY, _mask_key),
    (_NUMBER_OR_TIME, _mask_number),
)


def scrub(text: str) -> str:
    """Mask everything in ``text`` that has the shape of a secret.

    Example:
        >>> scrub("Pair Code:  ABCD-2345 for 34600000001@s.whatsapp.net")
        'Pair Code:  [code] for [jid]'
        >>> scrub("the backup 20260301T123015000000Z-ea4d078f of +34 600 000 001")
        'the backup 20260301T123015000000Z-ea4d078f of [number]'
    """
    for shape, mask in _SHAPES:
        text = shape.sub(mask, text)
    return text
