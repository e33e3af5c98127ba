"""Carries out a plan's actions: one at a time for a session, all sessions side by side.

How work is begun and ended stands in :mod:`wakit.reconciler.jobs`; what is done for an action, in ``starting``,
``stopping`` and ``retiring``; what is done without a plan, in ``errands``. Here they are joined.

Blocking work (SQLite checks, fsyncs, renames) runs in threads, in order for each session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

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
from wakit.core.lifecycle import Happening
from wakit.core.observation import Credential
from wakit.core.placement import assign
from wakit.reconciler.errands import Errands
from wakit.reconciler.jobs import Jobs
from wakit.reconciler.keeping import Keeper
from wakit.reconciler.rehousing import Rehouser
from wakit.reconciler.retiring import Retirer
from wakit.reconciler.roster import Roster
from wakit.reconciler.starting import Starter
from wakit.reconciler.stopping import Stopper
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.turns import Turns


class Executor:
    """The hands of the loop.

    Args:
        roster: The sessions.
        wake: Called when something was done that may change the plan.
        all_started: Set once nobody has to be started first any more.

    Attributes:
        in_turn: Does the vault's work of a session, one thing after the other; whoever touches its files asks here.
        jobs: What is under way.
        errands: Does what no plan says.
        keeper: Keeps the backups.
        rehouser: Moves sessions into other workers.
    """

    def __init__(self, roster: Roster, wake: Callable[[], None], all_started: asyncio.Event) -> None:
        self._roster = roster
        self._ports = roster.ports
        self.in_turn = Turns()
        self.jobs = Jobs(
            roster,
            wake,
            leave=lambda tracked, why: self.errands.release(tracked, why=why),
            look=lambda tracked: self.errands.settle(tracked),  # noqa: PLW0108 - they are made below
        )
        self.keeper = Keeper(roster, self.in_turn, all_started)
        self._starter = Starter(roster, self.in_turn)
        self._stopper = Stopper(roster, self.in_turn)
        stop = self._stopper.stop
        self._retirer = Retirer(roster, self.in_turn, starter=self._starter, keeper=self.keeper, stop=stop)
        self.errands = Errands(roster, self.in_turn, self.jobs, stop=stop)
        self.rehouser = Rehouser(roster, self._starter, begin=self.jobs.begin, stop=stop)

    def carry_out(self, actions: Sequence[Action]) -> list[Action]:
        """Begin every action whose sessions are free and in no pause; return those that were begun."""
        begun: list[Action] = []
        restores: dict[str, Restore] = {}
        for action in actions:
            concerned = self._concerned(action)
            # Asked anew for each: two actions of one plan may concern one session, and the first makes it busy.
            if any(tracked.busy or self.jobs.pausing(tracked) for tracked in concerned):
                continue
            begun.append(action)
            if isinstance(action, Hold):
                self._hold(concerned[0], action.reason)
            elif isinstance(action, Restore):
                restores[action.session] = action
            else:
                self.jobs.begin(concerned, partial(self._do, action), describe(action))
        self._ports.workers.expect(list(restores))
        for share in self._shares(list(restores)):
            aboard = [self._roster.get(name) for name in share]
            self.jobs.begin(aboard, partial(self._restore, aboard, restores), f"restore {', '.join(share)}")
        return begun

    def _concerned(self, action: Action) -> list[Tracked]:
        names = [action.session]
        if isinstance(action, Rename):
            names.append(action.source)
        return [self._roster.get(name) for name in names]

    async def _do(self, action: Action) -> None:
        tracked = self._roster.get(action.session)
        match action:
            case Park():
                await self._stopper.park(tracked, action.reason)
            case Restart():
                await self._stopper.restart(tracked, action.reason)
            case Retire():
                await self._retirer.retire(tracked, action)
            case Revive():
                await self._retirer.revive(tracked, action)
            case Rename():
                await self._retirer.rename(tracked, action)
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
