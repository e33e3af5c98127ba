"""From a worker's event to the page: real clients that change state, the whole of wakit between, a board in JupyterLab.

100 linked sessions are connected to the loopback WhatsApp, which cuts each of them off every other second, evenly
spread: a client that was cut off says so, dials, logs in and says that too, so each session changes once a second. What
is timed is from the worker's own clock, when the library told it, to the change of that session's row in the page:
worker, host, reconciler, journal, live stream, kernel, widget, browser. Only rows in sight are in the page, so only
those count. The row's ``since`` tells which change it shows.

The baseline is Jupyter's own way from a kernel to a page, before and while all that goes on: a widget of five lines
that writes what it is sent. ``cores`` says which processes had how much of a core meanwhile: two are all there is where
the figures of the docs were measured.

``python tests/bench page``; needs playwright and Debian's chromium, like the browser tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "browser"), str(TESTS / "notebook")]

from bench_board import BARE, quantiles  # noqa: E402
from gauges import cpu_seconds, family, load  # noqa: E402
from harness import PATIENCE, Fleet  # noqa: E402
from lab import Visit, launch, running_lab  # noqa: E402
from leaking import _sim, _wait_served  # noqa: E402
from paired import Paired, paired  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from ways import wakit_fleet  # noqa: E402

from wakit.sim.scenarios import Drop, Target  # noqa: E402

_TELL = "asyncio.create_task(tell()); None"
DAEMON = Path(__file__).with_name("timed_daemon.py")
EVERY = 2.0  # seconds between two cuts of a session, each of which is two changes
WATCH = """() => {
  window.took = [];
  window.painted = [];
  const now = () => performance.timeOrigin + performance.now();
  new MutationObserver((records) => {
    for (const { target, type } of records) {
      const node = target.nodeType === 3 ? target.parentNode : target;
      if (type === "attributes" && target.dataset.column === "since") {
        painted.push([target.parentNode.dataset.session, Date.parse(target.title), now()]);
      } else if (node.matches?.(".bare") && Number(node.textContent)) took.push(now() - Number(node.textContent));
    }
  }).observe(document.body, { childList: true, subtree: true, characterData: true, attributeFilter: ["title"] });
}"""


def run(*, sessions: int = 100, seconds: float = 20.0) -> dict[str, Any]:
    """Measure and return figures in milliseconds."""
    with paired(sessions) as linked:
        folder, notes = linked.folder / "lab", linked.folder / "notes"
        folder.mkdir()
        with (
            wakit_fleet(linked, linked.names) as fleet,
            _daemon(fleet, notes) as daemon,
            running_lab(folder) as lab,
            sync_playwright() as playwright,
        ):
            browser = launch(playwright)
            lab.write("bench.ipynb", _attach(fleet), BARE, _TELL, _TELL)
            visit = Visit(browser, lab)
            visit.open("bench.ipynb")
            seen = _watch(visit, linked, daemon, seconds)
            visit.close()
            browser.close()
        return {"name": "worker to page", "sessions": sessions, **_figures(seen, notes)}


def _attach(fleet: Fleet) -> str:
    return (
        "from pathlib import Path\nfrom wakit.notebook.fleet import Fleet\n"
        f"fleet = Fleet(Path({str(fleet.config)!r}), Path({str(fleet.state)!r}))\nfleet"
    )


@dataclass
class Seen:
    """What the page told (milliseconds), and what the processor was busy with."""

    alone: list[float]
    beside: list[float]
    painted: list[tuple[str, int, float]]
    cores: dict[str, float]
    load: float


def _watch(visit: Visit, linked: Paired, daemon: int, seconds: float) -> Seen:
    page = visit.page
    visit.run_cells(2)
    page.wait_for_selector(".bare", state="attached")
    page.get_by_text(f"{len(linked.names)} connected").wait_for()
    page.evaluate(WATCH)
    visit.run_cells(1)
    page.wait_for_function("took.length >= 190", timeout=120_000)
    alone = page.evaluate("took.splice(0)")
    page.locator(".wakit-board").scroll_into_view_if_needed()
    groups = _groups(linked, daemon)
    spent = {what: cpu_seconds(pids, children=False) for what, pids in groups.items()}
    began = time.monotonic()
    cutting = threading.Thread(target=_cut, args=(linked, linked.names, seconds))
    cutting.start()
    page.wait_for_timeout(seconds * 500)
    visit.run_cells(1)
    while cutting.is_alive():
        page.wait_for_timeout(200)
    took = time.monotonic() - began
    cores = {what: (cpu_seconds(pids, children=False) - spent[what]) / took for what, pids in groups.items()}
    page.wait_for_timeout(2000)  # for what is still under way
    painted, beside = page.evaluate("[painted, took]")
    return Seen(alone, beside, painted, cores, load())


def _groups(linked: Paired, daemon: int) -> dict[str, list[int]]:
    """Return the processes of each part, this one's own (the driver's) left out."""
    wakit, sim = family(daemon), _sim(linked)
    others = [pid for pid in family(os.getpid()) if pid not in (*wakit, sim, os.getpid())]
    return {"daemon": [daemon], "workers": wakit[1:], "loopback_whatsapp": [sim], "jupyter_and_browser": others}


def _figures(seen: Seen, notes: Path) -> dict[str, Any]:
    told = {(session, since): at for session, since, at in map(json.loads, notes.read_text().splitlines())}
    late = [at - told[session, since] for session, since, at in seen.painted if (session, since) in told]
    heard = [since - at for (_, since), at in told.items()]
    first, last = (pick(at for *_, at in seen.painted) for pick in (min, max))
    return {
        "changes_a_second": 1000 * sum(first <= at <= last for at in told.values()) / (last - first),
        "seen": len(late),
        "board": quantiles(late),
        "of_it_worker_to_daemon": quantiles(heard),
        "jupyter_alone": quantiles(seen.alone),
        "jupyter_beside": quantiles(seen.beside),
        "cores": {what: round(share, 2) for what, share in seen.cores.items()},
        "load": seen.load,
    }


@contextmanager
def _daemon(fleet: Fleet, notes: Path) -> Iterator[int]:
    with (fleet.folder / "up.out").open("ab") as output:
        fleet.daemon = subprocess.Popen(
            [sys.executable, str(DAEMON), str(fleet.config), str(notes)],
            env={**os.environ, **fleet.environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    pid = fleet.daemon.pid
    try:
        _wait_served(fleet)
        fleet.wait(
            lambda status: status.daemon.converged and {s.state for s in status.sessions} == {"connected"},
            timeout=4 * PATIENCE,
        )
        yield pid
    finally:
        fleet.end()


def _cut(linked: Paired, names: Sequence[str], seconds: float) -> None:
    """Cut each session off every so often, evenly spread."""
    clock = threading.Event()
    begun, pause = time.monotonic(), EVERY / len(names)
    for n in range(int(seconds / pause)):
        clock.wait(max(0.0, begun + n * pause - time.monotonic()))
        linked.whatsapp.sim.strike(Drop(), Target(dialer=names[n % len(names)]))


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
