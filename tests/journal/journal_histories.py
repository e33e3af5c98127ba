"""Histories written by hand, and the views' answers to them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from wakit.core.records import JSON, DeclarationRecord, EventRecord
from wakit.journal import schema

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def event(seconds: float = 0, **fields: Any) -> EventRecord:
    """An event some seconds after midnight of the first of March 2026; a warning of run r1 unless told."""
    return EventRecord(ts=MIDNIGHT + timedelta(seconds=seconds), **{"kind": "warning", "run_id": "r1", **fields})


def state(seconds: float, session: str, to: str, **fields: Any) -> EventRecord:
    """A session entered a state."""
    return event(seconds, kind="state", session=session, state_to=to, **fields)


class History:
    """A journal in memory, written by hand: what the views say about it is compared with paper and pencil."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        schema.migrate(self.connection, datetime(2026, 1, 1))  # noqa: DTZ001
        self._seq = 0
        self._previous: dict[str, str] = {}

    def add(self, seconds: float, kind: str, *, run: str = "r1", **fields: Any) -> None:
        self._seq += 1
        detail: dict[str, JSON] = fields.pop("detail", {})
        row = {"reason": "", **fields, "run_id": run, "kind": kind, "seq": self._seq, "ts": naive(seconds)}
        names = ", ".join([*row, "detail"])
        marks = ", ".join("?" for _ in range(len(row) + 1))
        self.connection.execute(f"INSERT INTO events ({names}) VALUES ({marks})", [*row.values(), json.dumps(detail)])

    def start(self, seconds: float, run: str = "r1") -> None:
        self.add(seconds, "daemon_start", run=run)

    def stop(self, seconds: float, run: str = "r1") -> None:
        self.add(seconds, "daemon_stop", run=run)

    def state(self, seconds: float, session: str, to: str, reason: str = "", **fields: Any) -> None:
        before = self._previous.get(session)
        self.add(seconds, "state", session=session, state_from=before, state_to=to, reason=reason, **fields)
        self._previous[session] = to

    def pulse(self, seconds: float, run: str = "r1") -> None:
        self.connection.execute("INSERT INTO pulses VALUES (?, ?)", [run, naive(seconds)])

    def declare(self, seconds: float, rev: int, commit: str) -> None:
        self.connection.execute(
            "INSERT INTO declarations VALUES (?, ?, ?, ?, 'main', false, '')", [rev, f"sha{rev}", naive(seconds), commit]
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer; times as seconds after midnight of the first of March 2026."""
        found = self.connection.execute(sql).fetchall()
        return [tuple(seconds(v) if isinstance(v, datetime) else v for v in row) for row in found]


def naive(seconds: float) -> datetime:
    return (MIDNIGHT + timedelta(seconds=seconds)).replace(tzinfo=None)


def seconds(moment: datetime) -> float:
    return (moment.replace(tzinfo=UTC) - MIDNIGHT).total_seconds()


def declaration(sha256: str, **fields: Any) -> DeclarationRecord:
    return DeclarationRecord(**{"sha256": sha256, "loaded_at": MIDNIGHT, "text": "[wakit]", **fields})
