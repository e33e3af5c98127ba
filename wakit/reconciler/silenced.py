"""Brings back those whose connections stay silent after an outage of the network: together, so that they share workers.

When, and who, is said by :func:`wakit.core.silence.cure`. Whoever hears again until then is left alone, and whoever is
deaf for a reason of its own is :mod:`wakit.reconciler.watch`'s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from wakit.core.declaration import HealthPolicy
from wakit.core.lifecycle import Happening, State
from wakit.core.silence import Cure, Deaf, cure
from wakit.reconciler.outages import Outages
from wakit.reconciler.returning import Releases
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Tracked


def cure_of(tracked: Tracked, roster: Roster) -> tuple[Deaf, Cure] | None:
    """Return how a session is deaf, and when its client is replaced; None if it is not, or all wait for the network."""
    outlook, force = roster.outlook, roster.in_force
    if tracked.state is not State.DEGRADED or tracked.busy or tracked.running is None:
        return None
    if outlook.outage is not None:  # of whatever kind: who leaves its worker now may not be started again
        return None
    policy = force.declaration.fleet.health if force else HealthPolicy()
    deaf = Deaf(tracked.since, tracked.heard_at, tracked.tried_anew_at)
    return deaf, cure(deaf, outlook.over, timedelta(seconds=policy.restart_after))


class Silenced:
    """Brings them back.

    Args:
        roster: The sessions.
        hands: Takes sessions out of their workers.
        outages: Has those who leave together start together.
    """

    def __init__(self, roster: Roster, hands: Releases, outages: Outages) -> None:
        self._roster = roster
        self._hands = hands
        self._outages = outages

    def look(self) -> None:
        """Replace the clients of those whose time is over."""
        now = self._roster.ports.now()
        for tracked, at in self._waiting():
            if at <= now:
                why = "the network is back and its connection stays silent; its client is replaced"
                tracked.tried_anew_at = now
                self._roster.happen(tracked, Happening.WORKER_LOST, why, code="deaf")
                self._outages.start_with_others(tracked)
                self._hands.release(tracked, why=why)

    def wake_at(self) -> datetime | None:
        """Return when :meth:`look` has something to do."""
        return min((at for _, at in self._waiting()), default=None)

    def _waiting(self) -> list[tuple[Tracked, datetime]]:
        if self._roster.outlook.over is None:
            return []
        found = ((tracked, cure_of(tracked, self._roster)) for tracked in self._roster.sessions.values())
        return [(tracked, said[1].at) for tracked, said in found if said is not None and said[1].together]
