"""Whom a person means by a name, and whether what they ask for can be done with it: else the answer says why not."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from wakit.errors import ControlError, UnknownSessionError
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Tracked

_LISTED: Final = 12  # names that fit a hint


def known(roster: Roster, name: str) -> Tracked:
    """Return a session that people can see.

    Raises:
        UnknownSessionError: There is none; says who may have been meant.
    """
    tracked = roster.sessions.get(name)
    if tracked is None or not roster.is_shown(tracked):
        raise UnknownSessionError(f"There is no session {name!r}", hint=_perhaps(roster, name))
    return tracked


def _perhaps(roster: Roster, name: str) -> str:
    """Say who could have been meant; a fleet of hundreds is not listed."""
    names = [tracked.name for tracked in roster.shown()]
    if close := get_close_matches(name, names, n=3):
        return f"did you mean {' or '.join(close)}?"
    if len(names) <= _LISTED:
        return f"declared are: {', '.join(names) or 'none'}"
    return f"{len(names)} sessions are declared; see `wakit status`"


def declared(roster: Roster, name: str) -> Tracked:
    """Return a session of the file.

    Raises:
        ControlError: It left the file, or never was in it.
    """
    tracked = known(roster, name)
    if roster.declared(name) is None:
        raise ControlError(f"{name} is left as it is", why="it is no longer in the file", hint="see `wakit plan`")
    return tracked


def startable(roster: Roster, name: str) -> Tracked:
    """Return a session that may be started.

    Raises:
        ControlError: It is not in the file, not enabled, parked or held.
    """
    tracked = declared(roster, name)
    spec = roster.declared(name)
    if spec is None or not spec.enabled:
        raise ControlError(f"{name} is not started", why="it is not enabled", hint="set enabled = true in the file")
    if tracked.parked:
        raise ControlError(f"{name} is not started", why="it is parked", hint=f"run `wakit resume {name}` first")
    if tracked.held is not None:
        raise ControlError(f"{name} is not started", why=tracked.held, hint="mend the file; see `wakit plan`")
    return tracked
