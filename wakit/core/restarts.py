"""How many tries a session has before a person has to look: a budget for a sliding window of time.

A session that fails again and again although the others do well has a trouble that trying does not mend. It is left
alone, in a state that says what happened, how often and since when, until somebody restarts it. So do systemd
(``StartLimitBurst`` in ``StartLimitIntervalSec``) and Erlang's supervisors (intensity in a period).

A daemon that crashed has given nobody a new budget: the next one takes up where it was (:class:`Setback`). One that
ended in order has, for somebody ended it and started it again.

What is nobody's fault is not counted: an outage of the network or of WhatsApp, the crash of a worker that others
shared, and a worker that cannot be started.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from wakit.core.declaration import RestartPolicy


@dataclass(frozen=True, slots=True)
class Failures:
    """When a session's tries failed, oldest first."""

    at: tuple[datetime, ...] = ()

    def add(self, now: datetime, policy: RestartPolicy) -> Failures:
        """Count one more and forget those that the window has left behind."""
        begin = now - timedelta(seconds=policy.window)
        return Failures((*(moment for moment in self.at if moment > begin), now))

    def spent(self, policy: RestartPolicy) -> bool:
        """Tell whether the budget is used up.

        Example:
            >>> from datetime import UTC
            >>> noon, policy = datetime(2026, 1, 1, 12, tzinfo=UTC), RestartPolicy(limit=2, window=60)
            >>> Failures((noon,)).spent(policy), Failures((noon, noon)).spent(policy)
            (False, True)
        """
        return len(self.at) >= policy.limit

    def before(self, moment: datetime) -> Failures:
        """Forget those from ``moment`` on: they turned out to be nobody's fault."""
        return Failures(tuple(each for each in self.at if each < moment))

    def words(self, name: str, last: str) -> str:
        """Say what happened, how often, since when, and what to do."""
        first = f"{self.at[0]:%Y-%m-%d %H:%M:%S} UTC"
        often = f"{len(self.at)} tries failed since {first}"
        return f"{last}; {often}, so it is left alone; `wakit restart {name}` tries again"


@dataclass(frozen=True, slots=True)
class Setback:
    """What a daemon that did not end in order left of a session's tries.

    Attributes:
        failures: What counted against its budget.
        gave_up: Why it was left alone, or "" if it was not.
        since: When the newest change of its state was (UTC).
    """

    failures: Failures
    gave_up: str
    since: datetime
