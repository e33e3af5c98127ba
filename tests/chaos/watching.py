"""Judges a run while it lasts, from the journal (SQL over the control socket) and from the sim's own counters."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from contextlib import suppress
from typing import Any

from wakit.errors import NoDaemonError
from wakit.sim.requests import Entry, What

from .book import Line
from .returns import Returns
from .stage import Stage
from .trouble import Trouble

_EVENTS = """
SELECT seq, epoch(ts) AS at, session, kind, state_from, state_to, reason, run_id, worker_pid
FROM events WHERE seq > ? ORDER BY seq LIMIT 50000
"""
# The two journals are of two processes on one machine: the same clock, read a moment apart.
_APART = 3.0
_STOPS_WITHIN = 10.0  # a client that was parked
# A login that lasted this long was told by a worker that is neither stopped nor starved.
_LASTED = 15.0


class Watch(threading.Thread):
    """Follows both journals every second.

    Attributes:
        broken: What did not hold, in words, without numbers.
    """

    def __init__(self, stage: Stage, trouble: Trouble, *, paired: set[str]) -> None:
        super().__init__(name="watch")
        self._stage = stage
        self._trouble = trouble
        self._client = stage.fleet.client()
        self._over = threading.Event()
        self._cursor = 0
        self._sim_cursor = stage.since
        self._states: dict[str, str] = {}
        self._run, self._last = "", 0.0
        self.returns = Returns()
        self.workers: set[int] = set()
        self._paired = set(paired)
        self.broken: list[str] = []
        self.connected: defaultdict[str, list[float]] = defaultdict(list)
        self.logins: defaultdict[str, list[Entry]] = defaultdict(list)
        self.closed: dict[int, float] = {}
        self.events = self.breaches = 0
        self.states: defaultdict[str, list[tuple[float, str, str]]] = defaultdict(list)
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(1.0):
                self.look()
        except BaseException as error:  # noqa: BLE001 - told where the run is judged
            self.failure = error

    def close(self) -> None:
        self._over.set()
        self.join()

    def look(self) -> None:
        """Read what is new in both, and judge it."""
        with suppress(NoDaemonError):
            for event in self._client.sql(_EVENTS, [self._cursor]).to_pylist():
                self._cursor = event["seq"]
                self.events += 1
                self.judge(event)
        for entry in self._stage.whatsapp.sim.journal(self._sim_cursor):
            self._sim_cursor = entry.seq
            if entry.what is What.LOGIN and entry.number is not None:
                self.logins[entry.number.reveal()].append(entry)
            elif entry.what is What.CLOSED and entry.connection is not None:
                self.closed[entry.connection] = entry.at
        self._judge_sim()

    def judge(self, event: dict[str, Any]) -> None:
        """Judge an event of the journal."""
        if event["run_id"] != self._run:  # a new daemon remembers what was noted, and tells what is news
            if self._run:
                self.returns.daemon_died(self._last)
            self._run = event["run_id"]
            self._states.clear()
        self._last = event["at"]
        if event["kind"] == "worker_spawned":
            self.workers.add(event["worker_pid"])
        name = event["session"]
        line = self._stage.book.past.get(name) if name else None
        if name is None:
            return
        if line is None:
            self._say(event, "is of a session that nobody declared")
            return
        if event["kind"] in ("qr", "code") and line.number in self._paired and not line.may_pair:
            self._say(event, "shows a code, and it was paired")
        if event["kind"] != "state":
            return
        before, after = event["state_from"], event["state_to"]
        if self._states.get(name, before) != before and not self._begins_anew(line, before):
            self._say(event, f"was {self._states[name]}, not {before}")
        self._states[name] = after
        self.returns.state(line.number, name, event["at"], after, event["reason"])
        self.states[line.number].append((event["at"], after, event["reason"]))
        if after == "retired" and line.number in self._paired and name not in self._stage.book.retirable:
            self._say(event, "is retired, and no edit took it out of the file")
        if after in ("paired", "connected"):
            self._paired.add(line.number)
            line.may_pair = False
        if after == "connected" and line.parked_at is not None and event["at"] > line.parked_at + _STOPS_WITHIN:
            self._say(event, "is connected, and a person had parked it")
        if after == "connected" and before != "degraded":
            self.connected[line.number].append(event["at"])

    def _begins_anew(self, line: Line, before: str) -> bool:
        """Return whether a name is one that left the file, was never linked, and so was forgotten."""
        return self._states[line.name] == "retired" and before == "declared" and line.number not in self._paired

    def _judge_sim(self) -> None:
        status = self._stage.whatsapp.sim.status()
        for account in status.accounts:
            for device in account.devices:
                if device.most_at_once > 1:
                    self._note("two clients of one device were logged in at once")
        by_us = status.totals.get(What.REPLACED, 0) - self._trouble.replaced
        if by_us > 0:
            self._note(f"{by_us} connections were replaced by ours")
        self.breaches = status.totals.get(What.BROKE_PROTOCOL, 0)

    def _say(self, event: dict[str, Any], what: str) -> None:
        self._note(f"{event['session']} (journal {event['seq']}): {event['kind']} {what}")

    def _note(self, what: str) -> None:
        if what not in self.broken:
            self.broken.append(what)

    # -- the end -----------------------------------------------------------------------------------------------------

    def compare_logins(self) -> None:
        """Hold the two journals beside each other: no login is made up, and none that lasted is missing."""
        for line in self._stage.book.lines:
            told = sorted(self.connected[line.number])
            seen = sorted(self.logins[line.number], key=lambda entry: entry.at)
            moments = [entry.at for entry in seen]
            for count, moment in enumerate(told, 1):
                if bisect_right(moments, moment + _APART) < count:
                    self._note(f"{line.name}: the journal tells of a login that the sim has not seen")
                    break
            for entry, following in zip(seen, [*moments, time.time()][1:], strict=True):
                until = min(self.closed.get(entry.connection or 0, following), following)
                if until - entry.at < _LASTED + self._slow():
                    continue
                # A client that hears nothing redials without a word; then it goes from degraded to connected.
                states = self.states[line.number]
                online = [at for at, state, _ in states if state == "connected"]
                if not any(entry.at - _APART <= moment <= until + _APART for moment in online):
                    near = [f"{at - entry.at:+.0f} s {state} ({reason})" for at, state, reason in states][-6:]
                    self._note(
                        f"{line.name}: a login that lasted {until - entry.at:.0f} s is not in the journal: "
                        + "; ".join(near)
                    )

    def _slow(self) -> float:
        return 25.0  # the longest that a worker is stopped

    def figures(self) -> dict[str, object]:
        """Return what was seen."""
        return {
            "events": self.events,
            "broken_off_in_a_handshake": self.breaches,
            "connected_in_journal": sum(map(len, self.connected.values())),
            "logins_in_sim": sum(map(len, self.logins.values())),
            "workers_started": len(self.workers),
            **self.returns.figures(),
        }
