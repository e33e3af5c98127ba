"""All sessions the daemon knows, and the one way in which their state changes.

Whoever learns something calls :meth:`Roster.happen`; the lifecycle table decides, the journal and the feed are told.
Nobody sets a state by hand.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil
from typing import Final

from wakit.core.breaker import Outlook
from wakit.core.declaration import Declaration, RestartPolicy, SessionSpec
from wakit.core.lifecycle import FINAL, TRANSITIONS, Happening, State, follow
from wakit.core.observation import Credential, Observation
from wakit.core.placement import ALONE_UP_TO
from wakit.core.records import JSON, EventKind, EventRecord
from wakit.core.restarts import Failures
from wakit.core.retry import Backoff
from wakit.core.turns import LAST, Standing, standing
from wakit.reconciler.ports import Ports
from wakit.reconciler.tracked import Tracked
from wakit.whatsapp.port import Dial

_GRID: Final = 5.0  # seconds
_ASKED_AGAIN: Final = timedelta(seconds=30)
# A session that stayed connected this long has proved itself: its next failure is a first one again.
_PROVED = timedelta(seconds=60)
ONLINE = frozenset({State.CONNECTED, State.DEGRADED})


@dataclass(frozen=True)
class InForce:
    """The declaration in force, with its number in the journal."""

    declaration: Declaration
    rev: int
    loaded_at: datetime

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Each session's place in the file."""
        return {name: position for position, name in enumerate(self.declaration.sessions)}


@dataclass(slots=True)
class Roster:
    """Sessions by name, the declaration in force, and the way to the journal.

    Attributes:
        ports: The outside.
        run_id: Names this run of the daemon.
        changed: Called with a session's name after each change; the feed listens here.
        seen: Called instead if all that is new is when it was last heard of.
        in_force: The last good declaration, or None before the first.
        outlook: What is known of the fleet's way to WhatsApp.
        crashed_at: When a worker crashed last.
        crashes: How many have, in this run.
        exits: How many workers ended, crashed or not, in this run.
    """

    ports: Ports
    run_id: str
    changed: Callable[[str], None]
    seen: Callable[[str], None]
    in_force: InForce | None = None
    confirmed: str | None = None
    cut_off: bool = False
    declared_accounts: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, Tracked] = field(default_factory=dict)
    crashed_at: datetime | None = None
    crashes: int = 0
    exits: int = 0
    logged: Counter[str] = field(default_factory=Counter)
    watching: list[asyncio.Event] = field(default_factory=list)
    outlook: Outlook = field(default_factory=Outlook)

    def get(self, name: str) -> Tracked:
        """Return a session, known or new."""
        if name not in self.sessions:
            self.sessions[name] = Tracked(name, since=self.ports.now())
        return self.sessions[name]

    def observe(self) -> Observation:
        """Return the world as the planner wants it."""
        outage = self.outlook.outage
        return Observation(
            closed=outage.words() if outage else "",
            admitted=frozenset({outage.probing}) if outage and outage.probing else frozenset(),
            sessions={name: tracked.observed() for name, tracked in self.sessions.items()},
            confirmed=self.confirmed,
            declared_accounts=self.declared_accounts,
            cut_off=self.cut_off,
        )

    def matters(self, tracked: Tracked, happening: Happening) -> bool:
        """Return whether a happening means anything in the session's state; late ones do not."""
        return (tracked.state, happening) in TRANSITIONS

    def happen(self, tracked: Tracked, happening: Happening, reason: str, *, code: str = "") -> None:
        """Let something happen to a session; a changed state goes to the journal."""
        before = tracked.state
        # A late event that the table ignores must not put its words over the verdict's either.
        if not self.matters(tracked, happening):
            return
        after = follow(before, happening)
        if after is not before or happening is Happening.START:
            tracked.entrusted_at, tracked.by_start = self.ports.now(), happening is Happening.START
        if after is before and reason == tracked.reason:
            return
        tracked.reason = reason
        if after is not before:
            tracked.state, tracked.since = after, self.ports.now()
            if before in ONLINE and after not in ONLINE:
                self._weigh(tracked)
            if State.CONNECTED in (before, after):
                tracked.healthy_at = tracked.since
            self.log("state", tracked, state_from=before, state_to=after, reason=reason, code=code)
            self.stir()
        self.changed(tracked.name)

    def stir(self) -> None:
        """Have everybody who waits for a state look again, also whether there still is a worker."""
        for event in self.watching:
            event.set()

    async def reaches(self, tracked: Tracked, state: State, seconds: float) -> bool:
        """Wait until a running session is in a state; False if its worker ends before, or the time is over."""
        event = asyncio.Event()
        self.watching.append(event)
        try:
            async with asyncio.timeout(seconds):
                while tracked.state is not state and tracked.worker_id is not None and tracked.state not in FINAL:
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return False
        finally:
            self.watching.remove(event)
        return tracked.state is state

    def log(
        self,
        kind: EventKind,
        tracked: Tracked | None = None,
        *,
        reason: str = "",
        code: str = "",
        state_from: State | None = None,
        state_to: State | None = None,
        detail: dict[str, JSON] | None = None,
        worker_pid: int | None = None,
    ) -> None:
        """Write an event about a session, or about the fleet."""
        self.logged[kind] += 1
        force = self.in_force
        git = force.declaration.git if force else None
        self.ports.ledger.log(
            EventRecord(
                ts=self.ports.now(),
                kind=kind,
                run_id=self.run_id,
                session=tracked.name if tracked else None,
                state_from=state_from.value if state_from else None,
                state_to=state_to.value if state_to else None,
                reason=reason,
                code=code or None,
                detail=detail or {},
                worker_pid=worker_pid or (tracked.worker_pid if tracked else None),
                declaration_rev=force.rev if force else None,
                git_commit=git.commit if git else None,
                git_branch=git.branch if git else None,
            )
        )

    def retry_later(self, tracked: Tracked, backoff: Backoff, *, dialled: bool = False, own: bool = True) -> None:
        """Count a failure and set the moment of the next try; without a budget for one it waits for a person.

        Args:
            tracked: Whose try failed.
            backoff: How its pauses grow.
            dialled: It failed on the way to WhatsApp; while nobody gets there, that is not its fault.
            own: It may be the session's own fault, and so counts against its budget.
        """
        if dialled and self.outlook.outage is not None:
            # The breaker says when; what a person asked for goes past it, but not without a pause.
            tracked.next_try_at = self.ports.now() + _ASKED_AGAIN if tracked.asked else None
            tracked.ask_again()
        elif not own or not self._spent(tracked):
            tracked.next_try_at = self.pause_end(tracked, backoff)
            tracked.ask_again()
        self.changed(tracked.name)

    def _spent(self, tracked: Tracked) -> bool:
        """Count a failed try against the budget; a session that has used it up is left to a person."""
        policy = self.in_force.declaration.fleet.restarts if self.in_force else RestartPolicy()
        tracked.failures = tracked.failures.add(self.ports.now(), policy)
        count = {"failures": len(tracked.failures.at), "limit": policy.limit}
        self.log("try_failed", tracked, reason=tracked.reason, detail=dict(count))
        if tracked.request is not None or not tracked.failures.spent(policy):
            return False
        reason = tracked.failures.words(tracked.name, tracked.reason)
        tracked.attempt += 1
        tracked.end_pairing()
        tracked.wait_for_person(reason)
        self.happen(tracked, Happening.GAVE_UP, reason, code="restarts")
        return True

    def retry_together(self, crew: Sequence[Tracked], backoff: Backoff, *, alone: bool) -> None:
        """Count a failure of several whose worker crashed or did not start, and set one moment for all of them.

        Args:
            crew: Who was aboard and is to come back.
            backoff: How the pauses grow.
            alone: It crashed with nobody else aboard, so that is the session's own; else it costs nobody anything.
        """
        if alone and self._spent(crew[0]):
            self.changed(crew[0].name)
            return
        attempt = max(tracked.attempt for tracked in crew) + 1
        end = self.ports.now() + timedelta(seconds=backoff.pause(attempt, self.ports.chance()))
        for tracked in crew:
            tracked.attempt += 1
            tracked.next_try_at = end
            tracked.ask_again()
            self.changed(tracked.name)

    def pause_end(self, tracked: Tracked, backoff: Backoff) -> datetime:
        """Count a failure and return when the pause after it ends."""
        tracked.attempt += 1
        end = self.ports.now() + timedelta(seconds=backoff.pause(tracked.attempt, self.ports.chance()))
        linked = sum(each.credential is Credential.PRESENT for each in self.sessions.values())
        if linked <= ALONE_UP_TO:
            return end
        # In a fleet that shares workers those who are due together share one; each at its own moment would get its own.
        return datetime.fromtimestamp(ceil(end.timestamp() / _GRID) * _GRID, end.tzinfo)

    def queue(self, name: str, waits: bool) -> None:
        """Note that a session begins to wait for its turn to dial, or waits no more."""
        tracked = self.sessions.get(name)
        if tracked is None:
            return
        tracked.in_line = waits
        if not waits:
            tracked.turn_at = self.ports.now()
        elif tracked.state is State.STARTING:
            self.say(tracked, "waits for its turn to dial")

    def dialled(self, dial: Dial) -> None:
        """Write down that the relay let a dial through."""
        tracked, waited = self.sessions.get(dial.session), round(dial.waited, 3)
        if tracked is not None:
            tracked.dialled_at, tracked.dialling = self.ports.now(), True
        self.log("dial", tracked, reason="let through", detail={"waited": waited}, worker_pid=dial.pid)

    def say(self, tracked: Tracked, reason: str) -> None:
        """Give the reason for a state that stays."""
        if tracked.reason != reason:
            tracked.reason = reason
            self.changed(tracked.name)

    def declared(self, name: str) -> SessionSpec | None:
        """Return what the file in force says of a session."""
        return self.in_force.declaration.sessions.get(name) if self.in_force else None

    def standing(self, name: str) -> Standing:
        """Return a session's place in the fleet's order."""
        position = self.in_force.positions.get(name) if self.in_force else None
        tracked, spec = self.sessions.get(name), self.declared(name)
        if position is None or spec is None:
            return LAST
        return standing(spec.priority, tracked.healthy_at if tracked else None, position)

    def shown(self) -> Iterable[Tracked]:
        """Yield the sessions people should see: the file's, in its order, then those still leaving."""
        declared = self.in_force.declaration.sessions if self.in_force else {}
        for name in declared:
            yield self.get(name)
        for name, tracked in self.sessions.items():
            if name not in declared and self.is_shown(tracked):
                yield tracked

    def is_shown(self, tracked: Tracked) -> bool:
        """Return whether a session belongs on the board."""
        declared = self.declared(tracked.name) is not None
        return declared or tracked.running is not None or tracked.state is not State.RETIRED

    def _weigh(self, tracked: Tracked) -> None:
        """Forget earlier failures of a session that was connected for long enough."""
        connected_at = tracked.last_connected_at
        if connected_at is not None and self.ports.now() - connected_at >= _PROVED:
            tracked.attempt, tracked.quarantine, tracked.failures = 0, None, Failures()
