"""The figures for Prometheus, in its text format 0.0.4. No label holds a session's name: labels are for sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from wakit.control.schemas import Counters, StatusInfo
from wakit.core.breaker import Trouble
from wakit.core.lifecycle import State

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def render(status: StatusInfo, counters: Counters, live_readers: int) -> str:
    """Return the whole page.

    Args:
        status: The daemon and its sessions.
        counters: What only grows.
        live_readers: How many live streams are open.
    """
    return "\n".join(_lines(status, counters, live_readers)) + "\n"


def _lines(status: StatusInfo, counters: Counters, live_readers: int) -> Iterator[str]:
    daemon = status.daemon
    states = Counter(session.state for session in status.sessions)
    yield from _head("wakit_sessions", "gauge", "Sessions by state.")
    for state in State:
        yield f'wakit_sessions{{state="{state}"}} {states[state]}'
    yield from _head("wakit_outage", "gauge", "1 while this keeps the whole fleet from WhatsApp.")
    for trouble in Trouble:
        is_it = daemon.outage is not None and daemon.outage.trouble == trouble
        yield f'wakit_outage{{trouble="{trouble}"}} {int(is_it)}'
    yield from _head("wakit_info", "gauge", "The daemon.")
    yield f'wakit_info{{version="{daemon.version}",api="{daemon.api}",sim="{str(daemon.sim).lower()}"}} 1'
    singles = [
        ("wakit_start_time_seconds", "gauge", "When the daemon started, Unix time.", daemon.started_at.timestamp()),
        (
            "wakit_converged",
            "gauge",
            "1 when nothing is left to do and every session that is to run is connected.",
            int(daemon.converged),
        ),
        ("wakit_journal_ok", "gauge", "1 when the journal can be written.", int(daemon.journal_ok)),
        ("wakit_journal_queue", "gauge", "Events not yet durable.", counters.journal_queue),
        ("wakit_journal_stuck_queries", "gauge", "Told to stop and still running.", daemon.stuck_queries),
        ("wakit_events_total", "counter", "Events logged in this run.", counters.events_logged),
        ("wakit_worker_exits_total", "counter", "Workers that ended in this run.", counters.worker_exits),
        ("wakit_live_readers", "gauge", "Open live streams.", live_readers),
    ]
    for name, kind, meaning, value in singles:
        yield from _head(name, kind, meaning)
        yield f"{name} {value}"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return (f"# HELP {name} {meaning}", f"# TYPE {name} {kind}")
