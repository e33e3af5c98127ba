"""What was logged and is not yet durable: numbered at once, in order, within a bound.

The bound is the last resort, for a disk that stays full. What no longer fits is counted, never dropped in silence: the
numbers it was given become one :class:`Loss`, which is later written as a warning under the first of these numbers. So
the sequence in the file has a hole only where an event beside the hole says how many are missing.

Callers hold the journal's lock; nothing here locks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from wakit.core.records import DeclarationRecord, EventRecord

_ROW_OVERHEAD: Final = 1024  # bytes a record, its row and its deque entry take besides their texts; measured generously


@dataclass(slots=True)
class Entry:
    """An event waiting to be written."""

    seq: int
    record: EventRecord
    detail: str

    @property
    def size(self) -> int:
        """About how many bytes of memory it holds."""
        return _ROW_OVERHEAD + len(self.record.reason) + 2 * len(self.detail)


@dataclass(slots=True)
class Loss:
    """Events that did not fit: the numbers ``first`` to ``last``, all of them."""

    first: int
    last: int
    run_id: str

    @property
    def count(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(slots=True)
class Declared:
    """A declaration waiting to be written."""

    rev: int
    record: DeclarationRecord


@dataclass(slots=True)
class Errand:
    """SQL for the owning thread to carry out in its turn; the future gives the first column of the first row."""

    statements: tuple[tuple[str, list[Any]], ...]
    result: Future[Any]


@dataclass(slots=True)
class Pulse(Errand):
    """A run's sign of life at a time (UTC, without a zone)."""

    run_id: str
    at: datetime


Item: TypeAlias = Entry | Loss | Declared | Errand


class Backlog:
    """The queue between whoever logs and the journal's thread.

    Args:
        next_seq: The number the next event gets.
        max_bytes: How much memory waiting events may hold.
    """

    def __init__(self, next_seq: int, max_bytes: int) -> None:
        self.next_seq = next_seq
        self.lost = 0
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._items)

    def push(self, record: EventRecord) -> int:
        """Number an event and queue it, or count it as lost."""
        seq = self.next_seq
        self.next_seq = seq + 1
        entry = Entry(seq, record, encode(record))
        if self._bytes + entry.size <= self._max_bytes:
            self._bytes += entry.size
            self._items.append(entry)
            return seq
        self.lost += 1
        newest = self._items[-1] if self._items else None
        if isinstance(newest, Loss):
            newest.last = seq
        else:
            self._items.append(Loss(seq, seq, record.run_id))
        return seq

    def put(self, item: Declared | Errand) -> None:
        """Queue what is never dropped: there is little of it."""
        self._items.append(item)

    def take(self, most: int) -> list[Item]:
        """Remove and return what is next: up to ``most`` events and declarations, or one errand."""
        batch: list[Item] = []
        while self._items and len(batch) < most:
            if isinstance(self._items[0], Errand):
                if not batch:
                    batch.append(self._items.popleft())
                break
            batch.append(self._items.popleft())
        return batch

    def written(self, batch: Sequence[Item]) -> None:
        """Give back the room of a batch; only now, so that a batch being retried still counts."""
        self._bytes -= sum(item.size for item in batch if isinstance(item, Entry))


def encode(record: EventRecord) -> str:
    """Return an event's detail as JSON text."""
    return json_text(record.detail)


def json_text(detail: Mapping[str, Any]) -> str:
    """Return an event's detail as the journal writes it."""
    return msgspec.json.encode(detail).decode() if detail else "{}"
