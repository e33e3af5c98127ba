"""The live feed, frame by frame, and what its frames carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from wakit.control.schemas.fleet import DaemonInfo, SessionInfo
from wakit.control.schemas.model import Model


class PairingShown(Model):
    """A QR or a code that is valid now. Secret: shown to a person, never stored."""

    session: str
    event: Literal["qr", "code"]
    payload: str | None = Field(default=None, repr=False)
    code: str | None = Field(default=None, repr=False)
    expires_at: datetime


class EventInfo(Model):
    """One row of the journal."""

    seq: int
    ts: datetime
    session: str | None = None
    kind: str
    state_from: str | None = None
    state_to: str | None = None
    reason: str | None = None
    code: str | None = None
    detail: dict[str, Any] | None = None
    worker_pid: int | None = None
    run_id: str | None = None
    declaration_rev: int | None = None
    git_commit: str | None = None
    git_branch: str | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the journal's table, whose times are UTC without a zone and whose detail is JSON text.

        Example:
            >>> row = {"seq": 1, "ts": datetime(2026, 1, 1), "kind": "warning", "detail": '{"first":1}'}
            >>> EventInfo.of_row(row).detail
            {'first': 1}
        """
        known = {
            **row,
            "ts": row["ts"].replace(tzinfo=UTC),
            "detail": json.loads(row.get("detail") or "null") or None,
            "reason": row.get("reason") or None,
        }
        return cls.model_validate(known)


class JournalInfo(Model):
    """``GET /v1/journal``: what is durable, from memory; what a copy of the journal asks before every question."""

    opening: str = Field(description="Another one each time the daemon opens the file: ask for everything by SQL then")
    seq: int = Field(description="The newest event")
    rev: int = Field(description="The newest declaration")
    pulses: dict[str, datetime] = Field(description="The newest sign of life of each run since the opening")
    events: list[EventInfo] | None = Field(description="Those after `since`; null if they are too many: ask by SQL")


class Hello(Model):
    """First live frame: everything as it is."""

    type: Literal["hello"] = "hello"
    seq: int
    daemon: DaemonInfo
    sessions: list[SessionInfo]


class SessionChanged(Model):
    """A session as it is now; several changes in a row may arrive as one."""

    type: Literal["session"] = "session"
    session: SessionInfo


class SessionGone(Model):
    """A session is no longer shown: retired and out of the file."""

    type: Literal["gone"] = "gone"
    name: str


class DaemonChanged(Model):
    """The daemon's own record changed: a new declaration, an error in the file, convergence."""

    type: Literal["daemon"] = "daemon"
    daemon: DaemonInfo


class EventLogged(Model):
    """A journal event that is durable."""

    type: Literal["event"] = "event"
    event: EventInfo


class PairingFrame(Model):
    """Only on a stream that asked for this session's pairing: a QR, a code, or that nothing is to be shown any more."""

    type: Literal["pairing"] = "pairing"
    session: str
    shown: PairingShown | None


class Gap(Model):
    """The reader was too slow: these events were left out of the stream; ask for them by SQL."""

    type: Literal["gap"] = "gap"
    first: int
    last: int


LiveFrame = Annotated[
    Hello | SessionChanged | SessionGone | DaemonChanged | EventLogged | PairingFrame | Gap,
    Field(discriminator="type"),
]


class Disconnected(Model):
    """Made by the client, never by the daemon: the live stream is broken and will be tried again in ``retry_in`` s."""

    type: Literal["disconnected"] = "disconnected"
    reason: str
    retry_in: float
