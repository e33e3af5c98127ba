"""Carries out actions. One at a time for a session, all sessions side by side.

A session whose action is under way is *busy*: the planner's word on it waits. An action that fails says so in the
journal and leaves the session for a later try; nothing that happens to one session stops the loop.

Blocking work (SQLite checks, fsyncs, renames) runs in threads, in order for each session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar, assert_never

from wakit.core.actions import (
    Action,
    Create,
    Hold,
    Park,
    Rename,
    Restart,
    Restore,
    Retire,
    Revive,
    describe,
)
from wakit.core.declaration import Pairing, RetirePolicy, SessionSpec
from wakit.core.lifecycle import Happening, State
from wakit.core.observation import Credential, Request
from wakit.core.placement import assign
from wakit.core.retry import AFTER_CRASH, AFTER_DIAL
from wakit.errors import CredentialError, HeldError, WakitError
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Tracked
from wakit.redact import scrub
from wakit.vault import StartTicket
from wakit.vault.vault import Finding
from wakit.whatsapp.port import SessionStart, WorkerLaunch

T = TypeVar("T")
_LOGOUT_SECONDS = 10.0


class Executor:
    """The hands of the loop.

    Args:
        roster: The sessions.
        wake: Called when something was done that may change the plan.
    """

    def __init__(self, roster: Roster, wake: Callable[[], None]) -> None:
        self._roster = roster
        self._ports = roster.ports
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[str, asyncio.Lock] = {}

    def carry_out(self, actions: Sequence[Action]) -> list[Action]:
        """Begin every action whose sessions are free; return those that were begun."""
        begun = [action for action in actions if not any(t.busy for t in self._concerned(action))]
        restoring = [action for action in begun if isinstance(action, Restore)]
        for action in begun:
            if not isinstance(action, Restore):
                self._begin(self._concerned(action), partial(self._do, action), describe(action))
        for share in self._shares([action.session for action in restoring]):
            aboard = [self._roster.get(name) for name in share]
            self._begin(aboard, partial(self._restore, aboard), f"restore {', '.join(share)}")
        return begun

    def release(self, tracked: Tracked, *, why: str) -> None:
        """Begin to take a session out of its worker."""
        if tracked.worker_id is None:
            return
        if tracked.busy:
            tracked.leaving = why  # its launch may not have returned yet; taken up when the action ends
            return
        self._begin([tracked], lambda: self._stop(tracked, why), f"stop {tracked.name}")

    def note(self, tracked: Tracked, write: Callable[[], object]) -> None:
        """Write to the vault in the background, in order with this session's other writes."""
        self._start(self._in_turn(tracked.name, write), f"note {tracked.name}", [])

    def settle(self, tracked: Tracked) -> None:
        """Look again whether a session whose worker died while pairing was linked after all."""
        self._begin([tracked], lambda: self._settle(tracked), f"settle {tracked.name}")

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def idle(self) -> bool:
        """Return whether nothing is under way."""
        return not self._tasks

    # -- how work is begun and ended ---------------------------------------------------------------------------------

    def _begin(self, concerned: Sequence[Tracked], work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        for tracked in concerned:
            tracked.busy = True
        self._start(work(), what, concerned)

    def _start(self, work: Awaitable[object], what: str, concerned: Sequence[Tracked]) -> None:
        task = asyncio.ensure_future(self._guard(work, what, concerned))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Only now nothing is under way any more: a look at the whole before this would not call it converged.
        self._tasks.discard(task)
        self._wake()

    async def _guard(self, work: Awaitable[object], what: str, concerned: Sequence[Tracked]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever went wrong with one session stays with it
            self._failed(error, what, concerned)
        finally:
            for tracked in concerned:
                tracked.busy = False
                if tracked.leaving is not None:
                    self.release(tracked, why=tracked.leaving)

    def _failed(self, error: Exception, what: str, concerned: Sequence[Tracked]) -> None:
        known = isinstance(error, WakitError)
        reason = str(error) if known else f"{type(error).__name__}: {scrub(str(error))}"
        everyone: Sequence[Tracked | None] = concerned or [None]
        for one in everyone:
            self._roster.log("warning", one, reason=f"{what} failed: {reason}")
        for tracked in concerned:
            self._roster.retry_later(tracked, AFTER_DIAL)

    def _concerned(self, action: Action) -> list[Tracked]:
        names = [action.session]
        if isinstance(action, Rename):
            names.append(action.source)
        return [self._roster.get(name) for name in names]

    async def _in_turn(self, name: str, work: Callable[[], T]) -> T:
        # asyncio.Lock is fair, so the writes of one session reach the disk in the order in which they were asked for.
        async with self._turns.setdefault(name, asyncio.Lock()):
            return await asyncio.to_thread(work)

    # -- the actions -------------------------------------------------------------------------------------------------

    async def _do(self, action: Action) -> None:
        tracked = self._roster.get(action.session)
        match action:
            case Hold():
                tracked.held = action.reason
                self._roster.happen(tracked, Happening.HOLD, action.reason)
                self._roster.changed(tracked.name)
            case Park():
                await self._stop(tracked, action.reason)
                self._roster.happen(tracked, Happening.PARK, action.reason)
            case Retire():
                await self._retire(tracked, action)
            case Revive():
                await self._in_turn(tracked.name, lambda: self._ports.vault.revive(tracked.name))
                tracked.credential, tracked.next_try_at, tracked.waits_for_person = Credential.PRESENT, None, False
                self._roster.happen(tracked, Happening.DECLARED, action.reason)
            case Rename():
                await self._rename(tracked, self._roster.get(action.source), action.reason)
            case Restart():
                await self._stop(tracked, action.reason)
                # Level-based: with nothing running and nothing to wait for, the next plan starts it. What is not
                # linked was pairing, because a person asked, and goes on pairing.
                tracked.request = None if tracked.credential is Credential.PRESENT else Request.PAIR
                tracked.next_try_at, tracked.waits_for_person = None, False
            case Create():
                await self._create(tracked, action)
            case Restore():
                await self._restore([tracked])
            case _:
                assert_never(action)
        if not isinstance(action, Hold):
            self._roster.log("action", tracked, reason=describe(action), code=type(action).__name__.lower())

    async def _stop(self, tracked: Tracked, why: str) -> None:
        if tracked.worker_id is not None:
            await self._ports.workers.release(tracked.worker_id, tracked.name, why=why)
        tracked.worker_id = tracked.worker_pid = tracked.running = tracked.shown = tracked.leaving = None
        self._roster.changed(tracked.name)

    async def _retire(self, tracked: Tracked, action: Retire) -> None:
        if action.policy is RetirePolicy.LOGOUT and tracked.worker_id is not None:
            done = await self._ports.workers.logout(tracked.worker_id, tracked.name, _LOGOUT_SECONDS)
            if not done:
                self._roster.log(
                    "warning", tracked, reason="it could not be unlinked at WhatsApp; unlink it on the phone"
                )
        await self._stop(tracked, action.reason)
        keep = action.policy is RetirePolicy.KEEP
        await self._in_turn(tracked.name, lambda: self._ports.vault.retire(tracked.name, keep=keep))
        self._apply(tracked, await self._in_turn(tracked.name, lambda: self._ports.vault.find(tracked.name)))
        tracked.spec = tracked.held = tracked.request = tracked.next_try_at = None
        tracked.waits_for_person = tracked.parked = False
        self._roster.happen(tracked, Happening.RETIRE, action.reason)

    async def _rename(self, tracked: Tracked, source: Tracked, reason: str) -> None:
        await self._stop(source, reason)
        await self._in_turn(source.name, lambda: self._ports.vault.rename(source.name, tracked.name))
        self._apply(tracked, await self._in_turn(tracked.name, lambda: self._ports.vault.find(tracked.name)))
        tracked.waits_for_person, tracked.next_try_at = source.waits_for_person, None
        source.credential, source.account, source.paired_at, source.spec = Credential.ABSENT, None, None, None
        self._roster.happen(source, Happening.RETIRE, f"renamed to {tracked.name}")

    async def _settle(self, tracked: Tracked) -> None:
        finding = await self._in_turn(tracked.name, lambda: self._ports.vault.settle(tracked.name))
        self._apply(tracked, finding)

    async def _create(self, tracked: Tracked, action: Create) -> None:
        pairing = tracked.method or action.pairing
        await self._settle(tracked)
        if tracked.credential is Credential.PRESENT:
            return  # it was linked after all: the next plan restores it
        self._starting(tracked, f"pairs by {pairing.value}: {action.reason}")
        self._roster.log("pair_started", tracked, reason=action.reason, detail={"method": pairing.value})
        await self._launch([tracked], [self._ports.vault.prepare_pairing], pairing)

    async def _restore(self, aboard: Sequence[Tracked]) -> None:
        for tracked in aboard:
            self._starting(tracked, "starts with its credential")
        await self._launch(aboard, [self._ports.vault.prepare_restore] * len(aboard), None)

    def _starting(self, tracked: Tracked, reason: str) -> None:
        again = f"{tracked.dial_failure}; trying again" if tracked.dial_failure else f"{reason}, again"
        tracked.next_try_at = None
        tracked.running = self._spec(tracked).fingerprint()
        self._roster.happen(tracked, Happening.START, again if tracked.attempt else reason)

    async def _launch(
        self, aboard: Sequence[Tracked], prepare: Sequence[Callable[[str], StartTicket]], pairing: Pairing | None
    ) -> None:
        """Check the credentials, then spawn one worker for those that are sound."""
        tickets = await asyncio.gather(
            *(self._in_turn(t.name, partial(p, t.name)) for t, p in zip(aboard, prepare, strict=True)),
            return_exceptions=True,
        )
        sound: list[Tracked] = []
        starts: list[SessionStart] = []
        for tracked, ticket in zip(aboard, tickets, strict=True):
            if isinstance(ticket, BaseException):
                self._unusable(tracked, ticket)
            else:
                sound.append(tracked)
                starts.append(self._start_order(tracked, ticket, pairing))
        if not starts:
            return
        worker_id = self._ports.new_id()
        force = self._roster.in_force
        endpoint = force.declaration.fleet.endpoint if force else None
        for tracked in sound:
            tracked.worker_id = worker_id  # before the launch: reports may come before it returns
        try:
            pid = await self._ports.workers.launch(
                WorkerLaunch(worker_id=worker_id, sessions=tuple(starts), endpoint=endpoint)
            )
        except WakitError as error:
            for tracked in sound:
                self._not_started(tracked, worker_id, str(error))
            return
        for tracked in sound:
            if tracked.worker_id == worker_id:
                tracked.worker_pid = pid
                tracked.request = tracked.method = tracked.phone = None
                tracked.next_try_at = None
                self._roster.log("worker_spawned", tracked, reason=f"epoch {self._epoch(tracked, starts)}")
                self._roster.changed(tracked.name)

    @staticmethod
    def _epoch(tracked: Tracked, starts: Sequence[SessionStart]) -> int:
        return next(start.epoch for start in starts if start.name == tracked.name)

    def _start_order(self, tracked: Tracked, ticket: StartTicket, pairing: Pairing | None) -> SessionStart:
        spec = self._spec(tracked)
        return SessionStart(
            name=tracked.name,
            directory=str(ticket.directory),
            epoch=ticket.epoch,
            pairing=pairing,
            phone=tracked.phone or spec.phone,
            proxy=spec.proxy,
            device_name=spec.device_name,
        )

    def _unusable(self, tracked: Tracked, error: BaseException) -> None:
        """A credential that must not be given to the library, or that somebody holds."""
        tracked.running = None
        reason = str(error) if isinstance(error, WakitError) else f"{type(error).__name__}: {scrub(str(error))}"
        if isinstance(error, CredentialError):
            tracked.credential = Credential.DAMAGED
            tracked.waits_for_person = True
            self._roster.happen(tracked, Happening.CREDENTIAL_BAD, f"{reason}; {error.hint}" if error.hint else reason)
            return
        self._roster.happen(tracked, Happening.WORKER_LOST, reason)
        self._roster.retry_later(tracked, AFTER_DIAL if isinstance(error, HeldError) else AFTER_CRASH)

    def _not_started(self, tracked: Tracked, worker_id: str, reason: str) -> None:
        if tracked.worker_id != worker_id:
            return  # its exit was reported meanwhile, and counted
        tracked.worker_id = tracked.worker_pid = tracked.running = None
        self._roster.happen(tracked, Happening.WORKER_LOST, reason)
        self._roster.retry_later(tracked, AFTER_CRASH)

    def _apply(self, tracked: Tracked, finding: Finding) -> None:
        tracked.credential = finding.credential
        tracked.account = finding.record.account
        tracked.paired_at = finding.record.paired_at

    def _spec(self, tracked: Tracked) -> SessionSpec:
        return tracked.spec or SessionSpec(tracked.name)

    def _shares(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        if not names:
            return []
        sessions = self._roster.sessions.values()
        force = self._roster.in_force
        setting = force.declaration.fleet.sessions_per_worker if force else "auto"
        running = sum(t.running is not None and t.credential is Credential.PRESENT for t in sessions)
        alone = frozenset(t.name for t in sessions if t.alone and t.state is not State.CONNECTED)
        return assign(names, running=running, setting=setting, alone=alone)
