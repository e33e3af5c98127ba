"""The fleet as the live stream last told it: one frozen value that any thread may read.

The stream begins with a :class:`Hello` that says everything and goes on with what changes. :func:`follow` folds a frame
into a snapshot. Sessions that did not change stay the very same objects, so a reader finds what did by identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, assert_never

from wakit.control.schemas import (
    DaemonChanged,
    DaemonInfo,
    EventLogged,
    Gap,
    Hello,
    LiveFrame,
    PairingFrame,
    SessionChanged,
    SessionGone,
    SessionInfo,
)

_NOTHING: Final[Mapping[str, SessionInfo]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known about the fleet at one moment.

    Attributes:
        sessions: By name, in the declaration's order.
        daemon: The daemon's own record; None before the first ``Hello``.
        reachable: False while the stream is broken; the rest is then what was last known.
        trouble: Why it is broken, in words.
        newest_event: ``seq`` of the newest journal event the stream has told of.
    """

    sessions: Mapping[str, SessionInfo] = field(default_factory=lambda: _NOTHING)
    daemon: DaemonInfo | None = None
    reachable: bool = False
    trouble: str = ""
    newest_event: int = 0


def follow(snapshot: Snapshot, frame: LiveFrame) -> Snapshot:
    """Return the snapshot after ``frame``; the same object if the frame says nothing about the fleet.

    Example:
        >>> follow(Snapshot(), SessionGone(name="sales")).sessions
        mappingproxy({})
    """
    match frame:
        case Hello():
            # A hello after a broken stream repeats what did not change; keeping equal objects keeps readers quiet.
            old = snapshot.sessions
            told = {s.name: kept if (kept := old.get(s.name)) == s and kept else s for s in frame.sessions}
            return Snapshot(MappingProxyType(told), frame.daemon, reachable=True, newest_event=frame.seq)
        case SessionChanged(session=session):
            if snapshot.sessions.get(session.name) == session:
                return snapshot
            return replace(snapshot, sessions=MappingProxyType({**snapshot.sessions, session.name: session}))
        case SessionGone(name=gone):
            left = {name: session for name, session in snapshot.sessions.items() if name != gone}
            return replace(snapshot, sessions=MappingProxyType(left))
        case DaemonChanged(daemon=daemon):
            return replace(snapshot, daemon=daemon)
        case EventLogged(event=event):
            return replace(snapshot, newest_event=max(snapshot.newest_event, event.seq))
        case Gap(last=last):
            return replace(snapshot, newest_event=max(snapshot.newest_event, last))
        case PairingFrame():
            return snapshot  # a secret for one widget, none of the fleet's business
        case _:
            assert_never(frame)


def lost(snapshot: Snapshot, trouble: str) -> Snapshot:
    """Return the snapshot of a fleet whose daemon cannot be reached: what was known, marked as old."""
    return replace(snapshot, reachable=False, trouble=trouble)
