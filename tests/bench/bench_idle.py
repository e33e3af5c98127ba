"""What a fleet costs while nothing happens: ``python tests/bench idle``.

100 connected sessions, a minute in which nobody writes and nothing fails: the processor time of wakit's daemon and of
each worker as a share of one core, and which threads it was. What is left then is keepalives (whatsmeow sends one every
20 to 30 s), the workers' heartbeats and the daemon's resync. Target: at most 1 % of a core. The baselines are the bare
library with the same sessions in one process, and processes that do nothing but send and pass on as many pings
(:mod:`least`): what these take, this machine takes for being woken.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gauges import load, threads
from harness import Fleet
from least import least_share
from paired import paired
from ways import DiedError, Watch, bare, wakit, wakit_fleet

TARGET_PERCENT = 1.0
_PING_EVERY = 25.0  # seconds; whatsmeow draws each pause from 20 to 30
_SETTLE = 15.0  # the backups of what has just proved good are over


def shares(pids: Sequence[int], seconds: float) -> tuple[dict[int, float], dict[int, dict[str, float]]]:
    """Return the per cent of a core that each process took during a span, and its threads by name."""
    before = {pid: threads(pid) for pid in pids}
    began = time.monotonic()
    time.sleep(seconds)
    span = time.monotonic() - began
    whole: dict[int, float] = {}
    parts: dict[int, dict[str, float]] = {}
    for pid, each in before.items():
        by_name: defaultdict[str, float] = defaultdict(float)
        for tid, (name, now) in threads(pid).items():
            # The main thread has the process's own number: there the event loop runs, in a worker the relay with it.
            named = "main" if tid == pid else name
            by_name[named] += 100 * (now - each.get(tid, ("", 0.0))[1]) / span
        whole[pid] = sum(by_name.values())  # without threads that ended meanwhile
        parts[pid] = {name: share for name, share in by_name.items() if share > 0}
    return whole, parts


def wakit_share(fleet: Fleet, watch: Watch, count: int, seconds: float) -> dict[str, Any]:
    """Return what wakit takes."""
    with wakit(fleet, watch) as running:
        watch.all_in(running, count)
        fleet.served()
        fleet.wait(lambda status: status.daemon.converged)
        time.sleep(_SETTLE)
        workers = sorted({s.worker_pid for s in fleet.status().sessions if s.worker_pid})
        whole, parts = shares([running.pid, *workers], seconds)
    in_workers: defaultdict[str, float] = defaultdict(float)
    for pid in workers:
        for name, share in parts[pid].items():
            in_workers[name] += share
    return {
        "percent_of_a_core": sum(whole.values()),
        "target_percent": TARGET_PERCENT,
        "daemon_percent": whole[running.pid],
        "workers_percent": sum(whole[pid] for pid in workers),
        "workers": len(workers),
        "daemon_threads_percent": parts[running.pid],
        "workers_threads_percent": dict(in_workers),
    }


def bare_share(watch: Watch, count: int, seconds: float) -> float:
    """Return what the bare library takes."""
    while True:
        try:
            with bare(watch, watch.paired.names[:count]) as running:
                watch.all_in(running, count)
                time.sleep(_SETTLE)
                return sum(shares([running.pid], seconds)[0].values())
        except DiedError:
            continue


def run(count: int = 100, seconds: float = 60.0) -> dict[str, Any]:
    """Return per cents of one core."""
    with paired(count) as linked:
        watch = Watch(linked)
        with wakit_fleet(linked, linked.names) as fleet:
            found = wakit_share(fleet, watch, count, seconds)
        found["bare_percent_of_a_core"] = bare_share(watch, count, seconds)
    found["pings_alone_percent"] = least_share(found["workers"], count / _PING_EVERY, seconds)
    return {**found, "load": load()}
