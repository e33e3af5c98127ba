"""The loop: look, plan, act; again whenever something may have changed, and every half minute in any case.

What wakes it carries no meaning: an edit, a report, the end of an action, a pause that is over all lead to the same
look at the whole. So an event that is lost, doubled or late costs at most the time to the next resync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from wakit.core.accounts import declared_accounts
from wakit.core.actions import Plan, describe
from wakit.core.compaction import BLAMED_FOR
from wakit.core.deadlines import deadline
from wakit.core.declaration import Declaration, is_cut_off
from wakit.core.lifecycle import ALIVE, Happening, State
from wakit.core.observation import Credential, Observation
from wakit.core.planner import plan
from wakit.core.retry import AFTER_DIAL
from wakit.errors import CredentialUnreadableError, DeclarationError, WakitError
from wakit.reconciler.clockwork import Clockwork
from wakit.reconciler.enactment import Enactment
from wakit.reconciler.executor import Executor
from wakit.reconciler.memory import Past, recollect, take_up
from wakit.reconciler.outages import Outages
from wakit.reconciler.reports import Reports
from wakit.reconciler.roster import ONLINE, Roster
from wakit.reconciler.silenced import Silenced
from wakit.reconciler.starting import in_words
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.watch import Watch
from wakit.redact import scrub
from wakit.vault import Vault
from wakit.vault.record import SessionRecord
from wakit.vault.vault import Finding
from wakit.whatsapp.port import WorkerReport

RESYNC: Final = timedelta(seconds=30)
# How many times as long as a look takes nobody looks again: what many tell at one moment is seen in one look, and the
# loop has time for those who tell it.
_REST: Final = 4.0
_LONGEST_REST: Final = 0.1  # seconds; a look may have taken long because the machine was busy, or slept


class Reconciler:
    """Makes the world match the last good declaration.

    Args:
        roster: The sessions; shared with whoever shows them.
        on_convergence: Called whenever the fleet becomes converged or ceases to be, and when an outage changes.
    """

    def __init__(self, roster: Roster, on_convergence: Callable[[], None] = lambda: None) -> None:
        self.roster = roster
        self._on_convergence = on_convergence
        self._converged = False
        self._wake = asyncio.Event()
        self._all_started = asyncio.Event()
        self._stopping = False
        self._last = Plan()
        self.executor = Executor(roster, self.wake, self._all_started)
        errands = self._errands = self.executor.errands
        self.outages = Outages(roster, errands, self._outage_changed)
        self.clockwork = Clockwork(roster, self.outages, errands, self.wake)
        self.silenced = Silenced(roster, errands, self.outages)
        self.watch = Watch(roster, errands, self.outages, self.wake)
        self._reports = Reports(
            roster, errands, self.executor.keeper.ask, outages=self.outages, silent=self.watch.silent
        )
        self.handsets = self._reports.handsets
        self._enactment = Enactment(roster, errands)
        self.file_error: DeclarationError | None = None

    # -- what comes in -----------------------------------------------------------------------------------------------

    async def accept(self, declaration: Declaration) -> None:
        """Put a declaration into force."""
        await self._enactment.accept(declaration)
        self.file_error = None
        self.retry_now()

    def refuse(self, error: DeclarationError) -> None:
        """Note that the file as it is now is no declaration; the last good one stays in force."""
        self.file_error = error
        self.roster.log("declaration", reason=f"refused: {scrub(str(error))}", code="refused")
        self.wake()

    def take(self, report: WorkerReport) -> None:
        """Take a worker's report."""
        self._reports.take(report)
        self.wake()

    def retry_now(self) -> None:
        """End the pauses after failed actions: what made them fail may have been mended just now."""
        for tracked in self.roster.sessions.values():
            tracked.not_before = None
        self.outages.hurry()
        self.retry_hindered()

    def retry_hindered(self) -> None:
        """Have those try at once whose start failed for a reason that was not their own."""
        for tracked in self.roster.sessions.values():
            if tracked.hindered and not tracked.waits_for_person:
                tracked.hindered, tracked.next_try_at = False, None
        self.wake()

    def wake(self) -> None:
        """Have the loop look again soon."""
        self._wake.set()

    def _outage_changed(self) -> None:
        self._on_convergence()
        self.wake()

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def recall(self) -> None:
        """Learn from the vault what earlier daemons left. Call once, before the first declaration."""
        vault, roster = self.roster.ports.vault, self.roster
        findings = await asyncio.to_thread(lambda: {name: _settled(vault, name) for name in vault.names()})
        now = roster.ports.now()
        roster.sessions.update({name: recollect(name, finding, now) for name, finding in findings.items()})
        ledger = roster.ports.ledger
        past = Past(await ledger.setbacks(), ledger.last_healthy(), await ledger.blamed_since(now - BLAMED_FOR))
        for tracked in roster.sessions.values():
            take_up(tracked, past)

    async def run(self) -> None:
        """Look, plan and act until :meth:`halt`."""
        clock = asyncio.get_running_loop().time
        while not self._stopping:
            began = clock()
            self._wake.clear()
            self._hurry()
            self.outages.look()
            self.silenced.look()
            decided = self.decide()
            self.act(decided)
            waits = (self.executor.jobs, self.outages, self.silenced)
            moments = (decided.wake_at, *(each.wake_at() for each in waits))
            ended = clock()
            await self._pause(min((moment for moment in moments if moment), default=None))
            if (early := ended + min(_REST * (ended - began), _LONGEST_REST) - clock()) > 0.0:
                await asyncio.sleep(early)

    async def started(self, seconds: float) -> None:
        """Wait until nobody is starting any more; for so long at most, and they go on all the same."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_started.wait()

    def decide(self) -> Plan:
        """Return what would be done now; does nothing."""
        if self.roster.in_force is None:
            return Plan()
        return plan(self.roster.in_force.declaration, self.roster.observe(), self.roster.ports.now())

    def rehearse(self, declaration: Declaration) -> tuple[Plan, Observation]:
        """Return what would be done if another declaration came into force, and the world it was planned for."""
        force, roster = self.roster.in_force, self.roster
        observation = replace(
            roster.observe(),
            confirmed=None,
            declared_accounts=declared_accounts(declaration, roster.ports.vault.key),
            cut_off=force is not None and is_cut_off(declaration.masked_text, force.declaration.masked_text),
        )
        return plan(declaration, observation, roster.ports.now()), observation

    def act(self, decided: Plan) -> None:
        """Begin what a plan says."""
        begun = [] if self._stopping else self.executor.carry_out(decided.actions)
        if begun:
            words = [describe(action) for action in begun]
            self.roster.log(
                "plan", reason="; ".join(words)[:2000], detail={"actions": words[:200], "count": len(words)}
            )
        for name, tracked in self.roster.sessions.items():
            if tracked.held is not None and name not in decided.held:
                tracked.held = None
                if tracked.state is State.HELD:
                    self.roster.happen(tracked, Happening.DECLARED, "no longer held")
                self.roster.changed(name)
            if not tracked.busy:
                waiting = decided.waiting.get(name, "")
                self._rest(tracked, waiting and (tracked.why_waits or waiting))
        self._forget()
        self._last = decided
        starting = any(each.state is State.STARTING for each in self.roster.sessions.values())
        if self.executor.jobs.idle() and not starting and not self._all_started.is_set():
            self._all_started.set()
            self.executor.keeper.look()
        if self.converged() is not self._converged:
            self._converged = not self._converged
            self._on_convergence()

    def converged(self) -> bool:
        """Return whether nothing is left to do and every enabled session is connected."""
        force = self.roster.in_force
        if force is None or not self.at_rest():
            return False
        return all(
            self.roster.get(name).state is State.CONNECTED
            for name, spec in force.declaration.sessions.items()
            if spec.enabled and not self.roster.get(name).parked
        )

    def at_rest(self) -> bool:
        """Return whether nothing is left to do."""
        # Woken and not looked yet counts as work: an edit may be what woke it.
        return not self._last and not self._wake.is_set() and self.executor.jobs.idle()

    def halt(self) -> None:
        """Begin nothing any more; :meth:`run` returns."""
        self._stopping = True
        self.wake()

    @property
    def stopping(self) -> bool:
        """Whether nothing is begun any more."""
        return self._stopping

    async def _pause(self, wake_at: datetime | None) -> None:
        pause = RESYNC
        if wake_at is not None:
            pause = min(pause, max(timedelta(0), wake_at - self.roster.ports.now()))
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return

    def _hurry(self) -> None:
        """Start anew what stays for too long in a state that somebody else should have ended."""
        now, queue = self.roster.ports.now(), self._queue()
        for tracked in self.roster.sessions.values():
            over = tracked.state not in ALIVE or tracked.next_try_at is not None
            if tracked.running is not None and over and not tracked.busy:
                # It was to leave its worker, and that failed; nothing else would ever try it again.
                if tracked.not_before is None or tracked.not_before <= now:
                    self._errands.release(tracked, why=tracked.reason)
                continue
            if tracked.running is None or tracked.busy or tracked.entrusted_at is None or tracked.in_line:
                continue
            patience = deadline(tracked.state, started=tracked.by_start, queue=queue)
            if patience is None or now - max(tracked.entrusted_at, tracked.turn_at or tracked.entrusted_at) < patience:
                continue
            if self.roster.outlook.outage is not None and not tracked.by_start:
                continue  # the library redials, which is all that a start would do
            reason = f"it was {tracked.state.value} for {patience.total_seconds():.0f} s and nothing came of it"
            self.roster.happen(tracked, Happening.WORKER_LOST, reason)
            self.roster.retry_later(tracked, AFTER_DIAL, dialled=True)
            self._errands.release(tracked, why=reason)

    def _forget(self) -> None:
        """Forget those that left the file and were never linked: names that come and go would fill the memory."""
        declared = self.roster.in_force.declaration.sessions if self.roster.in_force else {}
        left = [t for name, t in self.roster.sessions.items() if name not in declared and t.is_nothing]
        for tracked in left:
            del self.roster.sessions[tracked.name]

    def _queue(self) -> float:
        """Return the seconds until all who may wait for their turn to dial have had one."""
        force = self.roster.in_force
        if force is None:
            return 0.0
        waiting = sum(t.running is not None and t.state not in ONLINE for t in self.roster.sessions.values())
        return waiting / force.declaration.fleet.pacing.dials_per_second

    def _is_outage(self, why: str) -> bool:
        outage = self.roster.outlook.outage
        return outage is not None and why == outage.words()

    def _rest(self, tracked: Tracked, why: str) -> None:
        """Have a session that is not to be started now say so, whatever it was before.

        Args:
            tracked: No action on it is under way, and none was begun just now.
            why: What it waits for, or "" if it is not in the file or nothing keeps it from running.
        """
        if tracked.running is None and tracked.state in ALIVE - {State.RECONNECTING}:
            self.roster.happen(tracked, Happening.WORKER_LOST, "its client was stopped, and none was started again")
        elif why and tracked.state in (State.PARKED, State.RETIRED):
            self.roster.happen(tracked, Happening.DECLARED, why)
        elif why and (
            tracked.state is State.DECLARED or (tracked.state is State.RECONNECTING and self._is_outage(why))
        ):
            self.roster.say(tracked, why)


def _settled(vault: Vault, name: str) -> Finding:
    """Look at one session; what cannot be read concerns that session, not the daemon's start."""
    try:
        try:
            return vault.settle(name)
        except CredentialUnreadableError:
            return vault.find(name)  # what the system does not let us read now, the start looks at again
    except (WakitError, OSError) as error:
        return Finding(Credential.DAMAGED, SessionRecord(), in_words(error), f"`wakit restart {name}` looks again")
