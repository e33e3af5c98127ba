"""From ``kill -9`` of a worker to its session being connected again: ``python tests/bench recovery``.

Target: under 2 s on loopback. The baseline is a bare interpreter that imports the library, which the new worker has to
do in any case.
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
    """Kill a session's worker; return the seconds until the session is connected again."""
    before = next(s for s in fleet.status().sessions if s.name == name)
    assert before.worker_pid is not None
    start = time.monotonic()
    os.kill(before.worker_pid, signal.SIGKILL)
    fleet.wait(lambda s: any(x.name == name and x.state == "connected" and x.since > before.since for x in s.sessions))
    return time.monotonic() - start


def run(rounds: int = 10) -> dict[str, Any]:
    """Return seconds, beside one import of the library."""
    names = ["a", "b", "c"]
    with loopback_whatsapp() as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
        fleet.write("".join(f"[sessions.{name}]\n" for name in names))
        pair_all(fleet, whatsapp, names)
        fleet.up()
        fleet.wait_connected(*names)
        seconds = [recovered_after(fleet, names[n % len(names)]) for n in range(rounds)]
    baseline = median(import_seconds() for _ in range(3))
    return {
        "p50_s": median(seconds),
        "p95_s": quantiles(seconds, n=20)[-1],
        "max_s": max(seconds),
        "import_of_the_library_s": baseline,
        "ratio_p50": median(seconds) / baseline,
    }
