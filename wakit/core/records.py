"""What the journal keeps: events of sessions and daemons, and the declarations that were in force.

A record is a plain value made where something happened and handed to :mod:`wakit.journal`, which numbers it. It
carries everything a later question may need (the run, the declaration's revision, the git commit of the file), so that
one query tells which commit led to which outage.

Times are **timezone-aware**; a naive datetime is refused, because nobody can tell later whether it was local time. The
journal stores them as UTC without a zone (DuckDB's TIMESTAMPTZ needs pytz to come back to Python), and so do its views.

Records hold no number, JID, message, QR payload, pairing code or key. The journal checks by shape what is checkable,
but whoever makes a record answers for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value JSON can express."""

EventKind: TypeAlias = Literal[
    "state",  # a session went from state_from to state_to
    "plan",  # the plan in words, with the actions in detail
    "action",  # one action of a plan was carried out, or failed
    "declaration",  # a new declaration is in force, or a file was refused
    "qr",  # a QR code was shown (never its payload)
    "code",  # a pairing code was shown (never the code)
    "pair_started",
    "pair_failed",
    "dial",  # the relay let a dial through
    "try_failed",  # a try of a session's own failed: how many count against its budget of restarts is in detail
    "dial_failed",  # and why it failed, in words
    "worker_spawned",
    "worker_exit",  # with the cause in words
    "backup",  # a credential was backed up, with why
    "recovery",  # a backup was put in the place of a credential, with what was wrong
    "daemon_start",  # the first event of a run
    "daemon_stop",  # the last event of a run that ended in order
    "outage",  # the breaker opened: nobody gets through, or WhatsApp refuses this client (code says which); no session
    "outage_over",  # and closed again, with its seconds and sessions in detail
    "clock",  # the machine slept, or a clock was set
    "warning",
]
"""What kinds of event there are. A run is what one daemon process does between its start and its end."""

EVENT_KINDS: Final[frozenset[str]] = frozenset(get_args(EventKind))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event; the journal gives it its ``seq``.

    Args:
        ts: When it happened; timezone-aware.
        kind: What happened.
        run_id: The run of the daemon that saw it.
        session: The session's name; None for what concerns the whole fleet.
        state_from: For ``state``: the lifecycle state that was left; None for a session never seen before.
        state_to: For ``state``: the lifecycle state that was entered.
        reason: The cause, in words for people.
        code: The cause, in a word for programs (``stream_replaced``, ``401``).
        detail: What else is worth asking for; string leaves are scrubbed by shape, so times belong in seconds.
        worker_pid: The worker process concerned.
        declaration_rev: The revision in force (what ``Journal.declare`` returned).
        git_commit: The commit of the declaration's file.
        git_branch: Its branch.

    Raises:
        ValueError: The time is naive, the kind is unknown, or a ``state`` event lacks its session or ``state_to``.

    Example:
        >>> from datetime import UTC, datetime
        >>> event = EventRecord(
        ...     ts=datetime(2026, 1, 1, tzinfo=UTC), kind="state", run_id="r1",
        ...     session="sales", state_from="starting", state_to="connected",
        ... )
        >>> event.state_to
        'connected'
    """

    ts: datetime
    kind: EventKind
    run_id: str
    session: str | None = None
    state_from: str | None = None
    state_to: str | None = None
    reason: str = ""
    code: str | None = None
    detail: Mapping[str, JSON] = field(default_factory=dict)
    worker_pid: int | None = None
    declaration_rev: int | None = None
    git_commit: str | None = None
    git_branch: str | None = None

    def __post_init__(self) -> None:
        _require_aware(self.ts, "ts")
        if self.kind not in EVENT_KINDS:
            raise ValueError(f"{self.kind!r} is no kind of event")
        if self.kind == "state" and (self.session is None or self.state_to is None):
            raise ValueError("a state event names its session and the state it entered")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclarationRecord:
    """One declaration that came into force; the journal gives it its ``rev``.

    Args:
        sha256: Of the file's bytes, in hex; the same bytes as the newest revision are the same revision.
        loaded_at: When it came into force; timezone-aware.
        text: The file with its numbers masked.
        git_commit: The commit checked out, None outside a repository.
        git_branch: Its branch, None when detached.
        dirty: The file differs from that commit.

    Raises:
        ValueError: The time is naive.
    """

    sha256: str
    loaded_at: datetime
    text: str
    git_commit: str | None = None
    git_branch: str | None = None
    dirty: bool = False

    def __post_init__(self) -> None:
        _require_aware(self.loaded_at, "loaded_at")


def _require_aware(moment: datetime, name: str) -> None:
    if moment.utcoffset() is None:
        raise ValueError(f"{name} has no time zone; use datetime.now(UTC)")
