"""How long to wait before trying again.

Exponential with full jitter: the pause is drawn evenly between nothing and a ceiling that grows with every attempt.
Full jitter spreads a fleet that lost its server at one moment better than a fixed or half-random pause does
(M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log


@dataclass(frozen=True, slots=True)
class Backoff:
    """A schedule of pauses, in seconds.

    Attributes:
        first: Ceiling of the pause after the first failure.
        cap: No ceiling is higher.
        floor: No pause is shorter: a spawn is not free, and chance may draw nothing at all.
        growth: What each failure makes of the ceiling, as a factor above 1.
    """

    first: float = 1.0
    cap: float = 300.0
    floor: float = 0.05
    growth: float = 2.0

    def pause(self, attempt: int, chance: float) -> float:
        """Return the pause before the next try.

        Args:
            attempt: How many tries have failed in a row, from 1.
            chance: A number drawn evenly from [0, 1).

        Example:
            >>> Backoff(first=1.0).pause(4, 0.5)
            4.0
        """
        # The power overflows a float long before an operator gives up; the cap is reached by then.
        reached = (attempt - 1) * log(self.growth) >= log(self.cap / self.first)
        ceiling = self.cap if reached else self.first * self.growth ** (attempt - 1)
        return max(self.floor, ceiling * chance)


# A crashed worker says nothing about WhatsApp: be back at once, and slow down only if it goes on crashing.
AFTER_CRASH = Backoff(first=0.25, cap=300.0)
# A dial that failed says that the network or WhatsApp is away: give it time.
AFTER_DIAL = Backoff(first=4.0, cap=300.0, floor=1.0)
