"""Remembers when each session's phone was seen, and warns of the ones that ought to be looked at.

The memory is in ``session.json``, so it outlives the daemon, and moves with the credential. It is written at most once
an hour. Whether silence means anything is :mod:`wakit.core.phone`'s to say.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from wakit.core.observation import Credential
from wakit.core.phone import PhoneHealth, hear, judge_phone, quiet_words
from wakit.reconciler.hands import Writer
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Tracked

_LOOK_EVERY: Final = 600.0
_SAY_EVERY: Final = timedelta(days=1)


class Handsets:
    """The phones of a fleet.

    Args:
        roster: The sessions.
        hands: Writes to the vault.
    """

    def __init__(self, roster: Roster, hands: Writer) -> None:
        self._roster = roster
        self._hands = hands
        self._said: dict[str, datetime] = {}

    def linked(self, tracked: Tracked) -> None:
        """Begin anew: a phone has just linked this device, so it is online."""
        tracked.handset = None
        self.seen(tracked, self._roster.ports.now())

    def seen(self, tracked: Tracked, at: datetime) -> None:
        """Take evidence that the phone was online."""
        memory = hear(tracked.handset, at)
        if memory is tracked.handset:
            return
        tracked.handset = memory
        self._hands.note(tracked, lambda: self._roster.ports.vault.update(tracked.name, phone=memory))
        self._look_at(tracked, self._roster.ports.now())
        self._roster.changed(tracked.name)

    def look(self) -> None:
        """Look at every phone."""
        now = self._roster.ports.now()
        for tracked in list(self._roster.sessions.values()):
            self._look_at(tracked, now)

    async def run(self) -> None:
        """Look every ten minutes, for ever."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _look_at(self, tracked: Tracked, now: datetime) -> None:
        memory, warned = tracked.handset, tracked.warning
        linked = tracked.credential is Credential.PRESENT and self._roster.declared(tracked.name) is not None
        quiet = memory is not None and linked and judge_phone(memory, now) is PhoneHealth.QUIET
        tracked.warning = quiet_words(memory, now) if quiet and memory is not None else ""
        if quiet and now - self._said.get(tracked.name, now - _SAY_EVERY) >= _SAY_EVERY:
            self._said[tracked.name] = now
            self._roster.log("warning", tracked, reason=tracked.warning, code="phone_quiet")
        if warned and not quiet:
            self._said.pop(tracked.name, None)
            if linked:
                self._roster.log("warning", tracked, reason="its phone shows itself again", code="phone_seen")
        if tracked.warning != warned:
            self._roster.changed(tracked.name)
