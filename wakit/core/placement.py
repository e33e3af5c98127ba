"""Who shares a worker with whom.

A worker costs some 43 MB, a session in it 0.6 MB; a worker's crash costs everyone aboard. So in a small fleet each
session gets a worker, and a large one shares, by at most :data:`SHARED_BY`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final, Literal

ALONE_UP_TO: Final = 8
SHARED_BY: Final = 32


def assign(
    restoring: Sequence[str], *, running: int, setting: int | Literal["auto"], alone: frozenset[str] = frozenset()
) -> list[tuple[str, ...]]:
    """Divide sessions that are about to be restored into workers.

    Args:
        restoring: The sessions, in the order they should start.
        running: How many paired sessions run already.
        setting: ``sessions_per_worker``.
        alone: Those that must have a worker of their own, as after a crash.

    Example:
        >>> assign(["a", "b"], running=0, setting="auto")
        [('a',), ('b',)]
        >>> [len(w) for w in assign([str(n) for n in range(100)], running=0, setting="auto")]
        [25, 25, 25, 25]
    """
    small = running + len(restoring) <= ALONE_UP_TO
    limit = setting if setting != "auto" else 1 if small else SHARED_BY
    apart: list[tuple[str, ...]] = [(name,) for name in restoring if name in alone]
    together = [name for name in restoring if name not in alone]
    if not together:
        return apart
    workers = ceil(len(together) / limit)
    # Even shares: one worker of 32 beside one of 1 would put 32 eggs into one basket for nothing.
    size, more = divmod(len(together), workers)
    shares: list[tuple[str, ...]] = []
    start = 0
    for index in range(workers):
        end = start + size + (index < more)
        shares.append(tuple(together[start:end]))
        start = end
    return apart + shares
