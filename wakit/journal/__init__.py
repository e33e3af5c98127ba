"""Takes events and declarations, gives durable acknowledgements and answers to SQL.

Runs in the daemon (one thread owns the only connection to ``journal.duckdb``); :class:`Mirror` and
:func:`open_read_only` run in notebooks and in the command line. The only package that imports duckdb.
"""

from __future__ import annotations
