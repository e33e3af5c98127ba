"""Moves credentials with their names: puts away what left the file, brings it back, and gives it a new name.

A copy is taken before anything is put away, and what WhatsApp was asked to unlink is noted as unlinked at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from wakit.core.actions import Rename, Retire, Revive
from wakit.core.declaration import RetirePolicy
from wakit.core.lifecycle import Happening, State
from wakit.core.observation import Credential
from wakit.reconciler.keeping import Keeper
from wakit.reconciler.roster import Roster
from wakit.reconciler.starting import Starter
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.turns import Turns
from wakit.vault.manifest import Why
from wakit.vault.vault import Finding

_LOGOUT_SECONDS: Final = 10.0
_LOGIN_SECONDS: Final = 30.0


class Retirer:
    """Retires sessions, revives and renames them.

    Args:
        roster: The sessions.
        in_turn: Does the vault's work.
        starter: Starts one that has to be logged in to be unlinked.
        keeper: Takes the copy before.
        stop: Takes a session out of its worker.
    """

    def __init__(
        self,
        roster: Roster,
        in_turn: Turns,
        *,
        starter: Starter,
        keeper: Keeper,
        stop: Callable[[Tracked, str], Awaitable[None]],
    ) -> None:
        self._roster = roster
        self._ports = roster.ports
        self._in_turn = in_turn
        self._starter, self._keeper, self._stop = starter, keeper, stop

    async def retire(self, tracked: Tracked, action: Retire) -> None:
        """Stop a session that left the file, and put its credential away as the policy says."""
        # Before anything is awaited: what a person asks for while it is retired is about its next life.
        tracked.request, tracked.parked, tracked.planned = None, False, None
        tracked.end_pairing()
        if tracked.credential is Credential.PRESENT:
            await self._keeper.take(tracked, Why.BEFORE_RETIRE)
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
                await self._in_turn(tracked.name, partial(self._note_unlinked, tracked.name))
            await self._stop(tracked, action.reason)
            keep = action.policy is RetirePolicy.KEEP
            put_away = partial(self._put_away, tracked.name, keep=keep, unlinked=unlinked)
            tracked.remember(await self._in_turn(tracked.name, put_away))
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

    async def revive(self, tracked: Tracked, action: Revive) -> None:
        """Bring back the credential of a session that is in the file again."""
        await self._in_turn(tracked.name, lambda: self._ports.vault.revive(tracked.name))
        tracked.credential = Credential.PRESENT
        tracked.begin()
        self._roster.happen(tracked, Happening.DECLARED, action.reason)

    async def rename(self, tracked: Tracked, action: Rename) -> None:
        """Give a session the credential that another name had until now."""
        source = self._roster.get(action.source)
        await self._stop(source, action.reason)
        await self._in_turn(source.name, lambda: self._ports.vault.rename(source.name, tracked.name))
        tracked.remember(await self._in_turn(tracked.name, lambda: self._ports.vault.settle(tracked.name)))
        # A ban, a verdict or a person's wish to park goes with the credential; only its name is new.
        tracked.take_over(source)
        self._roster.outlook = self._roster.outlook.renamed(source.name, tracked.name)
        source.spec = self._roster.declared(source.name)
        self._roster.happen(source, Happening.RETIRE, f"renamed to {tracked.name}")

    # -- inside ------------------------------------------------------------------------------------------------------

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
