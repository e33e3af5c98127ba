"""From a blow to everybody being connected again: ``python tests/bench recovery``.

- ``kill -9`` of a worker: once with a session alone in it, once with 32 aboard. Target: under 2 s on loopback.
- The server drops every connection at once, 100 sessions.
- A minute without the network: every connection is gone and the port refuses dials; the watch starts when it is open
  again. (``--full`` does more rounds of this one.)

The bare library, all sessions in one process, meets the last two in the same run: it redials by itself, so what wakit's
relay, pacing and states add is the difference. A killed bare process stays dead; beside a worker's recovery stands one
import of the library, which any new process has to do. The server's eye tells when each session is back (p50 and p95
over the sessions of all rounds), the pacing lets everybody through.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from statistics import median, quantiles
from typing import Any

from bench_daemon import import_seconds
from gauges import load
from harness import Fleet
from paired import paired
from ways import DiedError, Running, Watch, bare, wakit, wakit_fleet

from wakit.sim.scenarios import Drop

WITHOUT_NETWORK = 60.0


def spread(seconds: list[float]) -> dict[str, float]:
    """Return what is worth telling of a few measurements."""
    return {"p50_s": median(seconds), "p95_s": quantiles(seconds, n=20, method="inclusive")[-1], "max_s": max(seconds)}


def recovered_after(fleet: Fleet, name: str) -> float:
    """Kill a session's worker; return the seconds until everybody who was aboard is connected again."""
    sessions = fleet.status().sessions
    (worker,) = {s.worker_pid for s in sessions if s.name == name}
    assert worker is not None
    since = {s.name: s.since for s in sessions if s.worker_pid == worker}
    start = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    fleet.wait(
        lambda status: (
            since.keys()
            <= {s.name for s in status.sessions if s.state == "connected" and s.since > since.get(s.name, s.since)}
        )
    )
    return time.monotonic() - start


def killed(aboard: int, rounds: int, settings: str) -> list[float]:
    """Return seconds of recovery; a new daemon each round, because those of one worker come back in two."""
    seconds = []
    with paired(aboard) as linked, wakit_fleet(linked, linked.names, settings) as fleet:
        watch = Watch(linked)
        for number in range(rounds):
            with wakit(fleet, watch) as running:
                watch.all_in(running, aboard)
                fleet.served()
                fleet.wait(lambda status: status.daemon.converged)
                seconds.append(recovered_after(fleet, linked.names[number % aboard]))
    return seconds


def dropped(watch: Watch, running: Running, count: int) -> list[float]:
    """Drop every connection; return the seconds until each session was back."""
    seq, struck = watch.seq(), time.time()
    assert watch.paired.whatsapp.sim.strike(Drop()) == count
    return [moment - struck for moment in watch.moments(running, count, since=seq)]


def cut_off(watch: Watch, running: Running, count: int) -> list[float]:
    """Take the network away for a minute; return the seconds from its return until each session was back."""
    sim = watch.paired.whatsapp.sim
    sim.listen(on=False)
    seq = watch.seq()
    sim.strike(Drop())
    time.sleep(WITHOUT_NETWORK)  # the outage itself
    back = time.time()
    sim.listen(on=True)
    return [moment - back for moment in watch.moments(running, count, since=seq)]


Blow = Callable[[Watch, Running, int], list[float]]


@contextmanager
def _wakit(fleet: Fleet, watch: Watch, count: int) -> Iterator[Running]:
    with wakit(fleet, watch) as running:
        watch.all_in(running, count)
        fleet.served()
        fleet.wait(lambda status: status.daemon.converged)
        yield running


@contextmanager
def _bare(watch: Watch, count: int) -> Iterator[Running]:
    while True:
        with bare(watch, watch.paired.names) as running:
            try:
                watch.all_in(running, count)
            except DiedError:
                continue
            yield running
            return


def struck(
    start: Callable[[], AbstractContextManager[Running]], watch: Watch, count: int, blows: list[tuple[str, Blow, int]]
) -> dict[str, Any]:
    """Let blows happen to one way, each so many times; return by blow each session's way back."""
    found: dict[str, Any] = {}
    for name, blow, rounds in blows:
        each: list[float] = []
        with start() as running:
            for _ in range(rounds):
                each += blow(watch, running, count)
                time.sleep(2.0)  # what follows a login (prekeys, a backup) belongs to no round
        found[name] = spread(each)
        print(f"  {name}: {found[name]}, load {load():.1f}", file=sys.stderr, flush=True)
    return found


def run(rounds: int = 10, aboard: int = 32, together: int = 100, *, full: bool = False) -> dict[str, Any]:
    """Return seconds."""
    one = killed(1, rounds, "sessions_per_worker = 1")
    many = killed(aboard, rounds, "sessions_per_worker = 32")
    print(f"  killed: {spread(one)}, {spread(many)}, load {load():.1f}", file=sys.stderr, flush=True)
    imports = median(import_seconds() for _ in range(3))
    blows: list[tuple[str, Blow, int]] = [
        ("everybody_dropped", dropped, rounds // 2),
        ("a_minute_without_network", cut_off, 5 if full else 1),
    ]
    with paired(together) as linked:
        watch = Watch(linked)
        with wakit_fleet(linked, linked.names) as fleet:
            ours = struck(partial(_wakit, fleet, watch, together), watch, together, blows)
        theirs = struck(partial(_bare, watch, together), watch, together, blows)
    return {
        "killed_alone": spread(one),
        f"killed_{aboard}_aboard": spread(many),
        "import_of_the_library_s": imports,
        "ratio_p50_alone": median(one) / imports,
        "ratio_p50_together": median(many) / imports,
        **{
            f"{name}_{together}": {"wakit": ours[name], "bare": theirs[name]} | _ratios(ours[name], theirs[name])
            for name in ours
        },
        "load": load(),
    }


def _ratios(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {f"ratio_{key}": ours[key] / theirs[key] for key in ("p50_s", "max_s")}
