"""The one answer to a name that no session has."""

from __future__ import annotations

from collections.abc import Iterable

from wakit.core.naming import perhaps
from wakit.errors import UnknownSessionError


class NoSuchSessionError(UnknownSessionError, KeyError):
    """No session of that name; also a KeyError, because that is what a mapping promises."""


def no_such_session(
    name: object, known: Iterable[str], *, listed: str, what: str = "declared", otherwise: str = ""
) -> NoSuchSessionError:
    """Return the error for a name, with the ones that may have been meant.

    Args:
        name: What was asked for.
        known: The names there are.
        listed: Where they are listed, if they are too many for a hint.
        what: What they are.
        otherwise: What to do if none of them was meant.

    Example:
        >>> no_such_session("slaes", ["sales", "support"], listed="see the board").hint
        'did you mean sales?'
    """
    hint = perhaps(name if isinstance(name, str) else "", known, listed=listed, what=what)
    if otherwise and not hint.startswith("did you mean"):
        hint = f"{hint}; {otherwise}"
    return NoSuchSessionError(f"No session is called {name!r}", hint=hint)
