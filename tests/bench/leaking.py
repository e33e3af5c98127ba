"""Campaigns that would show a leak: the same thing thousands of times, and figures before, meanwhile and after.

A leak is what grows with the number of times and does not stop. So each campaign takes samples as it goes on, leaves
the first half out (caches fill, the allocator takes its room), and asks for the slope of the rest in a thousand times.
Counts of tasks, threads, processes, descriptors and temporary files have no noise: they may not grow at all. Memory
has; it may grow by :data:`MEMORY_MB` in a thousand, the daemon's heap by :data:`HEAP_MB`. Of the daemon's, growth and
fragmentation are told apart: "used" is what the C allocator has given out and not got back, "gaps" what lies free
between that. A leak shows in the former, which goes up and down by a megabyte. The heap is all the memory that the
process has filled: both, and Python's own arenas.

The journal and the logs grow on purpose, and DuckDB keeps as much of the journal in memory as it may. Rows and that
cache are told beside the rest and judge nothing; the heap is told without the cache, "used" never has it (DuckDB maps
its blocks itself). What DuckDB takes besides, in its first thousands of commits and then no more, it is made to take
before the campaign (``watched_daemon.fill``).
The loopback WhatsApp remembers its last 50,000 entries, so its heap may grow until it has seen as many.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from gauges import cpu_seconds, descriptors, files_below, heap_mb, load, slope, threads
from harness import PATIENCE, Fleet, fleet_in
from paired import Paired
from ways import Running, Watch, declaration, declare

from wakit.sim.requests import What
from wakit.sim.scenarios import Drop

DAEMON = Path(__file__).with_name("watched_daemon.py")
MEMORY_MB = 1.0
HEAP_MB = 2.0  # with gaps, and what DuckDB gave back of its cache but the process still has
OBJECTS = 1000.0
# By figure, what it may grow by in a thousand times. A count that went up by one in the whole campaign is no slope of
# one in a thousand unless it goes on.
ALLOWED = {
    "daemon_heap_mb": HEAP_MB,
    "daemon_used_mb": MEMORY_MB,
    "daemon_objects": OBJECTS,
    "daemon_tasks": 0.5,
    "daemon_threads": 0.5,
    "daemon_descriptors": 0.5,
    "worker_heap_mb": MEMORY_MB,
    "worker_threads": 0.5,
    "worker_descriptors": 0.5,
    "sim_threads": 0.5,
    "sim_descriptors": 0.5,
    "processes": 0.5,
    "temporary_files": 0.5,
    "state_files": 0.5,
}
# By figure, what is no growth yet, however steep a short campaign makes it look; two of anything else.
LEAST = {
    "daemon_used_mb": 1.5,
    "daemon_objects": 500.0,
    "worker_heap_mb": 4.0,
    # The Go runtime gives no thread back, so there are as many as ever were busy at one moment; with eight workers that
    # are new each time, threads and files are counted in the middle of their start, too.
    "worker_threads": 12.0,
    "worker_descriptors": 8.0,
}
_WARM = 1 / 2


@dataclass
class Leaking:
    """A fleet under a campaign, and what was seen of it."""

    fleet: Fleet
    watch: Watch
    temporary: Path
    samples: list[dict[str, float]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def daemon(self) -> subprocess.Popen[bytes]:
        assert self.fleet.daemon is not None
        return self.fleet.daemon

    def order(self, op: str, **with_: object) -> dict[str, int]:
        """Have the daemon do or tell something."""
        assert self.daemon.stdin
        assert self.daemon.stdout
        self.daemon.stdin.write(json.dumps({"op": op, **with_}).encode() + b"\n")
        self.daemon.stdin.flush()
        line = self.daemon.stdout.readline()
        assert line, (self.fleet.folder / "up.out").read_text()[-2000:]
        answer: dict[str, int] = json.loads(line)
        return answer

    def workers(self) -> list[int]:
        return sorted({s.worker_pid for s in self.fleet.status().sessions if s.worker_pid})

    def sample(self, times: int) -> None:
        """Take the figures after so many times."""
        pid, workers, sim = self.daemon.pid, self.workers(), _sim(self.watch.paired)
        told = self.order("count")
        cached = told["cached_bytes"] / 2**20
        self.samples.append(
            {
                "times": times,
                "daemon_heap_mb": heap_mb(pid) - cached,
                "daemon_used_mb": told["used_bytes"] / 2**20,
                "daemon_gaps_mb": told["gap_bytes"] / 2**20,
                "daemon_objects": told["objects"],
                "daemon_tasks": told["tasks"],
                "daemon_threads": len(threads(pid)),
                "daemon_descriptors": descriptors(pid),
                "worker_heap_mb": sum(map(heap_mb, workers)),
                "worker_threads": sum(len(threads(worker)) for worker in workers),
                "worker_descriptors": sum(map(descriptors, workers)),
                "sim_heap_mb": heap_mb(sim),
                "sim_threads": len(threads(sim)),
                "sim_descriptors": descriptors(sim),
                "sim_entries": self.watch.seq(),
                "processes": len(_children(pid)),
                "temporary_files": files_below(self.temporary),
                "state_files": files_below(self.fleet.state),
                "journal_rows": told["rows"],
                "journal_cache_mb": cached,
                "daemon_cpu_s": cpu_seconds([pid], children=False),
            }
        )

    def verdict(self) -> dict[str, Any]:
        """Return, by figure, before and after, its slope in a thousand times, and whether that is too much."""
        warm = self.samples[int(len(self.samples) * _WARM) :]
        thousands = [each["times"] / 1000 for each in warm]
        took = time.monotonic() - self.began
        found: dict[str, Any] = {"times": int(self.samples[-1]["times"]), "seconds": round(took), "load": load()}
        leaks = []
        for key in self.samples[0]:
            if key == "times":
                continue
            grows = slope(thousands, [each[key] for each in warm])
            found[key] = {
                "before": self.samples[0][key],
                "halfway": self.samples[len(self.samples) // 2][key],
                "after": warm[-1][key],
                "a_thousand": grows,
            }
            if key in ALLOWED and grows > ALLOWED[key] and warm[-1][key] - warm[0][key] > LEAST.get(key, 2.0):
                leaks.append(key)
        return {**found, "grows": ", ".join(leaks) or "nothing"}


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _sim(linked: Paired) -> int:
    """Return the pid of the loopback WhatsApp that these sessions meet; this process may have others."""
    state = str(linked.whatsapp.state)
    (found,) = (each.pid for each in psutil.Process().children() if {"wakit.sim", state} <= set(each.cmdline()))
    return found


@contextmanager
def leaking(linked: Paired, settings: str, *, filled: bool) -> Iterator[Leaking]:
    """Run a watched daemon on linked sessions, all connected; nothing of it is left afterwards.

    Args:
        linked: The sessions.
        settings: Lines for ``[wakit]``.
        filled: DuckDB has taken what it takes in its first thousands of commits. That costs ten seconds, or minutes on
            a machine with much to do, and a short campaign can do without.
    """
    folder = linked.fleet(linked.names)
    temporary = folder / "tmp"
    temporary.mkdir()
    watch = Watch(linked, What.ACTIVE)
    with fleet_in(folder, head=declaration(linked, settings)) as fleet:
        declare(fleet, linked.names)
        with (folder / "up.out").open("ab") as output:
            fleet.daemon = subprocess.Popen(
                [sys.executable, str(DAEMON), str(fleet.config)],
                env={**os.environ, "TMPDIR": str(temporary), "XDG_STATE_HOME": str(folder / "home")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        process = fleet.daemon
        try:
            _wait_served(fleet)
            fleet.wait(lambda status: status.daemon.converged, timeout=120)
            under = Leaking(fleet, watch, temporary)
            if filled:
                under.order("fill")
            yield under
        finally:
            fleet.end()
            for pipe in (process.stdin, process.stdout):
                assert pipe
                pipe.close()


def _wait_served(fleet: Fleet) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fleet._serves():
        if fleet.daemon is None or fleet.daemon.poll() is not None or time.monotonic() > deadline:
            raise AssertionError((fleet.folder / "up.out").read_text())
        # Nothing tells when another process has imported everything; its socket can only be tried.
        time.sleep(0.05)


def repeat(under: Leaking, times: int, samples: int, do: Callable[[int, int], int]) -> None:
    """Do something so many times in all, sampled in between; ``do(done, wanted)`` returns how many it did."""
    under.sample(0)
    done = 0
    for number in range(1, samples + 1):
        due = times * number // samples
        while done < due:
            done += do(done, due - done)
        under.sample(done)
        print(f"  {done} times, load {load():.1f}", file=sys.stderr, flush=True)


def edits(
    linked: Paired, times: int, samples: int = 12, *, fresh_names: bool = False, filled: bool = True
) -> dict[str, Any]:
    """Put changed declarations into force: labels of sessions that run, and sessions that come and go."""
    with leaking(linked, 'retire = "keep"', filled=filled) as under:

        def text(number: int) -> str:
            body = "".join(f'[sessions.{name}]\nlabels = {{ edit = "{number}" }}\n' for name in linked.names)
            for other in range(20):
                if other != number % 20:
                    named = f"x{number}-{other}" if fresh_names and other == (number + 10) % 20 else f"x{other}"
                    body += f"[sessions.{named}]\nenabled = false\n"
            return under.fleet.head + body

        def do(done: int, wanted: int) -> int:
            some = min(wanted, 100)
            under.order("edit", texts=[text(done + each) for each in range(some)])
            return some

        repeat(under, times, samples, do)
        return under.verdict()


def crashes(linked: Paired, times: int, samples: int = 12, *, filled: bool = True) -> dict[str, Any]:
    """Kill workers, every one at once, and wait until all are back."""
    with leaking(linked, "sessions_per_worker = 1", filled=filled) as under:

        def do(_done: int, wanted: int) -> int:
            status = under.fleet.status()
            since = {s.name: s.since for s in status.sessions[:wanted]}
            for session in status.sessions[:wanted]:
                assert session.worker_pid is not None
                os.kill(session.worker_pid, signal.SIGKILL)
            under.fleet.wait(lambda status: _all_back(status.sessions, since) and status.daemon.converged, timeout=120)
            under.order("forgive")
            return len(since)

        repeat(under, times, samples, do)
        return under.verdict()


def _all_back(sessions: Sequence[Any], since: dict[str, datetime]) -> bool:
    return all(s.state == "connected" and s.since > since[s.name] for s in sessions if s.name in since)


def reconnects(linked: Paired, times: int, samples: int = 12, *, filled: bool = True) -> dict[str, Any]:
    """Drop every connection, and wait until all are back."""
    count = len(linked.names)
    with leaking(linked, "sessions_per_worker = 32", filled=filled) as under:
        running = Running(under.daemon.pid, time.time(), 0, lambda: under.daemon.poll() is None)

        def do(_done: int, _wanted: int) -> int:
            seq = under.watch.seq()
            struck = under.watch.paired.whatsapp.sim.strike(Drop())
            assert struck == count
            under.watch.all_in(running, count, since=seq)
            return struck

        repeat(under, times, samples, do)
        return under.verdict()
