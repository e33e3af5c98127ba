"""What a key may hold: one small reader a kind of value, for the schema to name.

A reader takes the raw value (a TOML value, or :class:`EnvText` from the environment, where everything is text) and
returns what the declaration keeps, or raises :class:`~wakit.declare.problems.Refusal` with what was found, what would
be right, and an example. Readers of private values (phones, proxies) never repeat them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from wakit.core.declaration import SESSION_NAME
from wakit.declare import addresses, quantities
from wakit.declare.problems import Refusal, closest
from wakit.redact import PhoneNumber, Secret, scrub

Kind = TypeVar("Kind", bound=StrEnum)
Number = TypeVar("Number", int, float)

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LABEL_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,62}")
_NAME_RULE: Final = "lower-case letters, digits, - and _, beginning with a letter or digit, at most 63"
_SHOWN: Final = 40
_BASE_UNITS: Final = {"rate": " a second", "duration": " seconds", "size": " bytes"}


class EnvText(str):
    """A value from the environment or ``.env``: text, whatever it stands for."""

    __slots__ = ()


def found(value: object) -> str:
    """Say what a value is, scrubbed and short.

    Example:
        >>> found(5), found("x"), found([1])
        ('the number 5', 'the text "x"', 'a list')
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            text = str(value) if abs(value) < 10**7 else ""
            return f"the number {text}" if text else "a long number"
        case str():
            if "://" in value:
                return "a URL"
            shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
            return f"the text {json.dumps(scrub(shown), ensure_ascii=False)}" if value else "an empty text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case datetime() | date() | time():
            return "a date or time"
        case _:
            return "something else"


def refuse(what: str, value: object, hint: str, *, private: bool = False) -> Refusal:
    """Make the refusal for a value of the wrong kind or form."""
    return Refusal(what, why=f"found {'a text' if private and isinstance(value, str) else found(value)}", hint=hint)


def flag(value: object) -> bool:
    """``true`` or ``false``."""
    if isinstance(value, EnvText) and value.lower() in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        return value.lower() in ("true", "1", "yes", "on")
    if isinstance(value, bool):
        return value
    raise refuse("needs true or false", value, "write true or false, without quotes")


def whole(low: int, high: int, example: str) -> Callable[[object], int]:
    """A whole number within bounds."""

    def read(value: object) -> int:
        number = int(value) if isinstance(value, EnvText) and _WHOLE.fullmatch(value) else value
        if isinstance(number, bool) or not isinstance(number, int):
            raise refuse("needs a whole number", value, f"write a number without quotes, for example {example}")
        return _within(number, (low, high), found(value), f"for example {example}")

    return read


def share(value: object) -> float:
    """A share from 0 to 1."""
    number = float(value) if isinstance(value, EnvText) and _DECIMAL.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise refuse("needs a share", value, "write a number from 0 to 1, for example 0.5")
    return _within(float(number), (0.0, 1.0), found(value), "for example 0.5")


def rate(low: float, high: float, example: str) -> Callable[[object], float]:
    """A rate, as events a second."""
    return _quantity("rate", quantities.parse_rate, (low, high), example, "units are /s, /min and /h")


def duration(low: float, high: float, example: str) -> Callable[[object], float]:
    """A duration, as seconds."""
    return _quantity("duration", quantities.parse_duration, (low, high), example, "units are ms, s, min, h and d")


def size(low: int, high: int, example: str) -> Callable[[object], int]:
    """A size, as bytes."""
    return _quantity("size", quantities.parse_size, (low, high), example, "units are kB, MB, GB, KiB, MiB and GiB")


def choice(kinds: type[Kind]) -> Callable[[object], Kind]:
    """One of a few words."""
    words = [kind.value for kind in kinds]

    def read(value: object) -> Kind:
        if isinstance(value, str) and value in words:
            return kinds(value)
        raise _not_one_of(words, value)

    return read


def strategy(value: object) -> Literal["shared"]:
    """The namespace of credentials; one for now."""
    if value == "shared":
        return "shared"
    if value in ("branch", "pattern", "team"):
        raise Refusal("this strategy is not there yet", why=f"found {found(value)}", hint='write "shared"')
    raise _not_one_of(["shared"], value)


def per_worker(value: object) -> int | Literal["auto"]:
    """``"auto"`` or a number of sessions."""
    if value == "auto":
        return "auto"
    if isinstance(value, str) and not (isinstance(value, EnvText) and _WHOLE.fullmatch(value)):
        raise refuse('needs "auto" or a number', value, 'write "auto", or a number without quotes, for example 8')
    return whole(1, 1000, '8, or "auto"')(value)


def line(limit: int, example: str) -> Callable[[object], str]:
    """One line of text."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise refuse("needs a text", value, f"write it in quotes, for example {json.dumps(example)}")
        if len(value) > limit:
            raise Refusal("the text is too long", why=f"{len(value)} characters; at most {limit} fit")
        if not value.isprintable():
            raise Refusal("the text holds a control character", hint=f"for example {json.dumps(example)}")
        return str(value)

    return read


def recipients(value: object) -> tuple[str, ...]:
    """Public keys that backups are sealed to: a list, or comma-separated in the environment."""
    hint = 'write a list of public keys, for example ["age1…"]'
    items = value.split(",") if isinstance(value, EnvText) else value
    if not isinstance(items, list | tuple):
        raise refuse("needs a list", value, hint)
    keys = tuple(item.strip() if isinstance(item, str) else "" for item in items)
    for key in keys:
        if key.upper().startswith("AGE-SECRET-KEY-"):
            raise Refusal("this is a secret key", why="only public keys belong into the file", hint=hint)
        if not key or not key.isprintable():
            raise Refusal("needs a list of texts", why="an element is empty or no text", hint=hint)
    return keys


def phone(value: object) -> PhoneNumber:
    """A phone number; never repeated."""
    hint = 'write it in quotes with + and the country code, for example phone = "+34600000001"'
    if not isinstance(value, str):
        why = "found a number; a leading + or 0 would be lost" if _is_number(value) else f"found {found(value)}"
        raise Refusal("needs a phone number in quotes", why=why, hint=hint)
    try:
        return PhoneNumber(value)
    except ValueError as error:
        raise Refusal("this is not a phone number", why=str(error), hint=hint) from None


def proxy(value: object) -> Secret | None:
    """An upstream proxy's URL, never repeated; an empty text means none, which overrules ``[defaults]``."""
    if value == "":
        return None
    if not isinstance(value, str):
        raise refuse("needs a proxy URL", value, 'for example proxy = "socks5://127.0.0.1:1080"', private=True)
    return Secret(addresses.check_proxy(str(value)))


def endpoint_proxy(value: object) -> str:
    """A loopback server's proxy URL."""
    if not isinstance(value, str):
        raise refuse("needs a loopback URL", value, 'for example proxy = "http://127.0.0.1:8443"', private=True)
    return addresses.check_endpoint(str(value))


def noise_root_key(value: object) -> str:
    """A public key: 32 bytes in hex."""
    if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        return value.lower()
    length = f"found {len(value)} characters" if isinstance(value, str) else f"found {found(value)}"
    raise Refusal("needs 64 hex digits", why=length, hint="`wakit sim` prints the key with its endpoint")


def labels(value: object) -> Mapping[str, str]:
    """Free key/value pairs of text."""
    hint = 'for example labels = { team = "emea" }'
    if not isinstance(value, Mapping):
        raise refuse("needs a table", value, hint)
    for key, text in value.items():
        if _LABEL_KEY.fullmatch(key) is None:
            raise Refusal(
                "a label's name is malformed", why="letters, digits and _ . / - are taken, up to 63", hint=hint
            )
        if not isinstance(text, str):
            raise refuse(f"label {scrub(key)} needs a text", text, f'write it in quotes: {scrub(key)} = "…"')
        if len(text) > 256 or not text.isprintable():  # noqa: PLR2004 - told in the sentence below
            raise Refusal(
                f"label {scrub(key)} is too long or holds a control character", why="up to 256 characters fit"
            )
    return MappingProxyType({str(key): str(text) for key, text in value.items()})


def session_name(value: object) -> str:
    """A session's name, as it may become a directory."""
    hint = f"{_NAME_RULE}, for example sales-emea"
    if not isinstance(value, str):
        raise refuse("needs a session's name", value, hint)
    if SESSION_NAME.fullmatch(value) is None:
        raise Refusal("this cannot be a session's name", why=_why_name(value), hint=hint)
    return str(value)


def _why_name(name: str) -> str:
    if not name:
        return "it is empty"
    if len(name) > 63:  # noqa: PLR2004 - told in the sentence
        return f"it has {len(name)} characters; at most 63 fit"
    if "\0" in name:
        return "it holds a NUL"
    if "/" in name or "\\" in name or name.startswith("."):
        return "a name becomes a directory, so path characters are not taken"
    if any(mark.isspace() for mark in name):
        return "it holds a space"
    if name != name.lower() and SESSION_NAME.fullmatch(name.lower()):
        return "upper-case letters are not taken, because some file systems do not tell them apart"
    if not name.isascii():
        return "only a to z, 0 to 9, - and _ are taken"
    if name[0] in "-_":
        return "it must begin with a letter or digit"
    return "it holds a character that is not taken"


def _quantity(
    noun: str, parse: Callable[[str], Number], bounds: tuple[Number, Number], example: str, units: str
) -> Callable[[object], Number]:
    hint = f"write a number and a unit in quotes, for example {json.dumps(example)}; {units}"

    def read(value: object) -> Number:
        if not isinstance(value, str):
            raise refuse(f"needs a {noun}", value, hint)
        try:
            number = parse(value)
        except ValueError:
            raise refuse(f"this is not a {noun}", value, hint) from None
        return _within(number, bounds, found(value), f"for example {json.dumps(example)}", _BASE_UNITS[noun])

    return read


def _within(number: Number, bounds: tuple[Number, Number], shown: str, hint: str, unit: str = "") -> Number:
    low, high = bounds
    if low <= number <= high:  # a NaN fails this too
        return number
    bound = f"at least {low:.12g}{unit}" if number < low else f"at most {high:.12g}{unit}"
    raise Refusal(
        "this is too small" if number < low else "this is too large", why=f"found {shown}; {bound}", hint=hint
    )


def _not_one_of(words: list[str], value: object) -> Refusal:
    listed = " or ".join(json.dumps(word) for word in words)
    guess = closest(value, words) if isinstance(value, str) else None
    hint = f"did you mean {json.dumps(guess)}?" if guess else f"write {listed}"
    return refuse(f"needs {listed}", value, hint)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
