"""The JSON that JavaScript leaves behind: bytes in four spellings, and numbers as text.

Which spelling a value has depends on what wrote it: Baileys' own replacer (``{"type": "Buffer", "data": "base64"}``), a
plain ``JSON.stringify`` of a Buffer (the same with a list of numbers) or of a Uint8Array (``{"0": 1, "1": 2}``), or
protobufjs (base64 text). All four are met in one folder.

Every function is total: what is not as it should be gives None.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

_MOST_OCTETS: Final = 1 << 22


def read_json(data: bytes) -> Any:
    """Read a JSON text; None if it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def octets(value: Any, *sizes: int) -> bytes | None:
    r"""Read bytes in any spelling; with ``sizes``, only if their number is one of them.

    Example:
        >>> octets({"type": "Buffer", "data": "AQI="}), octets({"0": 1, "1": 2}), octets("AQI=", 3)
        (b'\x01\x02', b'\x01\x02', None)
    """
    found = _octets(value)
    return found if found is not None and (not sizes or len(found) in sizes) else None


def _octets(value: Any) -> bytes | None:
    match value:
        case str():
            return _base64(value)
        case {"type": "Buffer", "data": str(text)}:
            return _base64(text)
        case {"type": "Buffer", "data": list(numbers)}:
            return _numbers(numbers)
        case dict() if 0 < len(value) <= _MOST_OCTETS:
            wanted = [str(index) for index in range(len(value))]
            return _numbers([value[index] for index in wanted]) if all(each in value for each in wanted) else None
        case _:
            return None


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _numbers(numbers: list[Any]) -> bytes | None:
    if len(numbers) > _MOST_OCTETS or not all(type(each) is int for each in numbers):
        return None
    try:
        return bytes(numbers)
    except (ValueError, OverflowError):
        return None


def whole(value: Any, least: int, most: int) -> int | None:
    """Read a whole number within bounds, written as a number or as text.

    Example:
        >>> whole("7", 0, 9), whole(7.5, 0, 9), whole(True, 0, 9), whole(10, 0, 9)
        (7, None, None, None)
    """
    match value:
        case bool():
            return None
        case int():
            found = value
        case str() if value.isascii() and value.isdecimal() and len(value) <= len(str(1 << 64)):
            found = int(value)
        case _:
            return None
    return found if least <= found <= most else None


def member(value: Any, *path: str) -> Any:
    """Return a value inside nested objects, or None.

    Example:
        >>> member({"me": {"id": "x"}}, "me", "id"), member([], "me", "id")
        ('x', None)
    """
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
