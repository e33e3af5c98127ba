"""What one session more costs, and one worker more: ``python tests/bench memory``.

A session more: the worker's memory with 1 to 32 aboard, and the slope of the line through it (target: at most 1 MB).
The bare library's process with as many is the baseline. A worker more: the memory of all workers of a fleet whose
sessions have one each, 1 to 8 of them, and its slope (target: at most 40 MB); the baseline is a bare process with one.
Memory is PSS after some seconds of quiet, the median of the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from gauges import load, private_mb, pss_mb, slope
from harness import Fleet
from paired import Paired, paired
from ways import DiedError, Watch, bare, declare, wakit, wakit_fleet

SESSION_TARGET_MB = 1.0
WORKER_TARGET_MB = 40.0
_QUIET = 5.0


def workers_mb(fleet: Fleet, watch: Watch, aboard: int) -> tuple[float, float, int]:
    """Start a fleet; return its workers' PSS and private memory when all is quiet, and how many there are."""
    names = watch.paired.names
    declare(fleet, names[:aboard], parked=names[aboard:])
    with wakit(fleet, watch) as running:
        watch.all_in(running, aboard)
        fleet.served()
        fleet.wait(lambda status: status.daemon.converged)
        time.sleep(_QUIET)
        pids = {s.worker_pid for s in fleet.status().sessions if s.worker_pid}
        return sum(map(pss_mb, pids)), sum(map(private_mb, pids)), len(pids)


def bare_mb(watch: Watch, aboard: int) -> float:
    """Return the PSS of a bare process with so many sessions."""
    while True:
        try:
            with bare(watch, watch.paired.names[:aboard]) as running:
                watch.all_in(running, aboard)
                time.sleep(_QUIET)
                return pss_mb(running.pid)
        except DiedError:
            continue


def per_session(linked: Paired, sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Return the worker's memory by sessions aboard, and the slope."""
    watch = Watch(linked)
    ours: dict[int, list[float]] = {size: [] for size in sizes}
    theirs: dict[int, list[float]] = {size: [] for size in sizes}
    with wakit_fleet(linked, linked.names, "sessions_per_worker = 32") as fleet:
        for _ in range(rounds):
            for size in sizes:
                pss, _, workers = workers_mb(fleet, watch, size)
                assert workers == 1
                ours[size].append(pss)
                theirs[size].append(bare_mb(watch, size))
    points = {size: median(found) for size, found in ours.items()}
    bare_points = {size: median(found) for size, found in theirs.items()}
    return {
        "mb_a_session": slope(list(map(float, points)), list(points.values())),
        "target_mb": SESSION_TARGET_MB,
        "bare_mb_a_session": slope(list(map(float, bare_points)), list(bare_points.values())),
        "worker_pss_mb": {str(size): mb for size, mb in points.items()},
        "bare_pss_mb": {str(size): mb for size, mb in bare_points.items()},
    }


def per_worker(linked: Paired, sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Return the memory of workers with a session each, and the slope."""
    watch = Watch(linked)
    pss: dict[int, list[float]] = {size: [] for size in sizes}
    private: list[float] = []
    with wakit_fleet(linked, linked.names, "sessions_per_worker = 1") as fleet:
        for _ in range(rounds):
            for size in sizes:
                found, own, workers = workers_mb(fleet, watch, size)
                assert workers == size
                pss[size].append(found)
                private.append(own / size)
    points = {size: median(found) for size, found in pss.items()}
    return {
        "mb_a_worker": slope(list(map(float, points)), list(points.values())),
        "target_mb": WORKER_TARGET_MB,
        "private_mb_a_worker": median(private),
        "bare_pss_mb_with_one": median(bare_mb(watch, 1) for _ in range(rounds)),
        "workers_pss_mb": {str(size): mb for size, mb in points.items()},
    }


def run(rounds: int = 3) -> dict[str, Any]:
    """Return megabytes."""
    with paired(32) as linked:
        session = per_session(linked, (1, 8, 16, 24, 32), rounds)
    with paired(8) as linked:
        worker = per_worker(linked, (1, 2, 4, 8), rounds)
    return {"one_session_more": session, "one_worker_more": worker, "load": load()}
