"""Takes sessions out of their workers: for now, for good while parked, or to be started again."""

from __future__ import annotations

from functools import partial

from wakit.core.lifecycle import Happening
from wakit.core.observation import Credential, Request
from wakit.errors import WakitError
from wakit.reconciler.roster import Roster
from wakit.reconciler.starting import in_words
from wakit.reconciler.tracked import Planned, Tracked
from wakit.reconciler.turns import Turns


class Stopper:
    """Stops sessions.

    Args:
        roster: The sessions.
        in_turn: Does the vault's work.
    """

    def __init__(self, roster: Roster, in_turn: Turns) -> None:
        self._roster = roster
        self._ports = roster.ports
        self._in_turn = in_turn

    async def stop(self, tracked: Tracked, why: str) -> None:
        """Take a session out of its worker, if it has one; its credential is free for others afterwards."""
        if tracked.worker_id is not None:
            tracked.stopping = True
            try:
                await self._ports.workers.release(tracked.worker_id, tracked.name, why=why)
            finally:
                tracked.stopping = False
            # Not in the background: what follows may move the credential under another name, and into another's turn.
            await self._rest(tracked)
        tracked.leave_worker()
        self._roster.changed(tracked.name)

    async def park(self, tracked: Tracked, why: str) -> None:
        """Stop a session that is declared and not to run."""
        tracked.request = tracked.planned = None
        tracked.end_pairing()
        await self.stop(tracked, why)
        self._roster.happen(tracked, Happening.PARK, why)

    async def restart(self, tracked: Tracked, why: str) -> None:
        """Stop a session that is to be started again."""
        # Level-based: with nothing running and nothing to wait for, the next plan starts it. Decided before the client
        # is stopped: what it tells meanwhile comes on top, and one that is unlinked at this very moment must not be
        # taken for one that was pairing because a person asked.
        asked, tracked.request = tracked.request is Request.RESTART, None
        tracked.planned = Planned(why)
        tracked.ask_again()
        tracked.begin()
        try:
            await self.stop(tracked, why)
        except Exception:
            tracked.request = Request.RESTART
            raise
        if asked and tracked.request is None and tracked.credential is Credential.PRESENT and _is_free(tracked):
            # Half of what was asked for. A breaker that is open holds the other half back unless it still is.
            tracked.request = Request.RESTART

    async def _rest(self, tracked: Tracked) -> None:
        try:
            await self._in_turn(tracked.name, partial(self._ports.vault.rest, tracked.name))
        except (OSError, WakitError) as error:  # it is stopped all the same
            self._roster.log("warning", tracked, reason=f"its end could not be noted: {in_words(error)}")


def _is_free(tracked: Tracked) -> bool:
    return not tracked.waits_for_person and tracked.next_try_at is None
