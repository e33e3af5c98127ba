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

    COLUMNS = ("seq", "ts", "session", "kind", "state_from", "state_to", "reason", "code", "detail", "worker_pid",
               "run_id", "declaration_rev", "git_commit", "git_branch")  # fmt: skip

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        schema.migrate(self.connection, datetime(2026, 1, 1))  # noqa: DTZ001
        self.clear()

    def clear(self) -> None:
        for table in ("events", "pulses", "declarations"):
            self.connection.execute(f"DELETE FROM {table}")
        self._pending: list[tuple[Any, ...]] = []
        self._seq = 0
        self._previous: dict[str, str] = {}

    def add(self, seconds: float, kind: str, *, run: str = "r1", **fields: Any) -> None:
        self._seq += 1
        detail: dict[str, JSON] = fields.pop("detail", {})
        row = {"reason": "", **fields, "run_id": run, "kind": kind, "seq": self._seq, "ts": naive(seconds)}
        row["detail"] = json.dumps(detail)
        self._pending.append(tuple(row.get(name) for name in self.COLUMNS))

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
            "INSERT INTO declarations VALUES (?, ?, ?, ?, 'main', false, '')",
            [rev, f"sha{rev}", naive(seconds), commit],
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer; times as seconds after midnight of the first of March 2026."""
        with self.connection.appender("events") as appender:
            appender.append_rows(self._pending)
        self._pending = []
        found = self.connection.execute(sql).fetchall()
        return [tuple(seconds(v) if isinstance(v, datetime) else v for v in row) for row in found]


def naive(seconds: float) -> datetime:
    return (MIDNIGHT + timedelta(seconds=seconds)).replace(tzinfo=None)


def seconds(moment: datetime) -> float:
    return (moment.replace(tzinfo=UTC) - MIDNIGHT).total_seconds()


def declaration(sha256: str, **fields: Any) -> DeclarationRecord:
    return DeclarationRecord(**{"sha256": sha256, "loaded_at": MIDNIGHT, "text": "[wakit]", **fields})
