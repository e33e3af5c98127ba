"""Looks again at sessions that nothing runs: another command may have brought a credential, or given one away.

The vault on the disk is the truth, and what the daemon remembers of it is a copy. Its own deeds keep the copy right; an
export or an import is somebody else's, and is found out by looking.
"""

from __future__ import annotations

from wakit.core.lifecycle import Happening, State
from wakit.core.observation import Credential
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.turns import Turns
from wakit.vault.vault import Finding


class Looker:
    """Looks what there is.

    Args:
        roster: The sessions.
        in_turn: Does the vault's work.
    """

    def __init__(self, roster: Roster, in_turn: Turns) -> None:
        self._roster = roster
        self._in_turn = in_turn

    async def settle(self, tracked: Tracked) -> Finding:
        """Look again at a session whose action failed or whose worker died: it may have been linked after all."""
        vault = self._roster.ports.vault
        finding = await self._in_turn(tracked.name, lambda: vault.settle(tracked.name))
        # A folder that vanished makes no new session out of one that was linked: the next start says what is missing.
        if finding.credential is not Credential.ABSENT or tracked.paired_at is None:
            tracked.remember(finding)
        return finding

    async def look_again(self, tracked: Tracked) -> None:
        """Look whether a credential came or went by another hand, and have it count."""
        before = tracked.credential
        if before is Credential.DAMAGED:
            return  # what is wrong may be deep inside: a start finds that out, and a person asks for one
        finding = await self.settle(tracked)
        if tracked.credential is before:
            return
        if tracked.credential is Credential.GIVEN_AWAY:
            tracked.request, tracked.parked = None, False  # as the vault noted
            tracked.end_pairing()
            tracked.wait_for_person(finding.said)
            if tracked.state is not State.RETIRED:
                self._roster.happen(tracked, Happening.CREDENTIAL_BAD, finding.said)
        elif tracked.credential is Credential.PRESENT:
            tracked.begin()
            self._roster.log("action", tracked, reason="a credential was brought in by another command", code="import")
        self._roster.changed(tracked.name)
