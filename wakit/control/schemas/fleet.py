"""The daemon, its sessions, and what it would do next: what is looked at."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from wakit.control.schemas.model import API_VERSION, Model


class DeclarationInfo(Model):
    """The declaration in force, and what is wrong with a newer one that is not."""

    path: str
    rev: int = 0
    sha256: str = ""
    loaded_at: datetime | None = None
    git_commit: str | None = None
    git_branch: str | None = None
    dirty: bool = False
    error: str | None = Field(default=None, description="Why the file as it is now is not in force")
    hint: str | None = None
    warnings: list[str] = Field(default=[])


class UpgradeInfo(Model):
    """What runs is not what is installed now: wakit or neonize was upgraded under a running daemon."""

    installed: str = Field(description="What is installed now, in words")
    daemon: str = Field(default="", description='In which way the daemon itself is another; "" if it is the same')
    workers: int = Field(default=0, description="How many workers run another release")
    under_way: bool = Field(default=False, description="They are being replaced, one at a time")
    replaced: int = Field(default=0, description="How many were, since `wakit up` asked for it")
    waiting: list[str] = Field(default=[], description="Who is being paired in an older worker, which has to wait")
    problem: str = Field(default="", description="Why the replacing ended before everybody was replaced")


class OutageInfo(Model):
    """What keeps the whole fleet from WhatsApp."""

    trouble: Literal["network", "service", "outdated"]
    since: datetime
    reason: str
    sessions: int = Field(description="How many it hit so far")
    probing: str | None = Field(default=None, description="The session that is let through to find out")
    next_probe_at: datetime | None = None


class DaemonInfo(Model):
    """The process that serves."""

    pid: int
    run_id: str
    version: str
    api: int = API_VERSION
    started_at: datetime
    state_dir: str
    socket: str
    sim: bool = False
    declaration: DeclarationInfo
    journal_ok: bool = True
    stuck_queries: int = Field(default=0, description="Queries that were told to stop and still run; they hold memory")
    converged: bool = Field(default=False, description="Nothing to do, and every enabled session is connected")
    upgrade: UpgradeInfo | None = Field(default=None, description="None while everything runs what is installed")
    ending: str | None = Field(default=None, description="What a daemon that was asked to end still waits for")
    outage: OutageInfo | None = Field(default=None, description="Why nobody gets through to WhatsApp")


class SessionInfo(Model):
    """One session as people and scripts see it."""

    name: str
    state: str
    status: Literal["pending", "connected", "disconnected", "failed"]
    since: datetime
    reason: str = ""
    worker_pid: int | None = None
    attempt: int = 0
    next_try_at: datetime | None = None
    enabled: bool = True
    paired: bool = False
    account: str | None = Field(default=None, description="Keyed hash of the account, never its number")
    pairing: Literal["qr", "code"] = "qr"
    labels: dict[str, str] = Field(default={})
    last_connected_at: datetime | None = None
    last_seen_at: datetime | None = Field(default=None, description="When the last byte of WhatsApp came")
    phone_seen_at: datetime | None = Field(default=None, description="When its phone was last known to be online")
    stale: bool = Field(default=False, description="Its worker fell silent, and no new client has logged in yet")
    restarts: int = Field(default=0, description="Clients the daemon has started for it after the first")
    needs_person: bool = Field(
        default=False, description="Nothing more happens until a person acts, or something bad will unless one does"
    )
    held: str | None = Field(default=None, description="Why a wanted action is not carried out")


class StatusInfo(Model):
    """``wakit status --json``."""

    daemon: DaemonInfo
    sessions: list[SessionInfo]


class ActionInfo(Model):
    """One planned action."""

    action: Literal["create", "restore", "restart", "park", "retire", "revive", "rename", "hold"]
    session: str
    reason: str
    text: str = Field(description="The action in one line")


class PlanInfo(Model):
    """``wakit plan --json``."""

    actions: list[ActionInfo]
    waiting: dict[str, str] = Field(default={}, description="Sessions that wait, and for what")
    held: dict[str, str] = Field(default={}, description="What is not carried out until a person acts, and why")
    hints: dict[str, str] = Field(default={}, description="What ends each hold")
    declaration: DeclarationInfo


class Readiness(Model):
    """``GET /readyz``."""

    ready: bool
    why: str = Field(default="", description="Why not, or what is not as it should be all the same")


class Counters(Model):
    """What only ever grows in a run, and how much the journal still has to write; for ``GET /metrics``."""

    events_logged: int = 0
    journal_queue: int = 0
    worker_exits: int = Field(default=0, description="Workers that ended, however many sessions were aboard")
