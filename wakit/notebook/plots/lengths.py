"""The bins in which lengths of time are counted: narrow where most are, wide where few are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BINS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "under 1 s": 1.0,
        "1 to 5 s": 5.0,
        "5 to 15 s": 15.0,
        "15 s to 1 min": 60.0,
        "1 to 5 min": 300.0,
        "5 to 30 min": 1800.0,
        "30 min to 2 h": 7200.0,
        "2 to 12 h": 43200.0,
        "over 12 h": float("inf"),
    }
)
"""Words to the seconds at which the bin ends (not in it)."""
LENGTHS: Final = list(BINS)
