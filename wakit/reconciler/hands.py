"""What those who hear a worker's reports may set in motion; the executor's errands are these hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wakit.reconciler.tracked import Tracked
from wakit.redact import Secret


class Writer(Protocol):
    """Writes to the vault for those that must not wait for it."""

    def note(self, tracked: Tracked, write: Callable[[], object]) -> None:
        """Write to the vault, in order with this session's other writes, without holding up the loop."""


class Hands(Writer, Protocol):
    """What a report may set in motion."""

    def release(self, tracked: Tracked, *, why: str) -> None:
        """Begin to take the session out of its worker; it stays busy until that is done."""

    def hold_account(self, tracked: Tracked, user: Secret) -> None:
        """Have the worker hold the account that its session was linked to just now."""

    def settle(self, tracked: Tracked) -> None:
        """Look again at a credential whose worker died in the middle of pairing."""
