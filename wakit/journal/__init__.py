"""Takes events and declarations, gives durable acknowledgements and answers to SQL.

Runs in the daemon (one thread owns the only connection to ``journal.duckdb``); :class:`Mirror` and
:func:`open_read_only` run in notebooks and in the command line. The only package that imports duckdb.
"""

from __future__ import annotations

from wakit.journal.backlog import json_text
from wakit.journal.health import Health
from wakit.journal.journal import Journal, JournalOptions
from wakit.journal.live import Gap, Numbered, Subscription
from wakit.journal.mirror import Fetch, Look, Mirror, Row, Synced
from wakit.journal.offline import OfflineJournal, open_read_only
from wakit.journal.queries import Limits, Parameters
from wakit.journal.standing import Standing

__all__ = [
    "Fetch",
    "Gap",
    "Health",
    "Journal",
    "JournalOptions",
    "Limits",
    "Look",
    "Mirror",
    "Numbered",
    "OfflineJournal",
    "Parameters",
    "Row",
    "Standing",
    "Subscription",
    "Synced",
    "json_text",
    "open_read_only",
]
