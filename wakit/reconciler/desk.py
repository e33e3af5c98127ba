"""The desk: where people's requests come in and answers go out. Fulfils :class:`wakit.control.port.Fleet`.

A request never acts by itself. It notes what a person wants and wakes the loop, so that a request and an edit of the
file take the same way, in the same order, under the same refusals.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from wakit.control.schemas import (
    BackupList,
    BackupTaken,
    Counters,
    DaemonInfo,
    DeclarationInfo,
    EventLogged,
    Gap,
    Hello,
    JournalInfo,
    LiveFrame,
    PairingShown,
    PairRequest,
    PingInfo,
    PlanInfo,
    PlanRequest,
    SessionInfo,
    StatusInfo,
)
from wakit.core.actions import Plan
from wakit.core.declaration import Declaration
from wakit.core.lifecycle import ALIVE, STATUS, State
from wakit.core.observation import Credential
from wakit.core.remedies import remedies
from wakit.declare import Source, parse
from wakit.errors import ControlError
from wakit.reconciler.feed import Feed
from wakit.reconciler.lookup import declared, known
from wakit.reconciler.loop import Reconciler
from wakit.reconciler.ports import REPLAYED
from wakit.reconciler.roster import InForce
from wakit.reconciler.telling import DaemonFacts, backup_info, backup_taken, describe_declaration, describe_plan
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.upkeep import Upkeep
from wakit.reconciler.wishes import Wishes
from wakit.vault.manifest import Why

_PING_WITHIN: Final = 10.0  # as long as the library waits for the answer to a ping of its own
_ASKABLE: Final = frozenset({State.CONNECTED, State.DEGRADED})


class Desk:
    """Serves people.

    Args:
        reconciler: The loop.
        feed: The live feed.
        facts: This daemon.
        shutdown: Begins the daemon's end.
        read_log: Returns the last lines of a session's log.

    Attributes:
        upkeep: Replaces workers of an older release.
        waits_for: Says what an ending daemon waits for, None if it is not ending.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        feed: Feed,
        facts: DaemonFacts,
        *,
        shutdown: Callable[[], None],
        read_log: Callable[[str, int], list[str]],
        adapt: Callable[[Declaration], Declaration] = lambda found: found,
    ) -> None:
        self._reconciler = reconciler
        self._roster = reconciler.roster
        self._wishes = Wishes(reconciler)
        self._feed = feed
        self._facts = facts
        self._shutdown = shutdown
        self._read_log = read_log
        self._adapt = adapt
        self.upkeep: Upkeep | None = None
        self.waits_for: Callable[[], str | None] = lambda: None

    # -- reading -----------------------------------------------------------------------------------------------------

    def daemon(self) -> DaemonInfo:
        """Return the daemon's record."""
        facts = self._facts
        return DaemonInfo(
            pid=facts.pid,
            run_id=facts.run_id,
            version=facts.version,
            started_at=facts.started_at,
            state_dir=facts.state_dir,
            socket=facts.socket,
            sim=facts.sim,
            declaration=self._declaration(),
            journal_ok=self._roster.ports.ledger.healthy(),
            stuck_queries=self._roster.ports.ledger.stuck(),
            converged=self._reconciler.converged(),
            upgrade=self.upkeep.upgrade() if self.upkeep else None,
            ending=self.waits_for(),
            outage=self._reconciler.outages.info(),
        )

    def status(self) -> StatusInfo:
        """Return the daemon and all sessions."""
        return StatusInfo(daemon=self.daemon(), sessions=[self._info(tracked) for tracked in self._roster.shown()])

    def session(self, name: str) -> SessionInfo:
        """Return one session."""
        return self._info(known(self._roster, name))

    def find(self, name: str) -> SessionInfo | None:
        """Return one session, or None if it does not belong on the board."""
        tracked = self._roster.sessions.get(name)
        if tracked is None or not self._roster.is_shown(tracked):
            return None
        return self._info(tracked)

    def pairing(self, name: str) -> PairingShown | None:
        """Return what can be scanned or typed now."""
        return known(self._roster, name).pairing_shown(self._roster.ports.now())

    def plan(self) -> PlanInfo:
        """Return what the loop would do now."""
        return self._describe(self._reconciler.decide())

    async def plan_of(self, request: PlanRequest) -> PlanInfo:
        """Return what the loop would do if another file were followed; nothing is done.

        Raises:
            DeclarationError: It is no declaration.
        """
        dotenv = None if request.dotenv is None else request.dotenv.encode()
        source = Source(Path(request.path), request.path, request.text.encode(), dotenv)
        declaration = self._adapt(await asyncio.to_thread(parse, source, environ=os.environ))
        decided, observation = self._reconciler.rehearse(declaration)
        told = describe_declaration(InForce(declaration, 0, self._now()), None, request.path)
        return describe_plan(decided, told, remedies(decided.held, declaration, observation))

    def logs(self, name: str, lines: int) -> list[str]:
        """Return the last lines of the session's log."""
        return self._read_log(known(self._roster, name).name, lines)

    async def sql(self, query: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        """Run one read-only SELECT on the journal."""
        return await self._roster.ports.ledger.query(query, params, seconds=seconds, max_rows=max_rows)

    def journal(self, since: int) -> JournalInfo:
        """Return what of the journal is durable, with the events after the number ``since``."""
        return self._roster.ports.ledger.standing(since)

    def counters(self) -> Counters:
        """Return the figures for ``/metrics``."""
        return Counters(
            events_logged=self._roster.logged.total(),
            journal_queue=self._roster.ports.ledger.pending(),
            worker_exits=self._roster.exits,
        )

    async def live(self, *, pairing: str | None = None, since: int | None = None) -> AsyncIterator[LiveFrame]:
        """Stream what changes."""
        if pairing is not None:
            known(self._roster, pairing)
        with self._feed.listening(pairing) as listener:
            status, ledger = self.status(), self._roster.ports.ledger
            yield Hello(seq=ledger.last_seq(), daemon=status.daemon, sessions=status.sessions)
            told = 0
            if since is not None:
                past = await ledger.events_since(since)
                if len(past) >= REPLAYED and past[0].seq > since + 1:
                    yield Gap(first=since + 1, last=past[0].seq - 1)
                for event in past:
                    told = event.seq
                    yield EventLogged(event=event)
            if pairing is not None:
                listener.session(pairing)
            async for frame in listener.frames():
                # The replay above and the feed overlap; an event is told once, and what was told is not missing.
                if isinstance(frame, EventLogged) and frame.event.seq <= told:
                    continue
                if isinstance(frame, Gap) and frame.last <= told:
                    continue
                yield frame

    # -- asking ------------------------------------------------------------------------------------------------------

    async def apply(self, *, confirm: bool) -> PlanInfo:
        """Look now, also at what other commands did; with ``confirm`` what is held for confirmation is done too."""
        await self._reconciler.executor.errands.look_again()
        force = self._roster.in_force
        if confirm and force is not None:
            self._roster.confirmed = force.declaration.sha256
            self._roster.log("warning", reason="a person confirmed the held retirements")
        self._reconciler.retry_now()
        decided = self._reconciler.decide()
        told = self._describe(decided)  # of the world it was decided for
        self._reconciler.act(decided)
        return told

    async def pair(self, name: str, request: PairRequest) -> SessionInfo:
        """Pair because a person asks."""
        return self._info(await self._wishes.pair(name, request))

    async def restart(self, name: str, *, take_over: bool = False) -> SessionInfo:
        """Replace the client; with ``take_over`` the credential goes on here, even if it was used elsewhere since."""
        return self._info(await self._wishes.restart(name, take_over=take_over))

    async def park(self, name: str) -> SessionInfo:
        """Stop the client until ``resume``."""
        return self._info(await self._wishes.park(name))

    async def resume(self, name: str) -> SessionInfo:
        """Undo ``park``."""
        return self._info(await self._wishes.resume(name))

    async def backups(self, name: str) -> BackupList:
        """Return the backups of a session's credential."""
        vault = self._roster.ports.vault
        listed = await self._reconciler.executor.in_turn(
            known(self._roster, name).name, lambda: vault.listed_backups(name)
        )
        return BackupList(session=name, backups=[backup_info(backup) for backup in listed])

    async def backup(self, name: str) -> BackupTaken:
        """Back the credential up now."""
        return backup_taken(
            name, await self._reconciler.executor.keeper.take_or_raise(known(self._roster, name), Why.MANUAL)
        )

    async def restore(self, name: str, backup: str | None) -> SessionInfo:
        """Put a backup in the place of the credential in use."""
        tracked = declared(self._roster, name)
        if tracked.credential is Credential.UNLINKED:
            raise ControlError(
                f"{name} is left as it is",
                why="it was unlinked, and WhatsApp refuses what was linked before",
                hint=f"link the phone anew with `wakit pair {name}`",
            )
        await self._reconciler.executor.errands.put_back(tracked, backup)
        self._reconciler.wake()
        return self.session(name)

    async def replace(self) -> DaemonInfo:
        """Begin to replace the workers of another release than the installed one, one at a time."""
        if self.upkeep is not None:
            await self.upkeep.replace()
        return self.daemon()

    async def ping(self, name: str) -> PingInfo:
        """Have a session ask WhatsApp something now, and say whether it was answered."""
        tracked = known(self._roster, name)
        if tracked.worker_id is None:
            return PingInfo(session=name, alive=False, why=f"it has no client: {tracked.info(self._now()).reason}")
        if tracked.state not in _ASKABLE:
            return PingInfo(session=name, alive=False, why=f"it is {tracked.state.value}: {tracked.reason}")
        began = asyncio.get_running_loop().time()
        why = await self._roster.ports.workers.ask(tracked.worker_id, name, _PING_WITHIN)
        took = asyncio.get_running_loop().time() - began
        return PingInfo(session=name, alive=not why, seconds=None if why else round(took, 4), why=why)

    async def shutdown(self) -> None:
        """Begin the daemon's end."""
        self._shutdown()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _info(self, tracked: Tracked) -> SessionInfo:
        told = tracked.info(self._now())
        if self.waits_for() is None or tracked.worker_id is not None or tracked.state not in ALIVE:
            return told
        # Its state stays what it was, for the next daemon; here is no client of it any more.
        state, reason = State.DECLARED, "its client was stopped, for the daemon is ending"
        return told.model_copy(update={"state": state.value, "status": STATUS[state].value, "reason": reason})

    def _now(self) -> datetime:
        return self._roster.ports.now()

    def _declaration(self) -> DeclarationInfo:
        return describe_declaration(self._roster.in_force, self._reconciler.file_error, self._facts.config)

    def _describe(self, decided: Plan) -> PlanInfo:
        force = self._roster.in_force
        hints = remedies(decided.held, force.declaration, self._roster.observe()) if force is not None else {}
        return describe_plan(decided, self._declaration(), hints)
