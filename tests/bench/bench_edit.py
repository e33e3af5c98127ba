"""From the save of sessions.toml to the change being applied: ``python tests/bench edit``.

The whole way with real clients: a session is parked and enabled in turn; "applied" is the moment the journal's event of
the new state carries (parked: the client is gone; starting: its worker is on its way). Both ends read the system clock.
Target: p95 under 1 s. The baseline is a plain inotify watch that sees the same save.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import fresh_number, loopback_whatsapp
from watchfiles import watch


def p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


def seen_by_a_plain_watch(folder: Path, rounds: int) -> list[float]:
    """Seconds until a bare watcher tells of a save."""
    told: list[float] = []
    ready, stop = threading.Event(), threading.Event()
    moments: list[float] = []
    heard = threading.Semaphore(0)

    def listen() -> None:
        for changes in watch(folder, step=5, debounce=20, stop_event=stop, yield_on_timeout=True, rust_timeout=50):
            ready.set()
            if changes:
                moments.append(time.monotonic())
                heard.release()

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait()
    try:
        for number in range(rounds):
            start = time.monotonic()
            (folder / "plain.txt").write_text(str(number))
            heard.acquire(timeout=10)
            told.append(moments[-1] - start)
    finally:
        stop.set()
        thread.join()
    return told


def applied(fleet: Fleet, enabled: bool) -> float:
    """Save an edit; return the seconds until it is applied."""
    seq = fleet.seq()
    saved = datetime.now(UTC)
    fleet.write(f"[sessions.a]\nenabled = {str(enabled).lower()}\n[sessions.b]\n")
    wanted = "starting" if enabled else "parked"
    event = fleet.wait_event(lambda e: e.session == "a" and e.state_to == wanted, since=seq)
    fleet.wait_states(a="connected" if enabled else "parked")
    moment = event.ts if event.ts.tzinfo else event.ts.replace(tzinfo=UTC)
    return (moment - saved).total_seconds()


def run(rounds: int = 12) -> dict[str, Any]:
    """Return milliseconds from save to applied."""
    with loopback_whatsapp() as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
        fleet.write("[sessions.a]\n[sessions.b]\n")
        fleet.up()
        for name in "ab":
            fleet.wait_states(**{name: "pairing"})
            whatsapp.sim.scan(fresh_number(), str(fleet.client().qr(name).payload))
        fleet.wait_connected("a", "b")
        times = [applied(fleet, enabled) * 1000 for _ in range(rounds) for enabled in (False, True)]
        baseline = [seconds * 1000 for seconds in seen_by_a_plain_watch(fleet.folder, rounds)]
    return {
        "applied_p50_ms": median(times),
        "applied_p95_ms": p95(times),
        "plain_watch_p50_ms": median(baseline),
        "ratio_p50": median(times) / median(baseline),
    }
