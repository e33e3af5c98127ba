"""From ``kill -9`` of a worker to its sessions being connected again: ``python tests/bench recovery``.

Once with a session alone in its worker, once with 32 aboard. Target: under 2 s on loopback, where the pacing of the
declaration allows 100 dials a second. The baseline is a bare interpreter that imports the library, which the new worker
has to do in any case.
"""

from __future__ import annotations

import os
import signal
import time
from statistics import median, quantiles
from typing import Any

from bench_daemon import import_seconds, pair_all
from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import loopback_whatsapp


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


def alone(rounds: int) -> list[float]:
    """Return the seconds of one session in a worker of its own."""
    names = ["a", "b", "c"]
    with loopback_whatsapp() as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
        fleet.write("".join(f"[sessions.{name}]\n" for name in names))
        pair_all(fleet, whatsapp, names)
        fleet.up()
        fleet.wait_connected(*names)
        return [recovered_after(fleet, names[n % len(names)]) for n in range(rounds)]


def together(rounds: int, aboard: int) -> list[float]:
    """Return the seconds of many in one worker; a new daemon each round, because they come back in two workers."""
    names = [f"s{n:02d}" for n in range(aboard)]
    seconds = []
    with loopback_whatsapp() as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
        fleet.write("".join(f"[sessions.{name}]\n" for name in names))
        pair_all(fleet, whatsapp, names)
        for _ in range(rounds):
            fleet.up()
            fleet.wait_connected(*names)
            seconds.append(recovered_after(fleet, names[0]))
            fleet.end()
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Return what is worth telling of a few measurements."""
    return {"p50_s": median(seconds), "p95_s": quantiles(seconds, n=20)[-1], "max_s": max(seconds)}


def run(rounds: int = 10, aboard: int = 32) -> dict[str, Any]:
    """Return seconds, beside one import of the library."""
    one, many = alone(rounds), together(rounds // 2, aboard)
    baseline = median(import_seconds() for _ in range(3))
    return {
        "alone": spread(one),
        f"{aboard}_aboard": spread(many),
        "import_of_the_library_s": baseline,
        "ratio_p50_alone": median(one) / baseline,
        "ratio_p50_together": median(many) / baseline,
    }
