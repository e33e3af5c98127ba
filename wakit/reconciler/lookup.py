"""Whom a person means by a name, and whether what they ask for can be done with it: else the answer says why not."""

from __future__ import annotations

from wakit.core.naming import perhaps
from wakit.errors import ControlError, UnknownSessionError
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Tracked


def known(roster: Roster, name: str) -> Tracked:
    """Return a session that people can see.

    Raises:
        UnknownSessionError: There is none; says who may have been meant.
    """
    tracked = roster.sessions.get(name)
    if tracked is None or not roster.is_shown(tracked):
        hint = perhaps(name, [each.name for each in roster.shown()], listed="see `wakit status`")
        raise UnknownSessionError(f"There is no session {name!r}", hint=hint)
    return tracked


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
