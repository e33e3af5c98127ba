"""Which backups may go. Pure: it sees dates, sizes and verdicts, and says names.

Kept of every account: the newest few, the newest of each of the last seven days, and always the newest good one, even
if that alone takes more room than the limit. If the rest takes too much, the oldest go first.

A bad backup takes no good one's place, and goes once there is a good newer one. What cannot be judged is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from wakit.core.declaration import VaultPolicy

_DAYS: Final = 7


class Standing(Enum):
    """What is known of a backup: its bytes were read, or could not be."""

    GOOD = auto()
    BAD = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Item:
    """One backup, as far as keeping it goes.

    Attributes:
        name: Sorts by age: a later one is greater.
        taken_at: When (UTC); a clock may have been wrong, so the name decides what is newer.
        account: Whose it is, or None if that cannot be told.
        size: Bytes on the disk.
        standing: What is known of it.
    """

    name: str
    taken_at: datetime
    account: str | None
    size: int
    standing: Standing


def expendable(items: Sequence[Item], policy: VaultPolicy, now: datetime) -> list[str]:
    """Name what may be deleted, the oldest first."""
    newest_first = sorted(items, key=lambda item: item.name, reverse=True)
    good = [item for item in newest_first if item.standing is Standing.GOOD]
    last_good = _newest_of_each(good)
    wanted = {
        item.name for account in last_good for item in _wanted([i for i in good if i.account == account], policy, now)
    }
    outlived = [item for item in newest_first if item.standing is Standing.BAD and _has_newer(item, last_good)]
    gone = {item.name for item in good if item.name not in wanted} | {item.name for item in outlived}
    safe = {item.name for item in last_good.values()}
    room = policy.max_bytes - sum(item.size for item in items if item.name not in gone)
    for item in reversed(good):
        if room >= 0:
            break
        if item.name not in gone and item.name not in safe:
            gone.add(item.name)
            room += item.size
    return sorted(gone)


def _newest_of_each(newest_first: Sequence[Item]) -> dict[str | None, Item]:
    """Find the newest of each account."""
    return {item.account: item for item in reversed(newest_first)}


def _wanted(newest_first: Sequence[Item], policy: VaultPolicy, now: datetime) -> list[Item]:
    """Choose among the good ones of one account: the newest, and the last one of each day."""
    days = {item.taken_at.date(): item for item in reversed(newest_first)}
    oldest = (now - timedelta(days=_DAYS - 1)).date()
    daily = [item for day, item in days.items() if oldest <= day <= now.date()]
    return [*newest_first[: max(1, policy.keep)], *daily]


def _has_newer(bad: Item, last_good: dict[str | None, Item]) -> bool:
    """Return whether a good one can stand in for a bad one; one of any account can if it is not known whose that is."""
    candidates = list(last_good.values()) if bad.account is None else [last_good.get(bad.account)]
    return any(item is not None and item.name > bad.name for item in candidates)
