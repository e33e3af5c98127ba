"""Where each key of a TOML text stands; the standard parser tells values, but no places.

One pass over a text that :mod:`tomllib` has already accepted, so this reader may be simple: it knows keys, table
headers and how long a value is, and nothing about what values mean. On a text that is not valid TOML it stops where
it no longer understands and keeps what it has (duplicate keys are found that way). It never raises.

A path is the tuple of a key's parts from the top: ``("sessions", "sales", "phone")``. Tables inside arrays have no
path of their own.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from wakit.errors import Location

KeyPath: TypeAlias = tuple[str, ...]

DEEPEST: Final = 16
"""Parts; a declaration needs four. The parser takes quadratic time and space over the parts of a key."""

_BLANK: Final = re.compile(r"[ \t]*")
_BLANKS: Final = (" ", "\t")
_FILLER: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
KEY_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_STRING: Final = re.compile(r'''"""(?:\\.|[^\\])*?"{3,5}|"(?:\\.|[^"\\\n])*"|\'\'\'.*?'{3,5}|'[^'\n]*\'''', re.DOTALL)
# A date and its time may be parted by a space.
_SCALAR: Final = re.compile(r"[^\s,\]}#]+(?:(?<=[0-9]{4}-[0-9]{2}-[0-9]{2}) [0-9][0-9:.+Zz-]*)?")
_ARRAY_TOKEN: Final = re.compile(r"[^\"'\[\]#]+|#[^\n]*|[\[\]]")


@dataclass(slots=True)
class TableSpan:
    """A table that has a header.

    Attributes:
        start: Offset of the header's first bracket.
        end: Offset after the last value under the header, or after the header if it has none.
        parts: Offset of each part of the header's name.
    """

    start: int
    end: int
    parts: tuple[int, ...]


@dataclass(slots=True)
class Positions:
    """Offsets of keys and values, and a way to speak of them as lines and columns.

    Attributes:
        keys: Offset of each key's last part, by path; of tables, where they are first named.
        values: Start and end offset of each value.
        tables: The tables that have a header of their own, in the text's order.
        duplicates: Paths that are defined twice, with both offsets.
        too_deep: Where a key of more than :data:`DEEPEST` parts stands, or None.
    """

    text: str
    keys: dict[KeyPath, int] = field(default_factory=dict)
    values: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    tables: dict[KeyPath, TableSpan] = field(default_factory=dict)
    duplicates: list[tuple[KeyPath, int, int]] = field(default_factory=list)
    too_deep: int | None = None
    _lines: list[int] = field(default_factory=list)

    def of_key(self, path: KeyPath) -> int | None:
        """Offset of the key, or of the nearest table around it; None if nothing of it stands in the text."""
        for length in range(len(path), 0, -1):
            if (offset := self.keys.get(path[:length])) is not None:
                return offset
        return None

    def of_value(self, path: KeyPath) -> int | None:
        """Offset of the value, or else of the key."""
        span = self.values.get(path)
        return self.of_key(path) if span is None else span[0]

    def location(self, display: str, offset: int | None) -> Location:
        """Turn an offset into file, line and column."""
        if offset is None:
            return Location(display)
        if not self._lines:
            self._lines = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect_right(self._lines, offset)
        return Location(display, line, offset - self._lines[line - 1] + 1)


def find_positions(text: str) -> Positions:
    r"""Find every key of a TOML text.

    Example:
        >>> where = find_positions('[pacing]\ndials = "5/s"\n')
        >>> str(where.location("s.toml", where.of_value(("pacing", "dials"))))
        's.toml:2:9'
    """
    reader = _Reader(text)
    with suppress(RecursionError):  # inline tables nested absurdly deep: keep the places found so far
        reader.read()
    return reader.found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.found = Positions(text)
        self._at = 0
        self._elements = 0

    def read(self) -> None:
        table: KeyPath = ()
        while (start := self._skip(_FILLER)) < len(self.text):
            if self._take("["):
                header = self._header(start)
                if header is None:
                    return
                table = header
            elif not self._pair(table):
                return
            elif table in self.found.tables:
                self.found.tables[table].end = self._at

    def _header(self, start: int) -> KeyPath | None:
        in_array = self._take("[")
        key = self._key(())
        if key is None or not self._take("]") or (in_array and not self._take("]")):
            return None
        path, offsets, _ = key
        if in_array:
            self._elements += 1
            return (*path, f"[{self._elements}]")  # no real key holds brackets unquoted, so elements never collide
        if path in self.found.tables or path in self.found.values:
            self.found.duplicates.append((path, self.found.keys[path], offsets[-1]))
        self.found.tables[path] = TableSpan(start, self._at, offsets)
        return path

    def _pair(self, table: KeyPath) -> bool:
        key = self._key(table)
        if key is None or not self._take("="):
            return False
        path, offsets, first = key
        if first != offsets[-1]:
            self.found.duplicates.append((path, first, offsets[-1]))
        return self._value(path)

    def _key(self, table: KeyPath) -> tuple[KeyPath, tuple[int, ...], int] | None:
        """Read a dotted key; return its path, where each part stands, and where that path was seen first."""
        path = table
        offsets: list[int] = []
        while True:
            start = self._skip(_BLANK)
            if (match := KEY_PART.match(self.text, start)) is None:
                return None
            self._at = match.end()
            if len(path) == DEEPEST:
                self.found.too_deep = start
                return None
            path = (*path, _unquote(match[0]))
            offsets.append(start)
            first = self.found.keys.setdefault(path, start)
            if not self._take("."):
                return path, tuple(offsets), first

    def _value(self, path: KeyPath) -> bool:
        start = self._skip(_BLANK)
        if self._take("{"):
            understood = self._inline_table(path)
        elif self.text.startswith("[", start):
            understood = self._array()
        elif match := _STRING.match(self.text, start) or _SCALAR.match(self.text, start):
            self._at = match.end()
            understood = True
        else:
            understood = False
        self.found.values[path] = (start, self._at)
        return understood

    def _inline_table(self, path: KeyPath) -> bool:
        self._skip(_FILLER)
        while not self._take("}"):
            if not self._pair(path):
                return False
            self._skip(_FILLER)
            if not self._take(",") and not self.text.startswith("}", self._at):
                return False
            self._skip(_FILLER)
        return True

    def _array(self) -> bool:
        depth = 0
        while match := _STRING.match(self.text, self._at) or _ARRAY_TOKEN.match(self.text, self._at):
            self._at = match.end()
            depth += {"[": 1, "]": -1}.get(match[0], 0)
            if depth == 0:
                return True
        return False

    def _skip(self, pattern: re.Pattern[str]) -> int:
        if match := pattern.match(self.text, self._at):
            self._at = match.end()
        return self._at

    def _take(self, token: str) -> bool:
        if self.text[self._at : self._at + 1] in _BLANKS:
            self._skip(_BLANK)
        taken = self.text.startswith(token, self._at)
        self._at += len(token) * taken
        return taken


def _unquote(part: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    if part[0] == '"':
        try:
            return str(tomllib.loads(f"k={part}")["k"])
        except tomllib.TOMLDecodeError:
            return part
    return part
