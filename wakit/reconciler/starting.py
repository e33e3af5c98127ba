"""Starts sessions: looks at their credentials first, then has a worker spawned for those that are sound.

What a person asked for is taken up the moment a start begins, so that whatever is asked, edited or told while it is
under way comes on top and is not taken for done. A start that fails puts an unfulfilled request back.

Whatever goes wrong ends in a state with a next step: a pause and another try, or a person. STARTING with nothing
running would be for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from wakit.core.actions import Create
from wakit.core.declaration import Endpoint, Pairing, SessionSpec
from wakit.core.lifecycle import Happening
from wakit.core.observation import Credential, Request
from wakit.core.release import Release
from wakit.core.retry import AFTER_CRASH, AFTER_DIAL
from wakit.errors import CredentialElsewhereError, CredentialError, GivenAwayError, HeldError, WakitError
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import MOVED, Tracked
from wakit.reconciler.turns import Turns
from wakit.redact import PhoneNumber, scrub
from wakit.vault import StartTicket
from wakit.vault.recovery import Recovery
from wakit.whatsapp.port import SessionStart, WorkerLaunch

_PORTION: Final = 8  # credentials that one thread checks, one after the other
_AT_ONCE: Final = 3  # portions under way: more would mostly wait for the interpreter, fewer for the disk


def in_words(error: BaseException) -> str:
    """Say an error without what it may quote."""
    return str(error) if isinstance(error, WakitError) else f"{type(error).__name__}: {scrub(str(error))}"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A session that is about to start, as it was declared and asked for when the start began."""

    tracked: Tracked
    spec: SessionSpec
    phone: PhoneNumber | None
    prepare: Callable[[str], StartTicket]


@dataclass(frozen=True, slots=True)
class Hired:
    """A worker that waits for its sessions to be called."""

    worker_id: str
    pid: int
    release: Release


class Starter:
    """Starts sessions.

    Args:
        roster: The sessions.
        in_turn: Does the vault's work.
    """

    def __init__(self, roster: Roster, in_turn: Turns) -> None:
        self._roster = roster
        self._ports = roster.ports
        self._in_turn = in_turn
        self._checks = asyncio.Semaphore(_AT_ONCE)

    async def create(self, tracked: Tracked, action: Create) -> bool:
        """Start a session that has to be linked; return whether it pairs now."""
        pairing = tracked.method or action.pairing
        candidate = self._candidate(tracked, self._ports.vault.prepare_pairing)
        tracked.asked, tracked.request = tracked.request is Request.PAIR, None
        tracked.planned = None  # what follows is another link, whatever the end of the one before was for
        self._started(candidate, f"pairs by {pairing.value}: {action.reason}")
        # From outside a damaged one can look whole, and so would never be linked anew, however often a person asks.
        spoilt = tracked.credential is Credential.DAMAGED and await self._is_spoilt(tracked.name)
        finding = await self._in_turn(tracked.name, partial(self._ports.vault.settle, tracked.name))
        tracked.remember(finding)
        if tracked.credential is Credential.PRESENT and spoilt:
            tracked.credential = Credential.DAMAGED
        if tracked.credential is Credential.PRESENT:
            tracked.running = None  # it was linked after all: the next plan restores it
            tracked.end_pairing()
            return False
        self._roster.log("pair_started", tracked, reason=action.reason, detail={"method": pairing.value})
        return bool(await self._launch([candidate], pairing))

    async def _is_spoilt(self, name: str) -> bool:
        """Return whether a credential that was found damaged still is, by a look into it."""
        try:
            await self._in_turn(name, partial(self._ports.vault.examine, name))
        except CredentialError:
            return True
        return False

    async def hire(self, crew: Sequence[Tracked]) -> Hired:
        """Spawn a worker for sessions that still run elsewhere; it starts each when it is called.

        Raises:
            WorkerError: It could not start.
        """
        worker_id, release = self._ports.new_id(), self._ports.release()
        orders = []
        for tracked in crew:
            candidate = self._candidate(tracked, self._ports.vault.prepare_restore)
            ticket = StartTicket(directory=self._ports.vault.folder(tracked.name), epoch=0)
            orders.append(_order(candidate, ticket, None))
        pid = await self._ports.workers.launch(
            WorkerLaunch(worker_id=worker_id, sessions=tuple(orders), endpoint=self._endpoint(), on_call=True)
        )
        return Hired(worker_id, pid, release)

    async def restore(self, aboard: Sequence[Tracked], onto: Hired | None = None) -> Sequence[Tracked]:
        """Start sessions with the credentials they have, in one worker; return those that it carries.

        Args:
            aboard: The sessions.
            onto: A worker that was hired for them; else they get a new one.
        """
        candidates = [self._candidate(tracked, self._ports.vault.prepare_restore) for tracked in aboard]
        for candidate in candidates:
            asked = candidate.tracked.request is not None
            candidate.tracked.request, candidate.tracked.asked = None, False
            candidate.tracked.end_pairing()
            self._started(candidate, f"starts with its credential{': a person asked' if asked else ''}")
        launched = await self._launch(candidates, None, onto)
        self._ports.workers.forget([tracked.name for tracked in aboard if tracked not in launched])
        return launched

    def _candidate(self, tracked: Tracked, prepare: Callable[[str], StartTicket]) -> _Candidate:
        spec = self._roster.declared(tracked.name) or tracked.spec or SessionSpec(tracked.name)
        return _Candidate(tracked, spec, tracked.phone or spec.phone, prepare)

    def _started(self, candidate: _Candidate, reason: str) -> None:
        tracked = candidate.tracked
        planned, tracked.planned = tracked.planned, None
        if planned is not None:
            reason = f"{'moves to another worker' if planned.code == MOVED else 'starts anew'}: {planned.why}"
        elif tracked.attempt:
            reason = f"{tracked.dial_failure}; trying again" if tracked.dial_failure else f"{reason}, again"
        tracked.begin()
        tracked.starts += 1
        tracked.running = candidate.spec.fingerprint()
        self._roster.happen(tracked, Happening.START, reason, code=planned.code if planned else "")

    async def _launch(
        self, candidates: Sequence[_Candidate], pairing: Pairing | None, onto: Hired | None = None
    ) -> Sequence[Tracked]:
        """Check the credentials, then spawn one worker for those that are sound; return who is aboard."""
        starts: list[SessionStart] = []
        aboard: list[Tracked] = []
        for candidate, ticket in zip(candidates, await self._tickets(candidates), strict=True):
            if isinstance(ticket, StartTicket):
                if ticket.recovered is not None:
                    self._recovered(candidate.tracked, ticket.recovered)
                if ticket.note:
                    self._roster.log("warning", candidate.tracked, reason=ticket.note)
                starts.append(_order(candidate, ticket, pairing))
                aboard.append(candidate.tracked)
            else:
                self._unusable(candidate.tracked, ticket)
        if not starts:
            return []
        worker_id = onto.worker_id if onto else self._ports.new_id()
        release = onto.release if onto else self._ports.release()
        for tracked in aboard:
            # Before the launch: reports may come before it returns.
            tracked.worker_id, tracked.release = worker_id, release
        try:
            pid = await self._spawn_or_call(worker_id, starts, onto)
        except Exception as error:  # noqa: BLE001 - the system may refuse a process in its own words
            self._not_started([tracked for tracked in aboard if tracked.worker_id == worker_id], error)
            return []
        for tracked, start in zip(aboard, starts, strict=True):
            if tracked.worker_id == worker_id:  # else it has ended already, which was told
                tracked.worker_pid = pid
                self._roster.log("worker_spawned", tracked, reason=f"epoch {start.epoch}")
                self._roster.changed(tracked.name)
        return aboard

    async def _spawn_or_call(self, worker_id: str, starts: Sequence[SessionStart], onto: Hired | None) -> int:
        workers = self._ports.workers
        if onto is None:
            return await workers.launch(
                WorkerLaunch(worker_id=worker_id, sessions=tuple(starts), endpoint=self._endpoint())
            )
        for start in starts:
            await workers.call(worker_id, start)
        return onto.pid

    def _endpoint(self) -> Endpoint | None:
        force = self._roster.in_force
        return force.declaration.fleet.endpoint if force else None

    async def _tickets(self, candidates: Sequence[_Candidate]) -> list[StartTicket | BaseException]:
        """Have the credentials checked; in the place of one that cannot be used stands why."""
        portions = [candidates[first : first + _PORTION] for first in range(0, len(candidates), _PORTION)]
        tickets = await asyncio.gather(*map(self._portion, portions))
        return [ticket for portion in tickets for ticket in portion]

    async def _portion(self, candidates: Sequence[_Candidate]) -> list[StartTicket | BaseException]:
        names = [each.tracked.name for each in candidates]
        # Fair, as turns are: who asked first starts first.
        return await self._in_turn.together(names, partial(_prepared, candidates), places=self._checks)

    def _recovered(self, tracked: Tracked, recovery: Recovery) -> None:
        self._roster.log(
            "recovery",
            tracked,
            reason=recovery.words(self._ports.now()),
            code=recovery.problem or "",
            detail={"backup": recovery.backup, "lossless": recovery.lossless},
        )

    def _unusable(self, tracked: Tracked, error: BaseException) -> None:
        """A credential that must not be given to the library, or that somebody holds."""
        tracked.running = None
        reason = in_words(error)
        if isinstance(error, CredentialElsewhereError):
            reason = f"{reason}; {error.hint}"
            tracked.end_pairing()
            tracked.wait_for_person(reason)
            self._roster.happen(tracked, Happening.ACCOUNT_HELD, reason)
            return
        if isinstance(error, CredentialError):
            given = isinstance(error, GivenAwayError)  # by another command, and nobody told us
            tracked.credential = Credential.GIVEN_AWAY if given else Credential.DAMAGED
            if tracked.request is Request.RESTART:
                tracked.request = None  # asked for meanwhile; it would find the same
            reason = f"{reason}; {error.hint}" if error.hint else reason
            tracked.end_pairing()
            tracked.wait_for_person(reason)
            self._roster.happen(tracked, Happening.CREDENTIAL_BAD, reason)
            return
        own = not _is_common(error)
        self._roster.happen(tracked, Happening.WORKER_LOST, reason if own else _uncounted(error))
        tracked.hindered = not own
        self._roster.retry_later(tracked, AFTER_DIAL if isinstance(error, HeldError) else AFTER_CRASH, own=own)

    def _not_started(self, crew: Sequence[Tracked], error: Exception) -> None:
        """Nothing of a session had begun yet: it is the fault of the machine, the release or the endpoint.

        Args:
            crew: Whoever's worker it was and still is; the exit of another one was told meanwhile.
            error: Why it could not be started.
        """
        for tracked in crew:
            tracked.leave_worker()
            self._roster.happen(tracked, Happening.WORKER_LOST, _uncounted(error), code="not_started")
        # A verdict that came while it was launched stands.
        retried = [tracked for tracked in crew if not tracked.waits_for_person and tracked.next_try_at is None]
        for tracked in retried:
            tracked.hindered = True
        if retried:
            self._roster.retry_together(retried, AFTER_CRASH, alone=False)


def _is_common(error: BaseException) -> bool:
    """Tell whether a session is kept from its credential by the disk or the system, not by what it is."""
    return isinstance(error, OSError | WakitError) and not isinstance(error, HeldError)


def _uncounted(error: BaseException) -> str:
    hint = f"; {error.hint}" if isinstance(error, WakitError) and error.hint else ""
    return f"{in_words(error)}{hint}; not its own fault, so it is tried again without being counted"


def _order(candidate: _Candidate, ticket: StartTicket, pairing: Pairing | None) -> SessionStart:
    return SessionStart(
        name=candidate.tracked.name,
        directory=str(ticket.directory),
        epoch=ticket.epoch,
        pairing=pairing,
        phone=candidate.phone,
        proxy=candidate.spec.proxy,
        device_name=candidate.spec.device_name,
        account=ticket.account,
    )


def _prepared(portion: Sequence[_Candidate]) -> list[StartTicket | BaseException]:
    tickets: list[StartTicket | BaseException] = []
    for each in portion:
        try:
            tickets.append(each.prepare(each.tracked.name))
        except Exception as error:  # noqa: BLE001 - it is told of that session, and the others start
            tickets.append(error)
    return tickets
