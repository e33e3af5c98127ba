"""Rates, durations and sizes as people write them: ``"5/s"``, ``"6h"``, ``"500MB"``."""

from __future__ import annotations

import re
from typing import Final

_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?/ ?(s|min|h)")
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|min|m|h|d) ?)+")
_DURATION_PART: Final = re.compile(r"([0-9.]+)(ms|s|min|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([kKMGT]i?)?B")

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "ki": 1 << 10, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}  # fmt: skip


def parse_rate(text: str) -> float:
    """Read a rate as events a second.

    Raises:
        ValueError: It is none.

    Example:
        >>> parse_rate("30/min")
        0.5
    """
    if (match := _RATE.fullmatch(text.strip())) is None:
        raise ValueError("a rate is a number, a slash and a unit")
    return float(match[1]) / _SECONDS[match[2]]


def parse_duration(text: str) -> float:
    """Read a duration as seconds.

    Raises:
        ValueError: It is none.

    Example:
        >>> parse_duration("1h30m")
        5400.0
    """
    text = text.strip()
    if _DURATION.fullmatch(text) is None:
        raise ValueError("a duration is a number and a unit")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_size(text: str) -> int:
    """Read a size as bytes; kB, MB, GB count in thousands, KiB, MiB, GiB in 1024s.

    Raises:
        ValueError: It is none.

    Example:
        >>> parse_size("500MB"), parse_size("1 GiB")
        (500000000, 1073741824)
    """
    if (match := _SIZE.fullmatch(text.strip())) is None:
        raise ValueError("a size is a number and a unit")
    return int(float(match[1]) * _BYTES[match[2] or ""])
