"""One token bucket for the whole fleet: who may dial WhatsApp when.

Pure: the caller brings the clock. Reservations are given in the order they are asked for, so nobody starves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A bucket that fills at ``rate`` tokens a second up to ``burst``.

    Attributes:
        rate: Tokens a second, above zero.
        burst: How many may be taken at once after a quiet time, at least 1.
        tokens: How many there are at ``updated``; negative when reservations reach into the future.
        updated: Moment of ``tokens``, seconds on the caller's clock.
    """

    rate: float
    burst: float
    tokens: float
    updated: float

    @classmethod
    def full(cls, rate: float, now: float) -> TokenBucket:
        """Return a full bucket whose burst is what one second brings, at least one token."""
        burst = max(1.0, rate)
        return cls(rate=rate, burst=burst, tokens=burst, updated=now)

    def reserve(self, now: float) -> tuple[TokenBucket, float]:
        """Take one token, on credit if need be; return the bucket after it and the seconds to wait.

        Example:
            >>> bucket = TokenBucket.full(2.0, now=0.0)
            >>> pauses = []
            >>> for _ in range(4):
            ...     bucket, pause = bucket.reserve(now=0.0)
            ...     pauses.append(pause)
            >>> pauses
            [0.0, 0.0, 0.5, 1.0]
        """
        tokens = min(self.burst, self.tokens + max(0.0, now - self.updated) * self.rate) - 1.0
        pause = max(0.0, -tokens / self.rate)
        return replace(self, tokens=tokens, updated=max(now, self.updated)), pause

    def at_rate(self, rate: float, now: float) -> TokenBucket:
        """Return the bucket with another rate from ``now`` on; debts are kept."""
        filled = min(self.burst, self.tokens + max(0.0, now - self.updated) * self.rate)
        burst = max(1.0, rate)
        return TokenBucket(rate=rate, burst=burst, tokens=min(burst, filled), updated=max(now, self.updated))
