"""``events``: what the journal remembers, and what is added to it while one looks.

While a daemon runs, only it may open the journal, so it is asked over the socket; otherwise the file is read directly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wakit.cli.fleet import Fleet
from wakit.cli.words import since as moment_of
from wakit.control.schemas import EventInfo, EventLogged, Gap
from wakit.errors import NoDaemonError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events: of one session or of all, newer than an age, and at most how many."""

    name: str | None
    since: str | None
    limit: int


def show(fleet: Fleet, asked: Asked, *, follow: bool, as_json: bool) -> None:
    """Print the events asked for, oldest first; with ``follow`` go on until Ctrl-C."""
    query, params = question(asked, datetime.now(UTC))
    last = 0
    for event in _read(_answer(fleet, query, params)):
        _print(event, as_json=as_json)
        last = max(last, event.seq)
    if follow:
        for event in _follow(fleet, last):
            if asked.name in (None, event.session):
                _print(event, as_json=as_json)


def question(asked: Asked, now: datetime) -> tuple[str, list[Any]]:
    """Return the SQL for what is asked, and its parameters."""
    conditions, params = ["true"], list[Any]()
    if asked.name is not None:
        conditions.append("session = ?")
        params.append(asked.name)
    if asked.since is not None:
        conditions.append("ts >= CAST(? AS TIMESTAMP)")
        params.append(moment_of(asked.since, now).replace(tzinfo=None).isoformat(" "))
    where = " AND ".join(conditions)  # of the texts above; what people type goes as parameters
    newest = f"SELECT * FROM events WHERE {where} ORDER BY seq DESC LIMIT {asked.limit}"  # noqa: S608
    return f"SELECT * FROM ({newest}) ORDER BY seq", params  # noqa: S608


def _answer(fleet: Fleet, query: str, params: list[Any]) -> pa.Table:
    try:
        return fleet.client.sql(query, params)
    except NoDaemonError:
        from wakit.journal import open_read_only  # noqa: PLC0415 - DuckDB, only without a daemon

        with open_read_only(fleet.journal) as journal:
            return journal.query(query, params=params)


def _read(table: pa.Table) -> Iterator[EventInfo]:
    return map(EventInfo.of_row, table.to_pylist())


def _follow(fleet: Fleet, last: int) -> Iterator[EventInfo]:
    for frame in fleet.client.live(since=last):
        if isinstance(frame, EventLogged):
            yield frame.event
        elif isinstance(frame, Gap):
            query = "SELECT * FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq"
            yield from _read(fleet.client.sql(query, [frame.first, frame.last]))


def _print(event: EventInfo, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(event.model_dump_json() + "\n")
    else:
        from wakit.cli import render  # noqa: PLC0415 - rich, only for people

        render.show(render.event(event))
    sys.stdout.flush()
