"""How far a fleet has come up: a bar where a table is drawn, a line a second where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from wakit.control.schemas import SessionInfo

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH: Final = 30
_EVERY: Final = 1.0  # seconds
_AT_REST: Final = frozenset({"parked", "retired"})


def wanted(session: SessionInfo) -> bool:
    """Tell whether a session should be connected."""
    return session.enabled and session.state not in _AT_REST


def words(sessions: Iterable[SessionInfo]) -> str:
    """Count the sessions that should be connected, by state.

    Example:
        >>> from datetime import datetime, UTC
        >>> def one(state): return SessionInfo(name="a", state=state, status="pending", since=datetime.now(UTC))
        >>> words([one("connected"), one("starting"), one("pairing"), one("starting")])
        '1 of 4 connected: 2 starting, 1 pairing'
    """
    states = Counter(session.state for session in sessions if wanted(session))
    connected = states.pop("connected", 0)
    others = ", ".join(f"{count} {state}" for state, count in states.most_common())
    told = f"{connected} of {connected + states.total()} connected"
    return f"{told}: {others}" if others else told


def bar(sessions: Iterable[SessionInfo]) -> RenderableType:
    """Return a bar with the counts by state; an empty line once everybody is connected, or where there is only one."""
    from rich.progress_bar import ProgressBar  # noqa: PLC0415 - a daemon that only writes lines does without rich
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    counted = [session for session in sessions if wanted(session)]
    connected = sum(session.state == "connected" for session in counted)
    if connected == len(counted) or len(counted) == 1:
        return Text()
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=_WIDTH)
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_row(ProgressBar(total=len(counted), completed=connected, width=_WIDTH), words(counted))
    return line


class Lines:
    """Says how far it has come, once a second at most, and when everybody is there.

    Args:
        say: Takes a line.
        clock: Monotonic seconds.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._missing: set[str] = set()
        self._sessions: dict[str, SessionInfo] = {}
        self._said_at: float | None = None

    def take(self, session: SessionInfo) -> None:
        """Note a session as it is now."""
        self._sessions[session.name] = session
        if wanted(session) and session.state != "connected":
            self._missing.add(session.name)
        else:
            self._missing.discard(session.name)

    def forget(self, name: str) -> None:
        """Note that a session is gone."""
        self._sessions.pop(name, None)
        self._missing.discard(name)

    def tell(self) -> None:
        """Say it, if it is time to; nothing is said of a fleet that is up, or of a single session."""
        if self._said_at is None and not self._missing:
            return
        now = self._clock()
        if self._missing and self._said_at is not None and now - self._said_at < _EVERY:
            return
        self._said_at = now if self._missing else None
        if len(self._sessions) > 1:
            self._say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {words(self._sessions.values())}")
