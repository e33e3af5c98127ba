"""Carries out actions. One at a time for a session, all sessions side by side.

A session whose action is under way is *busy*: the planner's word on it waits. An action that fails says so in the
journal and leaves the session alone for a pause that grows; nothing that happens to one session stops the loop, nor
makes it spin.

Blocking work (SQLite checks, fsyncs, renames) runs in threads, in order for each session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias, assert_never

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
from wakit.core.compaction import is_blamed
from wakit.core.declaration import RetirePolicy
from wakit.core.lifecycle import ALIVE, Happening, State
from wakit.core.observation import Credential, Request
from wakit.core.placement import assign
from wakit.core.retry import AFTER_DIAL
from wakit.errors import ControlError, WakitError
from wakit.reconciler.keeping import Keeper
from wakit.reconciler.looking import Looker
from wakit.reconciler.rehousing import Rehouser
from wakit.reconciler.roster import Roster
from wakit.reconciler.starting import Starter, in_words
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.turns import Turns
from wakit.redact import Secret
from wakit.vault.manifest import Why
from wakit.vault.recovery import Recovery
from wakit.vault.vault import Finding

_Work: TypeAlias = Callable[[], Awaitable[object]]
_LOGOUT_SECONDS = 10.0
_LOGIN_SECONDS = 30.0
_LOOK = "look at"


class Executor:
    """The hands of the loop.

    Args:
        roster: The sessions.
        wake: Called when something was done that may change the plan.

    Attributes:
        in_turn: Does the vault's work of a session, one thing after the other; whoever touches its files asks here.
        keeper: Keeps the backups.
        rehouser: Moves sessions into other workers.
    """

    def __init__(self, roster: Roster, wake: Callable[[], None]) -> None:
        self._roster = roster
        self._ports = roster.ports
        self._wake = wake
        self.in_turn = Turns()
        self._starter = Starter(roster, self.in_turn)
        self.keeper = Keeper(roster, self.in_turn)
        self._looker = Looker(roster, self.in_turn)
        self.rehouser = Rehouser(roster, self._starter, begin=self._begin, stop=self._stop)
        self._tasks: set[asyncio.Task[None]] = set()

    def carry_out(self, actions: Sequence[Action]) -> list[Action]:
        """Begin every action whose sessions are free and in no pause; return those that were begun."""
        begun: list[Action] = []
        restores: dict[str, Restore] = {}
        for action in actions:
            concerned = self._concerned(action)
            # Asked anew for each: two actions of one plan may concern one session, and the first makes it busy.
            if any(tracked.busy or self._pausing(tracked) for tracked in concerned):
                continue
            begun.append(action)
            if isinstance(action, Hold):
                self._hold(concerned[0], action.reason)
            elif isinstance(action, Restore):
                restores[action.session] = action
            else:
                self._begin(concerned, partial(self._do, action), describe(action))
        self._ports.workers.expect(list(restores))
        for share in self._shares(list(restores)):
            aboard = [self._roster.get(name) for name in share]
            self._begin(aboard, partial(self._restore, aboard, restores), f"restore {', '.join(share)}")
        return begun

    def release(self, tracked: Tracked, *, why: str) -> None:
        """Begin to take a session out of its worker."""
        if tracked.busy:
            tracked.leaving = why  # its launch may be about to begin, or not have returned; taken up when it ends
            return
        if tracked.worker_id is None:
            return
        self._begin([tracked], lambda: self._stop(tracked, why), f"stop {tracked.name}")

    def note(self, tracked: Tracked, write: Callable[[], object]) -> None:
        """Write to the vault in the background, in order with this session's other writes."""
        self._start(partial(self.in_turn, tracked.name, write), f"note {tracked.name}", [])

    def hold_account(self, tracked: Tracked, user: Secret) -> None:
        """Have the worker hold the account that its session was linked to just now."""
        work = partial(self._hold_account, tracked.name, tracked.worker_id, user)
        self._start(work, f"hold the account of {tracked.name}", [])

    def redial(self, tracked: Tracked) -> None:
        """Drop a session's connection in the background; its library redials."""
        if tracked.worker_id is not None:
            work = partial(self._ports.workers.redial, tracked.worker_id, tracked.name)
            self._start(work, f"redial {tracked.name}", [])

    def settle(self, tracked: Tracked) -> None:
        """Look again what there is of a session that nothing runs: it may have been linked after all."""
        # What is under way looks again before a start, or if it fails.
        if not tracked.busy and tracked.worker_id is None:
            self._begin([tracked], lambda: self._looker.settle(tracked), f"{_LOOK} {tracked.name}")

    async def look_again(self) -> None:
        """Look again at every session that nothing runs; another command may have brought or given away credentials."""
        resting = [t for t in self._roster.sessions.values() if not t.busy and t.worker_id is None]
        looks = [self._begin([t], partial(self._looker.look_again, t), f"{_LOOK} {t.name}") for t in resting]
        await asyncio.gather(*looks)

    async def put_back(self, tracked: Tracked, chosen: str | None) -> Recovery:
        """Replace a session's credential by a backup because a person asks; it is started with it afterwards.

        Raises:
            ControlError: Another action on it is under way.
            CredentialError: There is no such backup, or it is not good; nothing was touched.
        """
        if tracked.busy:
            raise ControlError(
                f"{tracked.name} is left as it is",
                why="another action on it is under way",
                hint="try again in a moment",
            )
        vault, name = self._ports.vault, tracked.name
        found: asyncio.Future[Recovery] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                await self.in_turn(name, partial(vault.find_backup, name, chosen))
                await self._stop(tracked, "a backup is put back")
                recovery = await self.in_turn(name, partial(vault.put_back, name, chosen))
                tracked.remember(await self.in_turn(name, partial(vault.find, name)))
                tracked.begin()
                self._roster.log("recovery", tracked, reason=recovery.words(self._ports.now()))
                found.set_result(recovery)
            except Exception as error:  # noqa: BLE001 - whoever asked is told; the session is not to blame
                found.set_exception(error)

        self._begin([tracked], work, f"put a backup of {name} back")
        return await found

    def wake_at(self) -> datetime | None:
        """Return when the first pause after a failed action ends, or None if there is none."""
        return min(
            (t.not_before for t in self._roster.sessions.values() if self._pausing(t) and t.not_before), default=None
        )

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def idle(self) -> bool:
        """Return whether nothing is under way."""
        return not self._tasks

    # -- how work is begun and ended ---------------------------------------------------------------------------------

    def _begin(self, concerned: Sequence[Tracked], work: _Work, what: str) -> asyncio.Task[None]:
        for tracked in concerned:
            tracked.busy = True
        return self._start(work, what, concerned)

    def _start(self, work: _Work, what: str, concerned: Sequence[Tracked]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._guard(work, what, concerned))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Only now nothing is under way any more: a look at the whole before this would not call it converged.
        self._tasks.discard(task)
        self._wake()

    async def _guard(self, work: _Work, what: str, concerned: Sequence[Tracked]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever went wrong with one session stays with it
            self._failed(error, what, concerned)
            failed = True
        else:
            failed = False
        finally:
            for tracked in concerned:
                tracked.busy = False
                why, tracked.leaving = tracked.leaving, None
                if why is not None:
                    self.release(tracked, why=why)
        if failed and not what.startswith(_LOOK):
            # What was planned was not possible, so the world may be another than the one it was planned for.
            for tracked in concerned:
                self.settle(tracked)

    def _failed(self, error: Exception, what: str, concerned: Sequence[Tracked]) -> None:
        reason = f"{what} failed: {in_words(error)}"
        everyone: Sequence[Tracked | None] = concerned or [None]
        for one in everyone:
            self._roster.log("warning", one, reason=reason)
        for tracked in concerned:
            # A pause for actions of every kind: the planner knows one for starts only, and would ask again at once.
            tracked.not_before = self._roster.pause_end(tracked, AFTER_DIAL)
            tracked.ask_again()
            if tracked.worker_id is None:
                tracked.running = None
                if tracked.state in ALIVE:
                    self._roster.happen(tracked, Happening.WORKER_LOST, reason)
            self._roster.say(tracked, tracked.why_waits or reason)  # a verdict's words stand

    def _pausing(self, tracked: Tracked) -> bool:
        return tracked.not_before is not None and tracked.not_before > self._ports.now()

    def _concerned(self, action: Action) -> list[Tracked]:
        names = [action.session]
        if isinstance(action, Rename):
            names.append(action.source)
        return [self._roster.get(name) for name in names]

    # -- the actions -------------------------------------------------------------------------------------------------

    async def _do(self, action: Action) -> None:
        tracked = self._roster.get(action.session)
        match action:
            case Park():
                tracked.request = None
                tracked.end_pairing()
                await self._stop(tracked, action.reason)
                self._roster.happen(tracked, Happening.PARK, action.reason)
            case Retire():
                await self._retire(tracked, action)
            case Revive():
                await self.in_turn(tracked.name, lambda: self._ports.vault.revive(tracked.name))
                tracked.credential = Credential.PRESENT
                tracked.begin()
                self._roster.happen(tracked, Happening.DECLARED, action.reason)
            case Rename():
                await self._rename(tracked, self._roster.get(action.source), action.reason)
            case Restart():
                await self._restart(tracked, action.reason)
            case Create():
                if not await self._starter.create(tracked, action):
                    return
            case Restore() | Hold():
                raise AssertionError("restores share workers and holds are noted at once; neither is done here")
            case _:
                assert_never(action)
        self._done(tracked, action)

    def _done(self, tracked: Tracked, action: Action) -> None:
        tracked.not_before = None
        self._roster.log("action", tracked, reason=describe(action), code=type(action).__name__.lower())

    def _hold(self, tracked: Tracked, reason: str) -> None:
        tracked.held = reason
        self._roster.happen(tracked, Happening.HOLD, reason)
        self._roster.changed(tracked.name)

    async def _restore(self, aboard: Sequence[Tracked], actions: dict[str, Restore]) -> None:
        for tracked in await self._starter.restore(aboard):
            self._done(tracked, actions[tracked.name])

    async def _stop(self, tracked: Tracked, why: str) -> None:
        if tracked.worker_id is not None:
            await self._ports.workers.release(tracked.worker_id, tracked.name, why=why)
            # Not in the background: what follows may move the credential under another name, and into another's turn.
            await self._rest(tracked)
        tracked.leave_worker()
        self._roster.changed(tracked.name)

    async def _rest(self, tracked: Tracked) -> None:
        try:
            await self.in_turn(tracked.name, partial(self._ports.vault.rest, tracked.name))
        except (OSError, WakitError) as error:  # it is stopped all the same
            self._roster.log("warning", tracked, reason=f"its end could not be noted: {in_words(error)}")

    async def _restart(self, tracked: Tracked, why: str) -> None:
        # Level-based: with nothing running and nothing to wait for, the next plan starts it. Decided before the client
        # is stopped: what it tells meanwhile comes on top, and one that is unlinked at this very moment must not be
        # taken for one that was pairing because a person asked.
        asked, tracked.request = tracked.request is Request.RESTART, None
        tracked.ask_again()
        tracked.begin()
        try:
            await self._stop(tracked, why)
        except Exception:
            tracked.request = Request.RESTART
            raise
        if asked and tracked.request is None and tracked.credential is Credential.PRESENT and _is_free(tracked):
            # Half of what was asked for. A breaker that is open holds the other half back unless it still is.
            tracked.request = Request.RESTART

    async def _retire(self, tracked: Tracked, action: Retire) -> None:
        # Before anything is awaited: what a person asks for while it is retired is about its next life.
        tracked.request, tracked.parked = None, False
        tracked.end_pairing()
        if tracked.credential is Credential.PRESENT:
            await self.keeper.take(tracked, Why.BEFORE_RETIRE)
        logged_out = False
        if action.policy is RetirePolicy.LOGOUT and tracked.credential is Credential.PRESENT:
            why = await self._log_out(tracked)
            logged_out = not why
            if not logged_out:
                told = f"it is put away, but still linked at WhatsApp ({why}); unlink it on the phone"
                self._roster.log("warning", tracked, reason=told)
        if logged_out:
            tracked.credential = Credential.UNLINKED
        try:
            unlinked = tracked.credential is Credential.UNLINKED
            if logged_out:
                await self.in_turn(tracked.name, partial(self._note_unlinked, tracked.name))
            await self._stop(tracked, action.reason)
            keep = action.policy is RetirePolicy.KEEP
            put_away = partial(self._put_away, tracked.name, keep=keep, unlinked=unlinked)
            tracked.remember(await self.in_turn(tracked.name, put_away))
        except Exception:
            if logged_out:
                # The library tells nobody of an end that it was asked for, and the file may have it again by now.
                told = f"it was unlinked at WhatsApp when it left the file; `wakit pair {tracked.name}` links it again"
                tracked.wait_for_person(told)
                self._roster.happen(tracked, Happening.LOGGED_OUT, told)
            raise
        tracked.begin()
        tracked.held = None
        tracked.spec = self._roster.declared(tracked.name)  # it may be back in the file already
        self._roster.happen(tracked, Happening.RETIRE, action.reason)

    async def _log_out(self, tracked: Tracked) -> str:
        """Unlink a session at WhatsApp, which takes a client that is logged in; say why it could not be, or ""."""
        if tracked.worker_id is None:
            if tracked.spec is None:
                # Of another run, and out of the file: nobody knows which proxy it has to take.
                return "it was not running, and how it was declared is not known any more"
            if not await self._starter.restore([tracked]):
                return "its client could not be started"
        if not await self._roster.reaches(tracked, State.CONNECTED, _LOGIN_SECONDS):
            return f"its client was not logged in: {tracked.reason}"
        if tracked.worker_id is None:
            return "its client ended"
        unlinked = await self._ports.workers.logout(tracked.worker_id, tracked.name, _LOGOUT_SECONDS)
        return "" if unlinked else "WhatsApp did not confirm it"

    def _put_away(self, name: str, *, keep: bool, unlinked: bool) -> Finding:
        vault = self._ports.vault
        if unlinked:
            self._note_unlinked(name)
        else:
            vault.settle(name)  # linked at the last moment, it is put away as what it is and can be revived
        vault.retire(name, keep=keep)
        return vault.find(name)

    def _note_unlinked(self, name: str) -> None:
        if self._ports.vault.find(name).record.unlinked_at is None:
            self._ports.vault.update(name, unlinked_at=self._ports.now())

    async def _rename(self, tracked: Tracked, source: Tracked, reason: str) -> None:
        await self._stop(source, reason)
        await self.in_turn(source.name, lambda: self._ports.vault.rename(source.name, tracked.name))
        tracked.remember(await self.in_turn(tracked.name, lambda: self._ports.vault.settle(tracked.name)))
        # A ban, a verdict or a person's wish to park goes with the credential; only its name is new.
        tracked.take_over(source)
        source.spec = self._roster.declared(source.name)
        self._roster.happen(source, Happening.RETIRE, f"renamed to {tracked.name}")

    async def _hold_account(self, name: str, worker_id: str | None, user: Secret) -> None:
        account = await self.in_turn(name, partial(self._ports.vault.hold_account, name, user))
        if account is not None and worker_id is not None:
            await self._ports.workers.hold_account(worker_id, name, account)

    def _shares(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        if not names:
            return []
        sessions = self._roster.sessions.values()
        force = self._roster.in_force
        setting = force.declaration.fleet.sessions_per_worker if force else "auto"
        running = sum(t.running is not None and t.credential is Credential.PRESENT for t in sessions)
        apart = {t.name: t.quarantine for t in sessions if t.quarantine is not None}
        now = self._ports.now()
        apart |= {t.name: f"blamed/{t.name}" for t in sessions if is_blamed(t.blamed_at, now)}
        return assign(names, running=running, setting=setting, apart=apart)


def _is_free(tracked: Tracked) -> bool:
    return not tracked.waits_for_person and tracked.next_try_at is None
