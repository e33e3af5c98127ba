"""What one look of ``doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    said: str
    hint: str = ""
