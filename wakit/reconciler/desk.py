"""The desk: where people's requests come in and answers go out. Fulfils :class:`wakit.control.port.Fleet`.

A request never acts by itself. It notes what a person wants and wakes the loop, so that a request and an edit of the
file take the same way, in the same order, under the same refusals.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import Any

from wakit.control.schemas import (
    ActionInfo,
    BackupInfo,
    BackupList,
    BackupTaken,
    Counters,
    DaemonInfo,
    DeclarationInfo,
    EventLogged,
    Gap,
    Hello,
    LiveFrame,
    PairingShown,
    PairRequest,
    PingInfo,
    PlanInfo,
    SessionInfo,
    StatusInfo,
)
from wakit.core.actions import Plan, describe
from wakit.core.declaration import Pairing
from wakit.core.lifecycle import FINAL, State
from wakit.core.observation import UNUSABLE, Credential, Request
from wakit.core.remedies import remedies
from wakit.core.restarts import Failures
from wakit.errors import ControlError, UnknownSessionError
from wakit.reconciler.feed import Feed
from wakit.reconciler.loop import Reconciler
from wakit.reconciler.ports import REPLAYED
from wakit.reconciler.roster import InForce
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.upkeep import Upkeep
from wakit.redact import PhoneNumber, scrub
from wakit.vault.backups import Taken
from wakit.vault.manifest import Why
from wakit.vault.verification import Backup

_PING_WITHIN = 10.0  # as long as the library waits for the answer to a ping of its own
_ASKABLE = frozenset({State.CONNECTED, State.DEGRADED})
_LISTED = 12  # names that fit a hint
_MAY_BE_BACK = frozenset({Credential.DAMAGED, Credential.GIVEN_AWAY})
_ANEW = "link the phone anew with `wakit pair {}`"


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What is true of this daemon for its whole life."""

    pid: int
    run_id: str
    version: str
    started_at: datetime
    config: str
    state_dir: str
    socket: str
    sim: bool


def describe_declaration(force: InForce | None, error: Exception | None, path: str) -> DeclarationInfo:
    """Say what is in force, and what is wrong with what is not."""
    problem = scrub(str(error)) if error else None
    hint = str(getattr(error, "hint", "")) or None
    if force is None:
        return DeclarationInfo(path=path, error=problem, hint=hint)
    declaration = force.declaration
    git = declaration.git
    return DeclarationInfo(
        path=declaration.path,
        rev=force.rev,
        sha256=declaration.sha256,
        loaded_at=force.loaded_at,
        git_commit=git.commit if git else None,
        git_branch=git.branch if git else None,
        dirty=git.dirty if git else False,
        error=problem,
        hint=hint,
        warnings=list(declaration.warnings),
    )


def describe_plan(decided: Plan, declaration: DeclarationInfo, hints: Mapping[str, str]) -> PlanInfo:
    """Turn a plan into what travels; ``hints`` say what ends each hold."""
    return PlanInfo(
        actions=[
            ActionInfo.model_validate(
                {
                    "action": type(action).__name__.lower(),
                    "session": action.session,
                    "reason": action.reason,
                    "text": describe(action),
                }
            )
            for action in decided.actions
        ],
        waiting=dict(decided.waiting),
        held=dict(decided.held),
        hints=dict(hints),
        declaration=declaration,
    )


def backup_info(backup: Backup) -> BackupInfo:
    """Turn a backup into what travels."""
    manifest = backup.manifest
    if manifest is None:
        return BackupInfo(id=backup.name, problem=backup.problem)
    return BackupInfo(
        id=backup.name,
        created_at=manifest.created_at,
        why=str(manifest.why),
        size=manifest.size,
        sealed=bool(manifest.sealed),
        problem=backup.problem,
    )


def backup_taken(name: str, taken: Taken | None) -> BackupTaken:
    """Turn what a person's backup came to into what travels.

    Raises:
        ControlError: There was nothing to back up.
    """
    if taken is None:
        raise ControlError(
            f"{name} is not backed up", why="it has no credential in use", hint="see `wakit status` for its state"
        )
    return BackupTaken(session=name, new=taken.new, backup=backup_info(taken.backup))


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
    ) -> None:
        self._reconciler = reconciler
        self._roster = reconciler.roster
        self._feed = feed
        self._facts = facts
        self._shutdown = shutdown
        self._read_log = read_log
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
        now = self._roster.ports.now()
        return StatusInfo(daemon=self.daemon(), sessions=[tracked.info(now) for tracked in self._roster.shown()])

    def session(self, name: str) -> SessionInfo:
        """Return one session."""
        return self._known(name).info(self._roster.ports.now())

    def find(self, name: str) -> SessionInfo | None:
        """Return one session, or None if it does not belong on the board."""
        tracked = self._roster.sessions.get(name)
        if tracked is None or not self._roster.is_shown(tracked):
            return None
        return tracked.info(self._roster.ports.now())

    def pairing(self, name: str) -> PairingShown | None:
        """Return what can be scanned or typed now."""
        return self._known(name).pairing_shown(self._roster.ports.now())

    def plan(self) -> PlanInfo:
        """Return what the loop would do now."""
        return self._describe(self._reconciler.decide())

    def logs(self, name: str, lines: int) -> list[str]:
        """Return the last lines of the session's log."""
        return self._read_log(self._known(name).name, lines)

    async def sql(self, query: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        """Run one read-only SELECT on the journal."""
        return await self._roster.ports.ledger.query(query, params, seconds=seconds, max_rows=max_rows)

    def counters(self) -> Counters:
        """Return the figures for ``/metrics``."""
        return Counters(
            events_logged=self._roster.logged.total(),
            journal_queue=self._roster.ports.ledger.pending(),
            worker_exits=self._roster.logged["worker_exit"],
        )

    async def live(self, *, pairing: str | None = None, since: int | None = None) -> AsyncIterator[LiveFrame]:
        """Stream what changes."""
        if pairing is not None:
            self._known(pairing)
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
        await self._reconciler.executor.look_again()
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
        tracked = self._startable(name)
        if tracked.credential is Credential.PRESENT:
            if tracked.running is None or tracked.state in FINAL:
                self._ask(tracked, Request.RESTART)
        else:
            self._ask_to_pair(tracked, request)
        self._reconciler.wake()
        return self.session(name)

    async def restart(self, name: str, *, take_over: bool = False) -> SessionInfo:
        """Replace the client; with ``take_over`` the credential goes on here, even if it was used elsewhere since."""
        tracked = self._startable(name)
        if tracked.credential in _MAY_BE_BACK:
            # A person may have put a copy back. What it is worth is found out before the library is given it.
            found = await self._reconciler.executor.in_turn(name, partial(self._roster.ports.vault.find, name))
            if tracked.credential in _MAY_BE_BACK and not tracked.busy:
                tracked.remember(found)
        if tracked.credential in UNUSABLE:
            given = tracked.credential is Credential.GIVEN_AWAY
            raise ControlError(
                f"{name} cannot be restarted",
                why=(given and tracked.why_waits) or f"its credential is {tracked.credential.replace('_', ' ')}",
                hint=(f"take it back with `wakit import`, or {_ANEW}" if given else _ANEW).format(name),
            )
        if take_over and tracked.running is None and tracked.credential is Credential.PRESENT:
            await self._take_over(tracked)
        self._ask(tracked, Request.RESTART)
        self._reconciler.wake()
        return self.session(name)

    async def park(self, name: str) -> SessionInfo:
        """Stop the client until ``resume``."""
        return await self._set_parked(self._declared(name), parked=True)

    async def resume(self, name: str) -> SessionInfo:
        """Undo ``park``."""
        return await self._set_parked(self._declared(name), parked=False)

    async def backups(self, name: str) -> BackupList:
        """Return the backups of a session's credential."""
        vault = self._roster.ports.vault
        listed = await self._reconciler.executor.in_turn(self._known(name).name, lambda: vault.listed_backups(name))
        return BackupList(session=name, backups=[backup_info(backup) for backup in listed])

    async def backup(self, name: str) -> BackupTaken:
        """Back the credential up now."""
        return backup_taken(name, await self._reconciler.executor.keeper.take_or_raise(self._known(name), Why.MANUAL))

    async def restore(self, name: str, backup: str | None) -> SessionInfo:
        """Put a backup in the place of the credential in use."""
        tracked = self._declared(name)
        if tracked.credential is Credential.UNLINKED:
            raise ControlError(
                f"{name} is left as it is",
                why="it was unlinked, and WhatsApp refuses what was linked before",
                hint=f"link the phone anew with `wakit pair {name}`",
            )
        await self._reconciler.executor.put_back(tracked, backup)
        self._reconciler.wake()
        return self.session(name)

    async def replace(self) -> DaemonInfo:
        """Begin to replace the workers of another release than the installed one, one at a time."""
        if self.upkeep is not None:
            await self.upkeep.replace()
        return self.daemon()

    async def ping(self, name: str) -> PingInfo:
        """Have a session ask WhatsApp something now, and say whether it was answered."""
        tracked = self._known(name)
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

    def _now(self) -> datetime:
        return self._roster.ports.now()

    def _declaration(self) -> DeclarationInfo:
        return describe_declaration(self._roster.in_force, self._reconciler.file_error, self._facts.config)

    def _describe(self, decided: Plan) -> PlanInfo:
        force = self._roster.in_force
        hints = remedies(decided.held, force.declaration, self._roster.observe()) if force is not None else {}
        return describe_plan(decided, self._declaration(), hints)

    def _known(self, name: str) -> Tracked:
        tracked = self._roster.sessions.get(name)
        if tracked is None or not self._roster.is_shown(tracked):
            raise UnknownSessionError(f"There is no session {name!r}", hint=self._perhaps(name))
        return tracked

    def _perhaps(self, name: str) -> str:
        """Say who could have been meant; a fleet of hundreds is not listed."""
        known = [tracked.name for tracked in self._roster.shown()]
        if close := get_close_matches(name, known, n=3):
            return f"did you mean {' or '.join(close)}?"
        if len(known) <= _LISTED:
            return f"declared are: {', '.join(known) or 'none'}"
        return f"{len(known)} sessions are declared; see `wakit status`"

    def _declared(self, name: str) -> Tracked:
        tracked = self._known(name)
        if self._roster.declared(name) is None:
            raise ControlError(f"{name} is left as it is", why="it is no longer in the file", hint="see `wakit plan`")
        return tracked

    def _startable(self, name: str) -> Tracked:
        tracked = self._declared(name)
        spec = self._roster.declared(name)
        if spec is None or not spec.enabled:
            raise ControlError(f"{name} is not started", why="it is not enabled", hint="set enabled = true in the file")
        if tracked.parked:
            raise ControlError(f"{name} is not started", why="it is parked", hint=f"run `wakit resume {name}` first")
        if tracked.held is not None:
            raise ControlError(f"{name} is not started", why=tracked.held, hint="mend the file; see `wakit plan`")
        return tracked

    async def _take_over(self, tracked: Tracked) -> None:
        try:
            take_over = partial(self._roster.ports.vault.take_over, tracked.name)
            told = await self._reconciler.executor.in_turn(tracked.name, take_over)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ControlError(
                f"{tracked.name} was not taken over", why=why, hint="mend the disk, and ask again"
            ) from None
        if told:
            self._roster.log("warning", tracked, reason=told)

    @staticmethod
    def _ask(tracked: Tracked, request: Request) -> None:
        """Note a request; a person who asks does not wait for a pause that began before."""
        tracked.request = request
        tracked.attempt, tracked.next_try_at, tracked.not_before = 0, None, None
        tracked.failures = Failures()

    def _ask_to_pair(self, tracked: Tracked, request: PairRequest) -> None:
        if request.method is None and request.phone is None and tracked.pairs:
            return  # whoever names no way sees the code that is valid now, in whatever way it was asked for
        spec = tracked.spec
        declared_phone = spec.phone if spec else None
        method = Pairing(request.method) if request.method else spec.pairing if spec else Pairing.QR
        phone = self._phone(tracked.name, request.phone) or declared_phone
        if declared_phone is not None and phone != declared_phone:
            raise ControlError(
                f"{tracked.name} is not paired",
                why="the number given is not the one the file declares for it",
                hint="leave the number out, or change `phone` in the file",
            )
        if method is Pairing.CODE and phone is None:
            raise ControlError(
                f"{tracked.name} is not paired",
                why="pairing by code needs the account's number",
                hint=f'set `phone = "+…"` in the file, or run `wakit pair {tracked.name} --code`, which asks for it',
            )
        if tracked.pairs and self._pairs_so(tracked, method, phone):
            return  # whoever asks sees the code that is valid now
        tracked.method, tracked.phone = method, phone
        self._ask(tracked, Request.PAIR)
        # A client cannot be told to pair in another way; the next one is begun as asked.
        self._reconciler.executor.release(tracked, why=f"a person asked to pair by {method.value}")

    @staticmethod
    def _pairs_so(tracked: Tracked, method: Pairing, phone: PhoneNumber | None) -> bool:
        spec = tracked.spec
        underway = tracked.shown.kind if tracked.shown else tracked.method or (spec.pairing if spec else Pairing.QR)
        same_phone = phone == (tracked.phone or (spec.phone if spec else None))
        return underway is method and (method is Pairing.QR or same_phone)

    @staticmethod
    def _phone(name: str, text: str | None) -> PhoneNumber | None:
        if text is None:
            return None
        try:
            return PhoneNumber(text)
        except ValueError as error:
            raise ControlError(f"{name} is not paired", why=str(error), hint="give it as +34600000001") from None

    async def _set_parked(self, tracked: Tracked, *, parked: bool) -> SessionInfo:
        """Stop a client or let it run; returns once the next daemon, however this one ends, would do the same."""
        name, vault = tracked.name, self._roster.ports.vault
        tracked.parked = parked
        if parked:  # the newer word; what was asked for before is not to wait for the day it is resumed
            tracked.request = None
            tracked.end_pairing()
        self._reconciler.wake()
        try:
            await self._reconciler.executor.in_turn(name, lambda: vault.update(name, parked=parked))
        except OSError as error:
            raise ControlError(
                f"{name} is {'parked' if parked else 'resumed'}, but only until the daemon ends",
                why=f"it could not be noted: {error.strerror or type(error).__name__}",
                hint=f"mend the disk, then `wakit {'park' if parked else 'resume'} {name}` again",
            ) from error
        return tracked.info(self._roster.ports.now())
