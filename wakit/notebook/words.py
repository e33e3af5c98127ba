"""What a fleet, a session and a plan say about themselves: as text, and as HTML that needs no script.

The HTML is what GitHub, nbconvert and a mail show, where no kernel lives. It is a picture of one moment and says so.
Everything that came from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from types import MappingProxyType
from typing import Final

from wakit.control.schemas import SessionInfo
from wakit.core.actions import Action
from wakit.notebook.snapshot import Snapshot

SYMBOLS: Final[Mapping[str, str]] = MappingProxyType(
    {"connected": "●", "pending": "◌", "disconnected": "◐", "failed": "✕"}
)
_COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {"connected": "#1a7f37", "pending": "#8a5a00", "disconnected": "#a8480a", "failed": "#c01826"}
)
_SIGNS: Final[Mapping[str, str]] = MappingProxyType(
    {"create": "+", "restore": "+", "revive": "+", "retire": "-", "park": "-", "hold": "!"}
)
_OTHER: Final = "~"


def sign(action: Action) -> str:
    """Mark an action as Terraform does: what comes, what goes, what changes, what waits."""
    return sign_of(type(action).__name__.lower())


def sign_of(action: str) -> str:
    """Mark an action by its name.

    Example:
        >>> sign_of("create"), sign_of("restart")
        ('+', '~')
    """
    return _SIGNS.get(action, _OTHER)


def duration(length: timedelta) -> str:
    """Say a length of time in at most two units, as the board does.

    Example:
        >>> duration(timedelta(seconds=192))
        '3 min 12 s'
    """
    seconds = max(0, int(length.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds} s"
    if hours < 1:
        return f"{minutes} min {seconds % 60} s" if minutes < 10 else f"{minutes} min"  # noqa: PLR2004
    if hours < 48:  # noqa: PLR2004
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def count(sessions: Iterable[SessionInfo]) -> str:
    """Count sessions by status: ``"2 connected, 1 pending"``."""
    found: dict[str, int] = dict.fromkeys(SYMBOLS, 0)
    for session in sessions:
        found[session.status] += 1
    said = ", ".join(f"{n} {status}" for status, n in found.items() if n)
    return said or "no sessions declared"


def session_text(session: SessionInfo, now: datetime) -> str:
    """Describe one session in a line."""
    said = reason(session)
    state = session.state.replace("_", " ")
    return f"{SYMBOLS[session.status]} {session.name} {state} for {duration(now - session.since)}" + (
        f": {said}" if said else ""
    )


def reason(session: SessionInfo) -> str:
    """Say why a session is as it is, and why what is wanted of it is not done."""
    if not session.held or session.held in session.reason:
        return session.reason
    return f"{session.reason}; held: {session.held}" if session.reason else f"held: {session.held}"


def fleet_text(snapshot: Snapshot, now: datetime) -> str:
    """Describe the fleet: a headline, then a line a session."""
    lines = [_headline(snapshot)]
    lines += ["  " + session_text(session, now) for session in snapshot.sessions.values()]
    return "\n".join(lines)


def session_html(session: SessionInfo, now: datetime) -> str:
    """Describe one session as a table of one row."""
    return _table([session], f"{session.name}, {_moment(now)}", now)


def fleet_html(snapshot: Snapshot, now: datetime) -> str:
    """Describe the fleet as a static table that says when it was true."""
    return _table(snapshot.sessions.values(), f"{_headline(snapshot)}; {_moment(now)}", now)


def _headline(snapshot: Snapshot) -> str:
    said = f"Fleet of {len(snapshot.sessions)}: {count(snapshot.sessions.values())}"
    if not snapshot.reachable:
        return f"{said} when last seen; the daemon does not answer"
    return said


def _moment(now: datetime) -> str:
    return f"as of {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _table(sessions: Iterable[SessionInfo], caption: str, now: datetime) -> str:
    head = "".join(f'<th scope="col" style="text-align:left">{t}</th>' for t in ("Session", "State", "For", "Reason"))
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(s.name)}</th>'
        f'<td style="text-align:left;color:{_COLOURS[s.status]}">{SYMBOLS[s.status]} '
        f"{escape(s.state.replace('_', ' '))}</td>"
        f'<td style="text-align:left">{duration(now - s.since)}</td>'
        f'<td style="text-align:left">{escape(reason(s))}</td></tr>'
        for s in sessions
    )
    return (
        f'<table><caption style="text-align:left">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
