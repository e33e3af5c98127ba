"""One token bucket for the whole fleet: how often WhatsApp may be dialled.

In any window of ``t`` seconds at most ``burst + rate * t`` dials go out. A permit and the dial made with it are not the
same moment: a client has to be started first, and its worker may be busy. If the bucket went on filling meanwhile, the
permits that were saved up could be used all at once on top of a full bucket. So a permit that is out still counts as
lying in the bucket: only the dial takes its token away, and one that is given back was never gone.

Permits are spread by chance, each up to one interval (``1 / rate``) behind the one before it, so that a fleet does not
knock in step. Chance only ever delays, and delays do not add up: while one permit waits for its moment the bucket
fills, and the next one has only its own delay to wait for.

Pure: the caller brings the clock and the chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final

_EPSILON: Final = 1e-6  # of a token: more is not lost in adding up times
_LATE: Final = 0.05  # seconds a timer may be late


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A bucket that fills at ``rate`` tokens a second up to ``burst``.

    Attributes:
        rate: Tokens a second, above zero.
        burst: How many it holds, at least 1.
        level: How many there were at ``updated``, those that are out as permits included.
        out: How many are out as permits and were neither used nor given back.
        updated: Moment of ``level``, seconds on the caller's clock.
        not_before: When chance lets the next permit go.
    """

    rate: float
    burst: float
    level: float
    out: int
    updated: float
    not_before: float

    @classmethod
    def full(cls, rate: float, now: float) -> TokenBucket:
        """Return a full bucket whose burst is what one second brings, at least one token."""
        burst = max(1.0, rate)
        return cls(rate=rate, burst=burst, level=burst, out=0, updated=now, not_before=now)

    def free(self, now: float) -> float:
        """Return how many permits could be given, whatever chance says."""
        return self._level(now) - self.out + _EPSILON

    def next_at(self, now: float) -> float:
        """Return when the next permit may be given; infinity while all that the bucket can hold is out."""
        missing = 1 + self.out - self._level(now)
        if self.out + 1 > self.burst + _EPSILON:
            return inf
        return max(self.not_before, now + (missing / self.rate if missing > _EPSILON else 0.0))

    def permit(self, now: float, chance: float) -> TokenBucket:
        """Give a permit, at :meth:`next_at` or later.

        Args:
            now: The moment.
            chance: A number drawn evenly from [0, 1); it decides how far behind this permit the next one follows.

        Example:
            >>> bucket = TokenBucket.full(2.0, now=0.0)
            >>> for _ in range(2):
            ...     bucket = bucket.permit(0.0, chance=0.5).dial(0.0)
            >>> bucket.next_at(0.0)
            0.5
        """
        # From the moment it was due and not from the one it was noticed at, or each would lose what a timer is late.
        due = max(self.not_before, now - _LATE)
        return replace(self, out=self.out + 1, not_before=due + chance / self.rate)

    def dial(self, now: float) -> TokenBucket:
        """Note that a permit was used: this is when its token leaves the bucket."""
        return replace(self, level=self._level(now) - 1, out=max(0, self.out - 1), updated=max(now, self.updated))

    def give_back(self) -> TokenBucket:
        """Note that a permit will not be used."""
        return replace(self, out=max(0, self.out - 1))

    def at_rate(self, rate: float, now: float) -> TokenBucket:
        """Return the bucket with another rate from ``now`` on; debts are kept."""
        if rate == self.rate:
            return self
        burst = max(1.0, rate)
        level = min(burst, self._level(now))
        # What chance had in store was up to an interval of the old rate, which may have been an hour.
        soon = min(self.not_before, now + 1 / rate)
        return replace(self, rate=rate, burst=burst, level=level, updated=max(now, self.updated), not_before=soon)

    def _level(self, now: float) -> float:
        return min(self.burst, self.level + max(0.0, now - self.updated) * self.rate)
