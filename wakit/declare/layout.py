"""Small changes to a TOML text that leave every other byte where it is.

tomlkit keeps comments, but not always their place: it appends a key *behind* a comment that stands above the next
table, and takes that comment away when it removes the table before it. So these functions cut and insert text at the
places :mod:`wakit.declare.positions` finds, and use tomlkit for what it is good at: writing keys and values.

Only tables with a header of their own (``[sessions.sales]``) are handled; others raise :class:`LookupError`, and the
caller has another way. A text's line ends are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import tomlkit

from wakit.declare.positions import KEY_PART, KeyPath, TableSpan, find_positions

_COMMENT_LINE: Final = re.compile(r"[ \t]*#")


def render(value: object) -> str:
    r"""Write a value as TOML on one line.

    Example:
        >>> render({"team": "emea"}), render("a\"b"), render(True)
        ('{team = "emea"}', '"a\\"b"', 'true')
    """
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline.as_string()
    return str(tomlkit.item(value).as_string())


def add_table(text: str, path: KeyPath, values: Mapping[str, object]) -> str:
    r"""Add a table below the last one with the same parent, or at the end.

    Example:
        >>> print(add_table("[sessions.a]\n", ("sessions", "b"), {"phone": "+34600000001"}), end="")
        [sessions.a]
        <BLANKLINE>
        [sessions.b]
        phone = "+34600000001"
    """
    end = _line_end_mark(text)
    tables = find_positions(text).tables
    siblings = [span.end for known, span in tables.items() if known[: len(path) - 1] == path[:-1]]
    at = _after_line(text, max(siblings)) if siblings else len(text)
    head = "" if at == 0 or text[:at].endswith("\n") else end
    gap = end if text[:at].strip() else ""
    name = ".".join(tomlkit.key(part).as_string() for part in path)
    lines = [f"[{name}]", *(f"{tomlkit.key(key).as_string()} = {render(value)}" for key, value in values.items())]
    return text[:at] + head + gap + "".join(line + end for line in lines) + text[at:]


def remove_table(text: str, path: KeyPath) -> str:
    """Remove a table, what is below it, and the comment that stands directly above it.

    Raises:
        LookupError: The table has no header.
    """
    for known in _headers(text, path):
        span = find_positions(text).tables[known]
        start, end = _comment_start(text, span.start), _after_line(text, span.end)
        # One of the two blank lines that would now meet goes with the table.
        if not text[end:].strip() and (blank := _blank_line_before(text, start)) is not None:
            start = blank
        elif match := re.compile(r"[ \t]*\r?\n").match(text, end):
            end = match.end()
        text = text[:start] + text[end:]
    return text


def rename_table(text: str, path: KeyPath, name: str) -> str:
    """Give the last part of a table's path another name, in its header and those below it.

    Raises:
        LookupError: The table has no header.
    """
    part = len(path) - 1
    tables = find_positions(text).tables
    # From the end, so that the offsets before it stay true.
    for known in reversed(_headers(text, path)):
        at = tables[known].parts[part]
        old = KEY_PART.match(text, at)
        assert old is not None, "a header's part is a key"
        text = text[:at] + tomlkit.key(name).as_string() + text[old.end() :]
    return text


def set_value(text: str, table: KeyPath, key: str, value: object) -> str:
    """Set a key of a table: in place, or below its last key.

    Raises:
        LookupError: The table has no header, or the key is spread over a table of its own.
    """
    found = find_positions(text)
    if (span := found.values.get((*table, key))) is not None:
        return text[: span[0]] + render(value) + text[span[1] :]
    own = _own(found.tables, table)
    if (*table, key) in found.keys:
        raise LookupError(key)
    end = _line_end_mark(text)
    at = _after_line(text, own.end)
    head = "" if text[:at].endswith("\n") else end
    last_line = text[text.rfind("\n", 0, own.end) + 1 : own.end]
    indent = "" if last_line.lstrip().startswith("[") else last_line[: len(last_line) - len(last_line.lstrip(" \t"))]
    return f"{text[:at]}{head}{indent}{tomlkit.key(key).as_string()} = {render(value)}{end}{text[at:]}"


def remove_value(text: str, table: KeyPath, key: str) -> str:
    """Remove a key of a table with its line; a key that is not there is fine.

    Raises:
        LookupError: The key is spread over a table of its own, or shares its line.
    """
    found = find_positions(text)
    if (*table, key) not in found.keys:
        return text
    if (*table, key) not in found.values or table not in found.tables:
        raise LookupError(key)
    start = text.rfind("\n", 0, found.keys[*table, key]) + 1
    return text[:start] + text[_after_line(text, found.values[*table, key][1]) :]


def _headers(text: str, path: KeyPath) -> list[KeyPath]:
    tables = find_positions(text).tables
    _own(tables, path)
    return [known for known in tables if known[: len(path)] == path]


def _own(tables: Mapping[KeyPath, TableSpan], path: KeyPath) -> TableSpan:
    if path not in tables:
        raise LookupError(".".join(path))
    return tables[path]


def _line_end_mark(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _after_line(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end + 1


def _comment_start(text: str, offset: int) -> int:
    """Return where the comment directly above a line begins; one that begins the file speaks of the file, and stays."""
    own = start = text.rfind("\n", 0, offset) + 1
    while start:
        above = text.rfind("\n", 0, start - 1) + 1
        if not _COMMENT_LINE.match(text, above):
            return start
        start = above
    return own


def _blank_line_before(text: str, start: int) -> int | None:
    above = text.rfind("\n", 0, max(0, start - 1)) + 1
    return above if start and not text[above:start].strip() else None
