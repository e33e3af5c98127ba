"""A month in the life of a fleet that never was: what a journal would hold of it, from a seed.

For learning to ask a journal, and for trying analyses: no data is shipped, the same seed gives the same month. Every
change of state is made by the lifecycle table, as in the daemon, so nothing happens here that could not happen there.

The month has a story. Most of it is everyday: a connection lost for seconds, a worker that crashes, a phone that is
linked at the second attempt. Apart from that there is one night without the network, one session that is unlinked by
its phone, one that is banned for a day, and one bad Tuesday: a commit gave the sessions of one team a proxy that does
not answer, and another commit took it back.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from wakit.core.lifecycle import TRANSITIONS, Happening, State, follow
from wakit.core.records import JSON, DeclarationRecord, EventKind, EventRecord

Record: TypeAlias = EventRecord | DeclarationRecord

FIRST_DAY: Final = datetime(2026, 9, 28, tzinfo=UTC)
"""A Monday."""
DAYS: Final = 30
TEAMS: Final = {"emea": 5, "apac": 4, "shop": 3}
"""How many sessions each team has; they are called ``emea-1`` and so on."""
_CRASHES: Final = (4, 13, 22)  # days
_SECOND: Final = timedelta(seconds=1)


@dataclass(slots=True)
class _Edit:
    """A revision of sessions.toml."""

    rev: int
    commit: str
    branch: str = "main"


@dataclass(slots=True)
class _Session:
    """One session on its way through the month."""

    name: str
    team: str
    state: State = State.RETIRED
    gone: bool = False  # unlinked for good: nothing happens to it any more
    worker: int = 0


@dataclass(slots=True)
class _Month:
    """The month while it is being told; records come in any order and are put into theirs at the end."""

    chance: random.Random
    sessions: list[_Session]
    told: list[tuple[datetime, int, Record]] = field(default_factory=list)
    edit: _Edit = field(default_factory=lambda: _Edit(0, ""))
    run_id: str = ""

    def declare(self, at: datetime, note: str) -> None:
        """A commit changes the file."""
        text = f"# {note}\n" + "".join(f"[sessions.{each.name}]\n" for each in self.sessions)
        sha256 = hashlib.sha256(f"{self.edit.rev} {text}".encode()).hexdigest()
        self.edit = _Edit(self.edit.rev + 1, hashlib.sha1(sha256.encode(), usedforsecurity=False).hexdigest())
        self._tell(
            at,
            DeclarationRecord(sha256=sha256, loaded_at=at, text=text, git_commit=self.edit.commit, git_branch="main"),
        )
        self.log(at + _SECOND / 100, "declaration", reason="in force", detail={"sessions": len(self.sessions)})

    def log(
        self,
        at: datetime,
        kind: EventKind,
        session: _Session | None = None,
        *,
        before: State | None = None,
        reason: str = "",
        code: str | None = None,
        detail: dict[str, JSON] | None = None,
    ) -> None:
        """Tell an event; with ``before``, the session's state has changed from that one."""
        self._tell(
            at,
            EventRecord(
                ts=at,
                kind=kind,
                run_id=self.run_id,
                session=session.name if session else None,
                state_from=before.value if before else None,
                state_to=session.state.value if session and before else None,
                reason=reason,
                code=code,
                detail=detail or {},
                worker_pid=session.worker or None if session else None,
                declaration_rev=self.edit.rev or None,
                git_commit=self.edit.commit or None,
                git_branch=self.edit.branch,
            ),
        )

    def happen(
        self, session: _Session, at: datetime, happening: Happening, reason: str, code: str | None = None
    ) -> None:
        """Let something happen, as the lifecycle table says."""
        if (session.state, happening) not in TRANSITIONS:
            raise ValueError(f"{happening} means nothing to a session that is {session.state}")
        before = session.state
        session.state = follow(before, happening)
        if session.state is not before:
            self.log(at, "state", session, before=before, reason=reason, code=code)

    def start(self, session: _Session, at: datetime) -> datetime:
        """Start a linked session; return when it is connected."""
        session.worker = self.chance.randrange(2000, 60000)
        self.happen(session, at, Happening.START, "enabled and not running")
        at += timedelta(seconds=self.chance.uniform(0.4, 2.5))
        self.happen(session, at, Happening.CONNECTED, "logged in")
        return at

    def lose(self, session: _Session, at: datetime, reason: str, code: str, seconds: float) -> None:
        """Lose a connection for a while; the library finds the way back."""
        self.happen(session, at, Happening.CONNECTION_LOST, reason, code)
        self.happen(session, at + timedelta(seconds=seconds), Happening.CONNECTED, "logged in")

    def _tell(self, at: datetime, record: Record) -> None:
        self.told.append((at, len(self.told), record))


def month(seed: int = 7) -> Iterator[Record]:
    """Yield what the journal of the month holds, in the order in which it was written.

    Args:
        seed: The same one gives the same month.

    Example:
        >>> first = next(month())
        >>> first.kind, first.ts.isoformat()
        ('daemon_start', '2026-09-28T06:00:00+00:00')
    """
    chance = random.Random(seed)  # noqa: S311 - a story, not a secret
    sessions = [_Session(f"{team}-{n}", team) for team, count in TEAMS.items() for n in range(1, count + 1)]
    told = _Month(chance, sessions)
    _first_day(told)
    for day in range(DAYS):
        _every_day(told, FIRST_DAY + timedelta(days=day))
    _last_day(told, FIRST_DAY + timedelta(days=DAYS))
    for _, _, record in sorted(told.told, key=lambda each: each[:2]):
        yield record


def _first_day(told: _Month) -> None:
    at = FIRST_DAY + timedelta(hours=6)
    told.run_id = f"run-{told.chance.randrange(1 << 32):08x}"
    told.log(at, "daemon_start", reason="the daemon starts", detail={"version": "0.1.0"})
    at += _SECOND
    told.declare(at, "the fleet as it begins")
    at += _SECOND
    for session in told.sessions:
        told.happen(session, at, Happening.DECLARED, "declared")
    for session in told.sessions:
        at = _link(told, session, at + timedelta(minutes=told.chance.uniform(2, 9)))


def _link(told: _Month, session: _Session, at: datetime) -> datetime:
    """Link a phone; one in four is not there in time, and is linked at the second attempt."""
    chance, by_code = told.chance, session.team == "shop"
    nobody_comes = chance.random() < 1 / 4
    while True:
        told.happen(session, at, Happening.START, "declared, never paired")
        told.log(at, "pair_started", session, detail={"method": "code" if by_code else "qr"})
        at += timedelta(seconds=1.2)
        shown = Happening.CODE_SHOWN if by_code else Happening.QR_SHOWN
        told.log(at, "code" if by_code else "qr", session, reason="shows a code")
        told.happen(session, at, shown, "shows a code")
        if not nobody_comes:
            at += timedelta(seconds=chance.uniform(8, 60))
            told.happen(session, at, Happening.PAIRED, "the phone linked this device")
            at += timedelta(seconds=chance.uniform(1, 4))
            told.happen(session, at, Happening.CONNECTED, "logged in")
            return at
        nobody_comes = False
        at += timedelta(seconds=160)
        told.log(at, "pair_failed", session, reason="nobody scanned or typed the code in time")
        told.happen(session, at, Happening.PAIRING_EXPIRED, "nobody scanned or typed the code in time")
        at += timedelta(minutes=chance.uniform(1, 6))


def _every_day(told: _Month, midnight: datetime) -> None:
    """Lose connections and workers as one does, around what this day is remembered for."""
    day = (midnight - FIRST_DAY).days
    special = _SPECIAL.get(day)
    for session in told.sessions:
        at = midnight + timedelta(hours=11 if day == 0 else 0, minutes=told.chance.uniform(5, 90))
        quiet_until = midnight + timedelta(hours=8, minutes=50) if special else midnight + timedelta(hours=23)
        while session.state is State.CONNECTED:
            at += timedelta(hours=told.chance.expovariate(1 / 7.0) + 0.1)
            if at > quiet_until:
                break
            told.lose(session, at, "the connection was lost", "stream", told.chance.choice((0.6, 1.4, 2.2, 3.1, 8.0)))
    if special is not None:
        special(told, midnight)
    if day in _CRASHES:
        _crash(told, midnight + timedelta(hours=23, minutes=20))


def _crash(told: _Month, at: datetime) -> None:
    """A worker dies with a few aboard; they come back in two halves."""
    aboard = [each for each in told.sessions if each.state is State.CONNECTED][:6]
    for n, session in enumerate(aboard):
        told.log(at, "worker_exit", session, reason="the worker was killed (SIGKILL)", code="-9", detail={"aboard": 6})
        told.happen(session, at, Happening.WORKER_LOST, "the worker was killed (SIGKILL)", "-9")
        back = at + timedelta(seconds=0.8 + 0.6 * (n % 2))
        session.worker = told.chance.randrange(2000, 60000)
        told.happen(session, back, Happening.CONNECTED, "logged in")


def _bad_tuesday(told: _Month, midnight: datetime) -> None:
    """A commit gives one team a proxy that does not answer; it takes a while until it is taken back."""
    at = midnight + timedelta(hours=9, minutes=12)
    told.declare(at, "emea: through the new proxy")
    cause = "the proxy does not answer: proxy.emea.example:1080 timed out"
    hit = [each for each in told.sessions if each.team == "emea" and each.state is State.CONNECTED]
    told.log(at + _SECOND / 10, "plan", reason="; ".join(f"restart {each.name}" for each in hit))
    for n, session in enumerate(hit):
        began = at + timedelta(seconds=0.2 * (n + 1))
        told.happen(session, began, Happening.WORKER_LOST, "its declaration changed")
        failed = began + timedelta(seconds=20)
        while failed < at + timedelta(minutes=74):
            told.log(failed, "dial_failed", session, reason=cause, code="timeout")
            failed += timedelta(seconds=told.chance.uniform(60, 300))
    mended = at + timedelta(minutes=76)
    told.declare(mended, "emea: the old proxy again")
    for n, session in enumerate(hit):
        told.happen(session, mended + timedelta(seconds=1.5 + 0.3 * n), Happening.CONNECTED, "logged in")


def _night_without_network(told: _Month, midnight: datetime) -> None:
    at = midnight + timedelta(hours=21, minutes=47)
    for session in [each for each in told.sessions if each.state is State.CONNECTED]:
        lost = at + timedelta(seconds=told.chance.uniform(0, 9))
        told.happen(session, lost, Happening.CONNECTION_LOST, "the network is unreachable", "unreachable")
        back = at + timedelta(minutes=38, seconds=told.chance.uniform(1, 6))
        told.happen(session, back, Happening.CONNECTED, "logged in")


def _unlinked(told: _Month, midnight: datetime) -> None:
    session = next(each for each in told.sessions if each.name == "shop-2")
    told.happen(
        session,
        midnight + timedelta(hours=11),
        Happening.LOGGED_OUT,
        "unlinked by the phone or by WhatsApp (401)",
        "401",
    )


def _linked_again(told: _Month, midnight: datetime) -> None:
    session = next(each for each in told.sessions if each.name == "shop-2")
    _link(told, session, midnight + timedelta(hours=9, minutes=30))


def _banned(told: _Month, midnight: datetime) -> None:
    session = next(each for each in told.sessions if each.name == "apac-3")
    at = midnight + timedelta(hours=14, minutes=3)
    told.happen(session, at, Happening.BANNED, "WhatsApp banned this account for a time (code 101)", "101")
    told.start(session, at + timedelta(hours=9, minutes=20))


def _last_day(told: _Month, midnight: datetime) -> None:
    at = midnight + timedelta(hours=18)
    told.log(at, "daemon_stop", reason="the daemon ends in order")


_SPECIAL: Final = {
    6: _night_without_network,
    10: _unlinked,
    12: _linked_again,
    15: _bad_tuesday,
    20: _banned,
}
