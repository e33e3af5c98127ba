"""Whom a person means by a name that nobody has: one sentence for the file, the daemon and the notebook."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_LISTED: Final = 12  # names that fit a hint
_LONGEST: Final = 64  # characters of a name that are compared; a session's has at most 63


def perhaps(name: str, known: Iterable[str], *, listed: str, what: str = "declared") -> str:
    """Say who may have been meant, else who there is; a fleet of hundreds is not listed.

    Args:
        name: What was asked for.
        known: The names there are.
        listed: Where they are listed, if they are too many for a hint.
        what: What they are.

    Example:
        >>> perhaps("Slaes", ["sales", "support"], listed="see `wakit status`")
        'did you mean sales?'
        >>> perhaps("x", ["sales", "support"], listed="see `wakit status`")
        'declared are sales, support'
        >>> perhaps("x", map(str, range(500)), listed="see `wakit status`")
        '500 sessions are declared; see `wakit status`'
    """
    names = list(known)
    if close := get_close_matches(name.lower()[:_LONGEST], names, n=3):
        return f"did you mean {' or '.join(close)}?"
    if len(names) <= _LISTED:
        return f"{what} are {', '.join(names) or 'none'}"
    return f"{len(names)} sessions are {what}; {listed}"
