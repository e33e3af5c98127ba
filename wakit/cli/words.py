"""Times, sizes and texts as people say them: ages, pauses, and the ages people type."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from wakit.errors import ControlError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGE: Final = re.compile(r"(\d{1,6})\s*([smhdw])")


def span(seconds: float) -> str:
    """Say a length of time with at most two units.

    Example:
        >>> span(8), span(305), span(7500), span(200000)
        ('8 s', '5 min', '2 h 5 min', '2 d 7 h')
    """
    whole = max(int(seconds), 0)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{whole} s"


def age(moment: datetime, now: datetime) -> str:
    """Say how long ago something was."""
    return span((now - moment).total_seconds())


def size(count: int) -> str:
    """Say how large a file is.

    Example:
        >>> size(12), size(1_499), size(163_840), size(999_600), size(54_300_000)
        ('1 kB', '1 kB', '164 kB', '1.0 MB', '54.3 MB')
    """
    thousands = max(1, round(count / 1e3))
    return f"{thousands} kB" if thousands < 1000 else f"{count / 1e6:.1f} MB"  # noqa: PLR2004


def since(text: str, now: datetime) -> datetime:
    """Read what people give to ``--since``: an age like ``15m``, or a time, taken as UTC where it names no zone.

    Raises:
        ControlError: It is neither.

    Example:
        >>> since("1h", datetime(2026, 1, 1, 12, tzinfo=UTC)).hour
        11
    """
    age_given = _AGE.fullmatch(text.strip())
    try:
        if age_given:
            return now - timedelta(seconds=int(age_given[1]) * _UNITS[age_given[2]])
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ControlError(
            "--since is not understood",
            why="it is neither an age nor a time",
            hint="give an age like 90s, 15m, 1h, 7d, or a UTC time like 2026-01-31T12:00",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
