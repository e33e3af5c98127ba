"""What the colours of the pictures mean; the same as on the board."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from wakit.core.lifecycle import STATUS, State, Status

OFF: Final = "off"

# Legible on white and on black, and told apart by lightness as well, for those who see red and green alike.
COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Status.CONNECTED.value: "#2da44e",
        Status.PENDING.value: "#d4a72c",
        Status.DISCONNECTED.value: "#e16f24",
        Status.FAILED.value: "#cf222e",
        OFF: "#8c959f",
    }
)
_ON_PURPOSE: Final = frozenset({State.PARKED, State.RETIRED})


def kind_of(state: str) -> str:
    """Return what a state counts as in a picture: its status, or ``"off"`` if nobody wants it to run.

    Example:
        >>> kind_of("reconnecting"), kind_of("parked")
        ('disconnected', 'off')
    """
    known = State(state)
    return OFF if known in _ON_PURPOSE else STATUS[known].value
