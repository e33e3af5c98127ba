"""What the daemon remembers of one session while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wakit.control.schemas import PairingShown, SessionInfo
from wakit.core.declaration import Pairing, SessionSpec
from wakit.core.lifecycle import STATUS, State
from wakit.core.observation import Credential, Request, SessionObservation
from wakit.redact import PhoneNumber, Secret


@dataclass(frozen=True, slots=True)
class Shown:
    """A QR or a code that is valid until ``expires_at``."""

    kind: Pairing
    text: Secret
    expires_at: datetime


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
    worker_id: str | None = None
    worker_pid: int | None = None
    running: str | None = None
    attempt: int = 0
    next_try_at: datetime | None = None
    waits_for_person: bool = False
    parked: bool = False
    held: str | None = None
    request: Request | None = None
    method: Pairing | None = None
    phone: PhoneNumber | None = None
    shown: Shown | None = None
    dial_failure: str = ""
    last_connected_at: datetime | None = None
    alone: bool = False  # it was aboard when a worker crashed: a worker of its own until it has proved itself
    leaving: str | None = None  # why it has to leave its worker as soon as the action under way ends
    busy: bool = False  # an action on it is under way; the planner's word has to wait

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
        )

    def info(self, now: datetime) -> SessionInfo:
        """Return what people see; a pause is told in seconds from ``now``."""
        spec = self.spec
        reason = self.reason
        if self.held is not None and self.held not in reason:
            reason = f"{reason}; held: {self.held}" if reason else f"held: {self.held}"
        if self.next_try_at is not None and self.running is None:
            pause = max(0.0, (self.next_try_at - now).total_seconds())
            reason = f"{reason}; next try in {pause:.0f} s"
        return SessionInfo(
            name=self.name,
            state=self.state.value,
            status=STATUS[self.state].value,
            since=self.since,
            reason=reason,
            worker_pid=self.worker_pid,
            attempt=self.attempt,
            next_try_at=self.next_try_at,
            enabled=spec.enabled if spec else False,
            paired=self.credential is Credential.PRESENT,
            account=self.account,
            pairing=spec.pairing.value if spec else "qr",
            labels=dict(spec.labels) if spec else {},
            last_connected_at=self.last_connected_at,
            needs_person=self.waits_for_person or self.state is State.HELD or self.shown is not None,
            held=self.held,
        )

    def pairing_shown(self, now: datetime) -> PairingShown | None:
        """Return what can be scanned or typed now."""
        shown = self.shown
        if shown is None or shown.expires_at <= now:
            return None
        text = shown.text.reveal()
        if shown.kind is Pairing.QR:
            return PairingShown(session=self.name, event="qr", payload=text, expires_at=shown.expires_at)
        return PairingShown(session=self.name, event="code", code=text, expires_at=shown.expires_at)
