"""The whole product from its process's start to everybody connected, and its memory: ``python tests/bench daemon``.

``wakit up`` on a folder whose sessions are paired already, with the real client against a loopback server. Memory is
the proportional set size (smaps_rollup of proc(5)) of the daemon and of its workers. The baseline is a bare
interpreter that imports the library, which every worker has to do.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import Any

from gauges import pss_mb
from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import LoopbackWhatsApp, fresh_number, loopback_whatsapp

_IMPORT = "import pylibmagic, neonize"


def pair_all(fleet: Fleet, whatsapp: LoopbackWhatsApp, names: list[str]) -> None:
    """Link every session with a phone of its own."""
    fleet.up()
    waiting = set(names)
    while waiting:
        status = fleet.wait(lambda s: any(x.name in waiting and x.state == "pairing" for x in s.sessions), timeout=120)
        for session in status.sessions:
            if session.name in waiting and session.state == "pairing":
                whatsapp.sim.scan(fresh_number(), str(fleet.client().qr(session.name).payload))
                waiting.discard(session.name)
    fleet.wait(lambda s: all(x.state == "connected" for x in s.sessions), timeout=120)
    fleet.end()


def measure(count: int, rounds: int) -> dict[str, float]:
    """Return seconds from spawn to everybody connected, and MB, for a fleet of ``count``."""
    names = [f"s{n:03d}" for n in range(count)]
    with loopback_whatsapp() as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
        fleet.write("".join(f"[sessions.{name}]\n" for name in names))
        pair_all(fleet, whatsapp, names)
        seconds, daemon, workers = [], 0.0, 0.0
        for _ in range(rounds):
            start = time.monotonic()
            fleet.up()
            fleet.wait(lambda s: s.daemon.converged, timeout=120)
            seconds.append(time.monotonic() - start)
            pids = {s.worker_pid for s in fleet.status().sessions if s.worker_pid}
            assert fleet.daemon is not None
            daemon, workers = pss_mb(fleet.daemon.pid), sum(map(pss_mb, pids))
            fleet.end()
    return {"seconds_median": median(seconds), "daemon_pss_mb": daemon, "workers_pss_mb": workers, "workers": len(pids)}


def import_seconds() -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", _IMPORT], check=True, capture_output=True)
    return time.monotonic() - start


def run(counts: tuple[int, ...] = (1, 8, 40), rounds: int = 3) -> dict[str, Any]:
    """Return figures by fleet size."""
    baseline = median(import_seconds() for _ in range(rounds))
    results: dict[str, Any] = {"import_of_the_library_s": baseline}
    for count in counts:
        found = measure(count, rounds)
        results[f"{count}_sessions"] = {**found, "ratio_to_one_import": found["seconds_median"] / baseline}
    return results
