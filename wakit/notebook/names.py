"""The one answer to a name that no session has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from wakit.errors import UnknownSessionError

_LISTED: Final = 12  # names that fit a hint


class NoSuchSessionError(UnknownSessionError, KeyError):
    """No session of that name; also a KeyError, because that is what a mapping promises."""


def no_such_session(name: object, known: Iterable[str], *, otherwise: str = "") -> NoSuchSessionError:
    """Return the error for a name, with the ones that may have been meant.

    Args:
        name: What was asked for.
        known: The names there are.
        otherwise: What to do if none of them was meant.

    Example:
        >>> no_such_session("slaes", ["sales", "support"]).hint
        "did you mean 'sales'?"
    """
    names = list(known)
    near = get_close_matches(name.lower(), names, n=3) if isinstance(name, str) else []
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    else:
        listed = f"there are {', '.join(names)}" if 0 < len(names) <= _LISTED else ""
        hint = "; ".join(part for part in (listed, otherwise) if part)
    return NoSuchSessionError(f"No session is called {name!r}", hint=hint)
