"""Who shares a worker with whom.

A worker costs some 23 MB, a session in it 0.6 MB; a worker's crash costs everyone aboard. So in a small fleet each
session gets a worker, and a large one shares, by at most :data:`SHARED_BY`.

Nobody can tell from outside which of those aboard a crash is to be blamed on. So they come back in two workers, each
half kept apart from everybody else (:func:`halves`); the half that crashes again is divided again, and after at most
five crashes of a full worker one session crashes alone. The others are in service all the while.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil
from types import MappingProxyType
from typing import Final, Literal

ALONE_UP_TO: Final = 8
SHARED_BY: Final = 32


def halves(aboard: Sequence[str]) -> list[tuple[str, ...]]:
    """Divide those who were aboard when a worker crashed; one alone stays alone.

    Example:
        >>> halves(["a", "b", "c"])
        [('a', 'b'), ('c',)]
    """
    middle = (len(aboard) + 1) // 2
    return [share for share in (tuple(aboard[:middle]), tuple(aboard[middle:])) if share]


def most_aboard(paired: int, setting: int | Literal["auto"]) -> int:
    """Return how many may share a worker in a fleet of so many paired sessions that run.

    Example:
        >>> most_aboard(8, "auto"), most_aboard(9, "auto"), most_aboard(9, 4)
        (1, 32, 4)
    """
    if setting != "auto":
        return setting
    return 1 if paired <= ALONE_UP_TO else SHARED_BY


def assign(
    restoring: Sequence[str],
    *,
    running: int,
    setting: int | Literal["auto"],
    apart: Mapping[str, str] = MappingProxyType({}),
) -> list[tuple[str, ...]]:
    """Divide sessions that are about to be restored into workers.

    Args:
        restoring: The sessions, in the order they should start.
        running: How many paired sessions run already.
        setting: ``sessions_per_worker``.
        apart: Quarantine of those that were aboard of a crash, by session: whoever has the same one may share a worker,
            with nobody else.

    Example:
        >>> assign(["a", "b"], running=0, setting="auto")
        [('a',), ('b',)]
        >>> [len(w) for w in assign([str(n) for n in range(100)], running=0, setting="auto")]
        [25, 25, 25, 25]
        >>> assign(["a", "b", "c"], running=0, setting=32, apart={"a": "x", "b": "y"})
        [('c',), ('a',), ('b',)]
    """
    limit = most_aboard(running + len(restoring), setting)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in restoring:
        groups[apart.get(name, "")].append(name)
    # Those in no quarantine first: they are the ones that nothing is known against.
    return [share for group in sorted(groups) for share in _even(groups[group], limit)]


def _even(together: Sequence[str], limit: int) -> list[tuple[str, ...]]:
    """Even shares: one worker of 32 beside one of 1 would put 32 eggs into one basket for nothing."""
    workers = ceil(len(together) / limit)
    size, more = divmod(len(together), workers)
    shares: list[tuple[str, ...]] = []
    start = 0
    for index in range(workers):
        end = start + size + (index < more)
        shares.append(tuple(together[start:end]))
        start = end
    return shares
