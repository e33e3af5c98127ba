"""TOML text becomes a document of plain values, or an error that says where and what a line should look like."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any, Final

from wakit.declare.positions import Positions
from wakit.errors import DeclarationError, Location
from wakit.redact import scrub

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_PART_SHOWN: Final = 40
_LONG_NUMBER: Final = re.compile(r"[0-9]{10,}")
_HINTS: Final = (
    ("Expected '=' after a key", "a line is written key = value, a table [name]"),
    ("Expected ']", "a table is written [name], on a line of its own"),
    ("Invalid value", 'text is written in quotes: key = "value"; true and false without, in lower case'),
    ("Unterminated string", "close the quote"),
    ("Unclosed", "close the bracket or brace"),
    ("Illegal character '\\n'", "close the quote on the same line"),
    ("Expected newline or end of document", "one key a line; text is written in quotes"),
    ("Invalid statement", "a line is a comment, [a table], or key = value"),
    ("Unescaped '\\'", "a backslash in double quotes is written \\\\; in single quotes it stands for itself"),
)


def parse_toml(text: str, positions: Positions, display: str) -> dict[str, Any]:
    """Parse a TOML text.

    Args:
        text: The text.
        positions: Its positions, which name both places of a duplicate key.
        display: How the file is called in errors.

    Raises:
        DeclarationError: It is not TOML, with line and column; or it holds nothing at all.
    """
    if positions.too_deep is not None:
        raise _too_deep(positions.location(display, positions.too_deep))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), positions, display) from None
    except RecursionError:
        raise _too_deep(Location(display)) from None
    except ValueError:  # CPython refuses to convert integers of over 4,300 digits
        raise DeclarationError("a number in the file is too long", location=Location(display)) from None
    if not document:
        raise DeclarationError(
            "the file declares nothing",
            location=Location(display),
            why="an empty file retires nothing; the last good declaration stays in force",
            hint="to retire every session on purpose, leave the line [sessions] in the file and run "
            "`wakit apply --confirm`",
        )
    return document


def _too_deep(location: Location) -> DeclarationError:
    return DeclarationError(
        "the file is nested too deeply", location=location, hint="a declaration needs no more than four levels"
    )


def _syntax_error(message: str, positions: Positions, display: str) -> DeclarationError:
    place = _PLACE.search(message)
    words = message[: place.start()] if place else message
    # The parser says: "Cannot declare ('a',) twice", "Cannot overwrite a value", "Duplicate inline table key"
    if words.startswith(("Cannot", "Duplicate")) and positions.duplicates:
        path, first, second = positions.duplicates[0]
        return DeclarationError(
            "the key is defined twice",
            location=positions.location(display, second),
            key=path_text(path),
            why=f"it was first defined on line {positions.location(display, first).line}",
            hint="keep one of the two",
        )
    if place and place[1]:
        location = Location(display, int(place[1]), int(place[2]))
    else:
        location = positions.location(display, len(positions.text.rstrip("\n")))
    hint = next((text for start, text in _HINTS if words.startswith(start)), "")
    return DeclarationError("this is not TOML", location=location, why=_lower_first(words), hint=hint)


def path_text(path: tuple[str, ...]) -> str:
    """Write a path as a dotted key, shortened and scrubbed for people to read.

    Example:
        >>> path_text(("sessions", "a b", "phone"))
        'sessions."a b".phone'
    """
    return ".".join(_part_text(part) for part in path)


def _part_text(part: str) -> str:
    # A name may hold a number glued to letters, which scrub lets pass.
    shown = _LONG_NUMBER.sub("[number]", part)
    shown = scrub(shown if len(shown) <= _PART_SHOWN else shown[:_PART_SHOWN] + "…")
    return shown if _BARE.fullmatch(shown) else json.dumps(shown, ensure_ascii=not shown.isprintable())


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
