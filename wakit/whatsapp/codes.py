"""How long what is shown for pairing is good: WhatsApp gives its codes one after the other, and then no more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

FIRST_CODE: Final = timedelta(seconds=60)
NEXT_CODES: Final = timedelta(seconds=20)
CODES: Final = 6
"""WhatsApp sends six codes; the first lives 60 s and each other 20 s (qrchan.go)."""

ALL_CODES: Final = FIRST_CODE + (CODES - 1) * NEXT_CODES
"""How long pairing is possible at all, and so how long a typed code is good."""

_SLACK: Final = timedelta(seconds=1)


class Codes:
    """The codes of one pairing, as they come.

    Example:
        >>> from datetime import UTC
        >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
        >>> codes = Codes()
        >>> codes.take(noon).isoformat(), codes.typed_until(noon).isoformat()
        ('2026-01-01T12:01:00+00:00', '2026-01-01T12:02:40+00:00')
        >>> codes.ran_out(noon + FIRST_CODE)
        True
    """

    def __init__(self) -> None:
        self.taken = 0
        self._first_at: datetime | None = None
        self._until: datetime | None = None

    def take(self, now: datetime) -> datetime:
        """Note that the next code came; return when it expires."""
        self.taken += 1
        self._first_at = self._first_at or now
        self._until = now + (FIRST_CODE if self.taken == 1 else NEXT_CODES)
        return self._until

    def typed_until(self, now: datetime) -> datetime:
        """Return when a code to type expires that comes now."""
        return (self._first_at or now) + ALL_CODES

    def ran_out(self, now: datetime) -> bool:
        """Return True if the newest code is over and, as far as is known, no other follows."""
        return self._until is not None and (self.taken >= CODES or now >= self._until - _SLACK)
