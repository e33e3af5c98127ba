"""How the journal is doing, as the daemon, ``/metrics`` and ``wakit doctor`` are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Health:
    """How the journal is doing.

    Args:
        ok: The last attempt to write succeeded.
        error: What the last one failed with; empty if it did not.
        failing_since: When the failing began; None if all is well.
        pending: How many events are not acknowledged yet.
        lost: How many events did not fit into the backlog since the journal was opened.
        durable_seq: The newest acknowledged event.
        stuck: How many queries were told to stop, still run, and are waited for no longer; they hold memory, and one
            that outlives the journal's closing holds the file.
    """

    ok: bool
    error: str
    failing_since: datetime | None
    pending: int
    lost: int
    durable_seq: int
    stuck: int = 0
