"""What the daemon remembers of one session while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wakit.control.schemas import PairingShown, SessionInfo
from wakit.core.declaration import Pairing, SessionSpec
from wakit.core.lifecycle import STATUS, State
from wakit.core.observation import UNUSABLE, Credential, Request, SessionObservation
from wakit.core.phone import PhoneMemory
from wakit.core.release import UNKNOWN, Release
from wakit.core.restarts import Failures
from wakit.redact import PhoneNumber, Secret
from wakit.vault.vault import Finding

# States in which a client that is not linked yet is on its way to show a code, or shows one.
_PAIRING: Final = frozenset({State.STARTING, State.PAIRING, State.RECONNECTING})
# States in which a pause that still runs is nobody's concern.
_AT_REST: Final = frozenset({State.PARKED, State.HELD, State.RETIRED})
# States in which a session may be stale: nobody knows how it is until its next client has logged in.
_NOT_KNOWN: Final = frozenset({State.STARTING, State.RECONNECTING})


@dataclass(frozen=True, slots=True)
class Shown:
    """A QR or a code that is valid until ``expires_at``."""

    kind: Pairing
    text: Secret
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """Why a session that was in service is started anew; its next start says so.

    Attributes:
        why: In words, for the journal.
        code: In a word for programs; the view ``incidents`` leaves out what is ``moved``.
    """

    why: str
    code: str = ""


MOVED: Final = "moved"


@dataclass(slots=True)
class Tracked:
    """One session: what the planner sees of it, and what people see of it."""

    name: str
    since: datetime
    spec: SessionSpec | None = None
    state: State = State.DECLARED
    reason: str = ""
    credential: Credential = Credential.ABSENT
    account: str | None = None
    paired_at: datetime | None = None
    former: tuple[str, ...] = ()  # the names its credential had before, the latest last
    worker_id: str | None = None
    worker_pid: int | None = None
    running: str | None = None
    attempt: int = 0
    next_try_at: datetime | None = None
    waits_for_person: bool = False
    parked: bool = False
    held: str | None = None
    why_waits: str = ""  # the words of the verdict that made it wait for a person
    request: Request | None = None  # what a person asked for and no action has taken up yet
    asked: bool = False  # the pairing under way was asked for, so it may be begun anew if its start fails
    method: Pairing | None = None  # how to pair this time, if not as the file says; with the number for a code
    phone: PhoneNumber | None = None
    shown: Shown | None = None
    dial_failure: str = ""
    last_connected_at: datetime | None = None
    healthy_at: datetime | None = None  # when it was last known to be connected, in this run or an earlier one
    in_line: bool = False  # it waits for its turn to dial
    turn_at: datetime | None = None  # when its last turn to dial came
    dialled_at: datetime | None = None  # when its last dial went out
    dialling: bool = False  # and nothing has come of it yet
    quarantine: str | None = None  # it was aboard of a crash: until it has proved itself it shares with these only
    blamed_at: datetime | None = None  # when it was found to be the culprit of a crash
    release: Release = UNKNOWN  # what its worker was started from
    stopping: bool = False  # it is being taken out of its worker: that its connection ends is meant
    planned: Planned | None = None  # why its client was ended, if it is to be started again at once
    leaving: str | None = None  # why it has to leave its worker as soon as the action under way ends
    hindered: bool = False  # its last start failed for a reason that is not its own
    busy: bool = False  # an action on it is under way; the planner's word has to wait
    failures: Failures = field(default_factory=Failures)  # what counts against its budget of restarts
    entrusted_at: datetime | None = None  # since when somebody else should bring it on
    by_start: bool = False  # and whether that began with a start
    keepalive_errors: int = 0  # pings in a row that the library told to be unanswered
    last_seen_at: datetime | None = None  # the last byte of WhatsApp, as the relay saw it
    byte_at: datetime | None = None  # the same, without standstills that were forgiven
    told_seen_at: datetime | None = None  # and what live readers know of that
    stale: bool = False  # its worker fell silent, and no client of it has logged in since
    starts: int = 0  # clients of it that this daemon began to start
    tried_anew_at: datetime | None = None  # when its client was replaced last because it was deaf
    handset: PhoneMemory | None = None  # when the phone it is linked to was seen
    warning: str = ""  # what is not wrong yet, but will be if nobody looks after it
    not_before: datetime | None = None  # an action on it failed: none is begun before this moment

    def wait_for_person(self, why: str) -> None:
        """Start it no more until a person asks."""
        self.waits_for_person, self.why_waits, self.next_try_at, self.planned = True, why, None, None

    def begin(self) -> None:
        """Forget what is over once it is started: the wait, the pause, and why an earlier try failed."""
        self.hindered = False
        self.waits_for_person, self.why_waits, self.next_try_at, self.dial_failure = False, "", None, ""

    def end_pairing(self) -> None:
        """Forget how a pairing was asked for, unless a person asked again meanwhile."""
        self.asked = False
        if self.request is not Request.PAIR:
            self.method = self.phone = None

    def ask_again(self) -> None:
        """Take a pairing that did not get far enough for what it was: still asked for, unless the file parks it."""
        if self.asked:
            wanted = self.spec is None or self.spec.enabled
            self.asked, self.request = False, self.request or (Request.PAIR if wanted else None)

    def heard(self, at: datetime) -> datetime:
        """Note that WhatsApp was heard at a moment; return the newest such moment."""
        if self.last_seen_at is None or at > self.last_seen_at:
            self.last_seen_at = at
        return self.last_seen_at

    @property
    def heard_at(self) -> datetime | None:
        """When WhatsApp was heard on its connection last, as far as is known."""
        return max((at for at in (self.byte_at, self.last_connected_at) if at is not None), default=None)

    def leave_worker(self) -> None:
        """Forget the worker; it is gone."""
        self.worker_id = self.worker_pid = self.running = self.shown = self.leaving = None
        self.dialling = False

    @property
    def pairs(self) -> bool:
        """Whether a client of it is on its way to show a code, or shows one."""
        ended = self.waits_for_person or self.next_try_at is not None
        unlinked = self.credential is not Credential.PRESENT
        return self.running is not None and unlinked and self.state in _PAIRING and not ended

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is left of it, here or on disk, that anybody could come back to."""
        unused = self.credential is Credential.ABSENT and self.worker_id is None and not self.busy
        return unused and self.state is State.RETIRED and self.request is None and not self.waits_for_person

    def remember(self, finding: Finding) -> None:
        """Take over what the vault found."""
        self.credential = finding.credential
        self.account = finding.record.account
        self.paired_at = finding.record.paired_at
        self.handset = finding.record.phone
        self.former = finding.record.former
        if self.request is Request.RESTART and self.credential in UNUSABLE:
            self.request = None  # there is nothing left to restart; only pairing anew helps

    def take_over(self, source: Tracked) -> None:
        """Take over what is true of another session's credential, which is this one's now."""
        self.request, self.asked = None, False  # what was asked for was about the name while it was empty
        self.waits_for_person, self.why_waits = source.waits_for_person, source.why_waits
        self.next_try_at, self.attempt, self.hindered = source.next_try_at, source.attempt, source.hindered
        self.parked, self.last_connected_at = source.parked, source.last_connected_at
        self.blamed_at, source.blamed_at = source.blamed_at, None
        self.handset, source.handset, source.warning = source.handset, None, ""
        source.planned = None
        self.healthy_at = source.healthy_at
        source.credential, source.account, source.paired_at = Credential.ABSENT, None, None
        source.former = ()
        source.request, source.held, source.parked = None, None, False
        source.begin()
        source.end_pairing()

    def observed(self) -> SessionObservation:
        """Return what the planner needs."""
        return SessionObservation(
            name=self.name,
            state=self.state,
            credential=self.credential,
            account=self.account,
            running=self.running,
            next_try_at=self.next_try_at,
            waits_for_person=self.waits_for_person,
            parked=self.parked,
            held=self.held,
            request=self.request,
            paired_at=self.paired_at,
            healthy_at=self.healthy_at,
            last_spec=self.spec,
            former=self.former,
        )

    def info(self, now: datetime) -> SessionInfo:
        """Return what people see; a pause is told in seconds from ``now``."""
        spec = self.spec
        reason = self.reason
        if self.held is not None and self.held not in reason:
            reason = f"{reason}; held: {self.held}" if reason else f"held: {self.held}"
        pause_end = max(
            (end for end in (self.next_try_at, self.not_before) if end is not None and end > now), default=None
        )
        if pause_end is not None and self.running is None and self.state not in _AT_REST:
            reason = f"{reason}; next try in {(pause_end - now).total_seconds():.0f} s"
        if self.warning:
            reason = f"{reason}; {self.warning}" if reason else self.warning
        return SessionInfo(
            name=self.name,
            state=self.state.value,
            status=STATUS[self.state].value,
            since=self.since,
            reason=reason,
            worker_pid=self.worker_pid,
            attempt=0 if self.state in _AT_REST else self.attempt,
            next_try_at=None if self.state in _AT_REST else self.next_try_at,
            enabled=spec.enabled if spec else False,
            paired=self.credential is Credential.PRESENT,
            account=self.account,
            pairing=spec.pairing.value if spec else "qr",
            labels=dict(spec.labels) if spec else {},
            last_connected_at=self.last_connected_at,
            last_seen_at=self.last_seen_at,
            phone_seen_at=self.handset.seen_at if self.handset else None,
            stale=self.stale and self.state in _NOT_KNOWN,
            restarts=max(0, self.starts - 1),
            needs_person=self._needs_person(),
            held=self.held,
        )

    def _needs_person(self) -> bool:
        # What was linked once and cannot be used now is started by nobody but a person, whatever became of the verdict.
        lost = self.credential in UNUSABLE and self.state not in _AT_REST
        stuck = lost and self.running is None and self.request is None
        if self.warning:
            return True
        return self.waits_for_person or self.state is State.HELD or self.shown is not None or stuck

    def pairing_shown(self, now: datetime) -> PairingShown | None:
        """Return what can be scanned or typed now."""
        shown = self.shown
        if shown is None or shown.expires_at <= now:
            return None
        text = shown.text.reveal()
        if shown.kind is Pairing.QR:
            return PairingShown(session=self.name, event="qr", payload=text, expires_at=shown.expires_at)
        return PairingShown(session=self.name, event="code", code=text, expires_at=shown.expires_at)
