"""What travels over the control socket, version 1: the stable JSON that scripts may rely on.

Fields are only ever added within a version. Times are UTC, ISO 8601 with ``Z``. No field holds a phone number or a key;
only :class:`PairingShown` holds a secret, and only ``GET …/qr`` and a live stream that asked for it carry it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from wakit.redact import PhoneNumber

API_VERSION = 1
NAME_RULE = "a name is small letters, digits, - and _, begins with a letter or digit, and has at most 63 of them"


class _Model(BaseModel):
    # Built at first use: a command pays only for the models it needs. An input is never repeated in an error: it may be
    # a phone number.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, hide_input_in_errors=True)


class _Request(_Model):
    # FastAPI wraps a body's model in an adapter of its own, which pydantic cannot build late without a warning.
    model_config = ConfigDict(defer_build=False)


class DeclarationInfo(_Model):
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
    warnings: list[str] = []


class UpgradeInfo(_Model):
    """What runs is not what is installed now: wakit or neonize was upgraded under a running daemon."""

    installed: str = Field(description="What is installed now, in words")
    daemon: str = Field(default="", description='In which way the daemon itself is another; "" if it is the same')
    workers: int = Field(default=0, description="How many workers run another release")
    under_way: bool = Field(default=False, description="They are being replaced, one at a time")
    replaced: int = Field(default=0, description="How many were, since `wakit up` asked for it")
    waiting: list[str] = Field(default=[], description="Who is being paired in an older worker, which has to wait")
    problem: str = Field(default="", description="Why the replacing ended before everybody was replaced")


class OutageInfo(_Model):
    """What keeps the whole fleet from WhatsApp."""

    trouble: Literal["network", "service", "outdated"]
    since: datetime
    reason: str
    sessions: int = Field(description="How many it hit so far")
    probing: str | None = Field(default=None, description="The session that is let through to find out")
    next_probe_at: datetime | None = None


class DaemonInfo(_Model):
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


class SessionInfo(_Model):
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
    labels: dict[str, str] = {}
    last_connected_at: datetime | None = None
    last_seen_at: datetime | None = Field(default=None, description="When the last byte of WhatsApp came")
    phone_seen_at: datetime | None = Field(default=None, description="When its phone was last known to be online")
    stale: bool = Field(default=False, description="Its worker fell silent, and no new client has logged in yet")
    restarts: int = Field(default=0, description="Clients the daemon has started for it after the first")
    needs_person: bool = Field(
        default=False, description="Nothing more happens until a person acts, or something bad will unless one does"
    )
    held: str | None = Field(default=None, description="Why a wanted action is not carried out")


class StatusInfo(_Model):
    """``wakit status --json``."""

    daemon: DaemonInfo
    sessions: list[SessionInfo]


class ActionInfo(_Model):
    """One planned action."""

    action: Literal["create", "restore", "restart", "park", "retire", "revive", "rename", "hold"]
    session: str
    reason: str
    text: str = Field(description="The action in one line")


class PlanInfo(_Model):
    """``wakit plan --json``."""

    actions: list[ActionInfo]
    waiting: dict[str, str] = Field(default={}, description="Sessions that wait, and for what")
    held: dict[str, str] = Field(default={}, description="What is not carried out until a person acts, and why")
    hints: dict[str, str] = Field(default={}, description="What ends each hold")
    declaration: DeclarationInfo


class PairRequest(_Request):
    """``POST …/pair``: pair now, because a person asks. ``method`` and ``phone`` override the file for this once."""

    method: Literal["qr", "code"] | None = None
    phone: str | None = Field(default=None, repr=False)

    @field_validator("phone")
    @classmethod
    def _is_a_number(cls, phone: str | None) -> str | None:
        return None if phone is None else PhoneNumber(phone).reveal()


class BackupInfo(_Model):
    """One backup of a session's credential."""

    id: str = Field(description="Name of its folder, as `restore` takes it; begins with its time (UTC)")
    created_at: datetime | None = Field(default=None, description="None if its manifest cannot be read")
    why: str = Field(default="", description="What it was taken for")
    size: int = Field(default=0, description="Bytes of the database")
    sealed: bool = Field(default=False, description="Encrypted; an identity is needed to put it back")
    problem: str = Field(default="", description='Why it is not offered; "" for one that is good as far as is known')


class BackupList(_Model):
    """``GET …/backups``: newest first."""

    session: str
    backups: list[BackupInfo]


class BackupTaken(_Model):
    """``POST …/backup``."""

    session: str
    new: bool = Field(description="False if nothing had changed since the newest good one, which is given then")
    backup: BackupInfo


class PingInfo(_Model):
    """``POST …/ping``: whether WhatsApp answered the session just now."""

    session: str
    alive: bool
    seconds: float | None = Field(default=None, description="From the question to the answer")
    why: str = Field(default="", description='Why it is not alive; "" if it is')


class RestoreRequest(_Request):
    """``POST …/restore``: put a backup in the place of the credential in use, which is kept as evidence."""

    backup: str | None = Field(default=None, description="Its id; the newest good one if none is named")


class RestartRequest(_Request):
    """``POST …/restart``; ``take_over`` has the credential go on here although it was used elsewhere since."""

    take_over: bool = False


class ApplyRequest(_Request):
    """``POST /v1/apply``."""

    confirm: bool = False


class LogLines(_Model):
    """``GET …/logs``: the last lines of a session's log, oldest first; each is one JSON object."""

    session: str
    lines: list[str]


class Readiness(_Model):
    """``GET /readyz``."""

    ready: bool
    why: str = Field(default="", description="Why not, or what is not as it should be all the same")


class Counters(_Model):
    """What only ever grows in a run, and how much the journal still has to write; for ``GET /metrics``."""

    events_logged: int = 0
    journal_queue: int = 0
    worker_exits: int = 0


class SqlRequest(_Request):
    """``POST /v1/sql``: one read-only SELECT; the answer is an Arrow IPC stream."""

    query: str
    params: list[Any] | None = None
    timeout: Annotated[float, Field(gt=0, le=300)] = 30.0
    max_rows: Annotated[int, Field(gt=0)] = 1_000_000


class PairingShown(_Model):
    """A QR or a code that is valid now. Secret: shown to a person, never stored."""

    session: str
    event: Literal["qr", "code"]
    payload: str | None = Field(default=None, repr=False)
    code: str | None = Field(default=None, repr=False)
    expires_at: datetime


class EventInfo(_Model):
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


class Hello(_Model):
    """First live frame: everything as it is."""

    type: Literal["hello"] = "hello"
    seq: int
    daemon: DaemonInfo
    sessions: list[SessionInfo]


class SessionChanged(_Model):
    """A session as it is now; several changes in a row may arrive as one."""

    type: Literal["session"] = "session"
    session: SessionInfo


class SessionGone(_Model):
    """A session is no longer shown: retired and out of the file."""

    type: Literal["gone"] = "gone"
    name: str


class DaemonChanged(_Model):
    """The daemon's own record changed: a new declaration, an error in the file, convergence."""

    type: Literal["daemon"] = "daemon"
    daemon: DaemonInfo


class EventLogged(_Model):
    """A journal event that is durable."""

    type: Literal["event"] = "event"
    event: EventInfo


class PairingFrame(_Model):
    """Only on a stream that asked for this session's pairing: a QR, a code, or that nothing is to be shown any more."""

    type: Literal["pairing"] = "pairing"
    session: str
    shown: PairingShown | None


class Gap(_Model):
    """The reader was too slow: these events were left out of the stream; ask for them by SQL."""

    type: Literal["gap"] = "gap"
    first: int
    last: int


LiveFrame = Annotated[
    Hello | SessionChanged | SessionGone | DaemonChanged | EventLogged | PairingFrame | Gap,
    Field(discriminator="type"),
]


class Disconnected(_Model):
    """Made by the client, never by the daemon: the live stream is broken and will be tried again in ``retry_in`` s."""

    type: Literal["disconnected"] = "disconnected"
    reason: str
    retry_in: float


class LocationInfo(_Model):
    """A place in a file, counted from 1; 0 means unknown."""

    path: str
    line: int = 0
    column: int = 0


class ErrorInfo(_Model):
    """Every refusal: what, why, how to mend, and the kind of error as in :mod:`wakit.errors`."""

    error: str
    what: str
    why: str = ""
    hint: str = ""
    location: LocationInfo | None = Field(default=None, description="Where in the file, for a DeclarationError")
    key: str = Field(default="", description="Which key, for a DeclarationError")
