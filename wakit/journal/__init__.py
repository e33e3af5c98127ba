"""Takes events and declarations, gives durable acknowledgements and answers to SQL.

Runs in the daemon (one thread owns the only connection to ``journal.duckdb``); :class:`Mirror` and
:func:`open_read_only` run in notebooks and in the command line. The only package that imports duckdb.
"""

from __future__ import annotations

from wakit.journal.health import Health
from wakit.journal.journal import Journal, JournalOptions
from wakit.journal.live import Gap, Numbered, Subscription
from wakit.journal.mirror import Fetch, Mirror, Synced
from wakit.journal.offline import OfflineJournal, open_read_only
from wakit.journal.queries import Limits, Parameters

__all__ = [
    "Fetch",
    "Gap",
    "Health",
    "Journal",
    "JournalOptions",
    "Limits",
    "Mirror",
    "Numbered",
    "OfflineJournal",
    "Parameters",
    "Subscription",
    "Synced",
    "open_read_only",
]
