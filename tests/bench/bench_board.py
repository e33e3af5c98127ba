"""The board in Chromium: how soon 500 sessions are painted, how they scroll, and how soon an event is in the page.

The first part has the widget alone on a page. Its baseline is the same board without windowing: a box so high that all
rows are in sight. ``frames`` are the distances between two animation frames while it scrolls; an empty page beside it
says what the machine can do at all. ``cpu`` is processor time of the page's main thread (of a frame, there): on a busy
machine it is what is worth reading.

The second part begins at the control server (``page`` begins at the workers): a fleet in memory behind it, of which
each of 100 sessions changes once a second, the live stream, a kernel, JupyterLab, the page. Event and clock travel in
the session's ``reason``; page and server read the same clock. The baseline is Jupyter's own way from a kernel to a
page: a widget of five lines that writes what it is sent.

``python tests/bench board``; needs playwright and Debian's chromium, like the browser tests.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "browser"), str(TESTS / "notebook")]

from bare import bare_page, changes, everything, hour, row  # noqa: E402
from lab import Visit, launch, running_lab  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402
from served_fleet import ServedFleet  # noqa: E402

REASONS = ("", "", "", "Name look-up failed: no network here, the last try was two minutes ago", "worker ended")
STATES = (("connected", "connected"), ("reconnecting", "disconnected"), ("declared", "pending"), ("failed", "failed"))
FRAMES = 120
TELL = """async (least) => {
  const begun = performance.now();
  tell(first);
  let now = await painted();
  while (document.querySelectorAll("tbody tr[data-session]").length < least) now = await painted();
  return now - begun;
}"""
SCROLL = """async ([box, steps]) => {
  const area = document.querySelector(box);
  const frames = [];
  let last = await new Promise(requestAnimationFrame);
  for (let n = 0; n < steps; n += 1) {
    area.scrollTop += 60;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""
WATCH = """() => {
  window.took = [];
  const seen = new Set();
  const read = (node) => {
    const sent = Number(node.textContent);
    if (!sent || seen.has(sent)) return;
    seen.add(sent);
    took.push(performance.timeOrigin + performance.now() - sent);
  };
  new MutationObserver((records) => {
    for (const { target } of records) {
      const node = target.nodeType === 3 ? target.parentNode : target;
      if (node.matches?.(".bare, [data-column=reason]")) read(node);
    }
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
BARE = '''
import anywidget, asyncio, time
class Bare(anywidget.AnyWidget):
    _esm = """export default { render({ model, el }) {
      const p = document.createElement("p");
      p.className = "bare";
      el.append(p);
      model.on("msg:custom", (message) => { p.textContent = message; });
    } }"""
bare = Bare()
async def tell():
    for _ in range(200):
        bare.send(repr(time.time() * 1000))
        await asyncio.sleep(0.03)
bare
'''


def run(*, sessions: int = 500, rounds: int = 3, seconds: float = 20.0) -> dict[str, Any]:
    """Measure and return figures in milliseconds."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        try:
            found = _alone(browser, sessions, rounds) | {"event_to_page": _whole_way(browser, seconds)}
        finally:
            browser.close()
    return {"name": "board", "sessions": sessions, **found}


def _alone(browser: Browser, sessions: int, rounds: int) -> dict[str, Any]:
    found: dict[str, dict[str, list[float]]] = {
        what: {"windowed": [], "all_rows": []}
        for what in ("first_paint", "first_paint_cpu", "hundred_changes", "hundred_changes_cpu", "idle_cpu_per_s")
    }
    frames: dict[str, list[float]] = {"board": [], "empty_page": []}
    frame_cpu: dict[str, list[float]] = {"board": [], "empty_page": []}
    elements: dict[str, int] = {}
    for _ in range(rounds):
        for way in ("windowed", "all_rows"):
            page = bare_page(browser, "board")
            if way == "all_rows":
                page.add_style_tag(content=".wakit-board .wakit-scroll { max-height: none !important; }")
            cpu = Cpu(page)
            now = int(time.time() * 1000)
            rows = [_row(n, now) for n in range(sessions)]
            past = {each["name"]: hour(now) for each in rows}
            page.evaluate("(message) => { window.first = message; }", everything(now, rows, past))
            cpu.spent()
            found["first_paint"][way].append(page.evaluate(TELL, 10 if way == "windowed" else sessions))
            found["first_paint_cpu"][way].append(cpu.spent())
            elements[way] = page.evaluate("document.querySelectorAll('*').length")
            if way == "windowed":
                cpu.spent()
                frames["board"] += page.evaluate(SCROLL, [".wakit-scroll", FRAMES])
                frame_cpu["board"].append(cpu.spent() / FRAMES)
                page.evaluate("document.querySelector('.wakit-scroll').scrollTop = 0")
            for n in range(5):
                told = [_row(k, now) | {"reason": f"change {n}"} for k in range(100)]
                page.evaluate("(message) => { window.first = message; }", changes(now, *told))
                cpu.spent()
                found["hundred_changes"][way].append(page.evaluate(TELL, 0))
                found["hundred_changes_cpu"][way].append(cpu.spent())
            page.wait_for_timeout(3000)
            found["idle_cpu_per_s"][way].append(cpu.spent() / 3)
            page.close()
        page = browser.new_page()
        page.set_content("<div id=box style='height:400px;overflow:auto'><div style='height:20000px'></div></div>")
        cpu = Cpu(page)
        frames["empty_page"] += page.evaluate(SCROLL, ["#box", FRAMES])
        frame_cpu["empty_page"].append(cpu.spent() / FRAMES)
        page.close()
    medians = {
        what: {way: round(statistics.median(took), 1) for way, took in ways.items()} for what, ways in found.items()
    }
    scrolling = {
        of: quantiles(took)
        | {"fps": round(1000 / statistics.mean(took), 1), "cpu": round(statistics.median(frame_cpu[of]), 2)}
        for of, took in frames.items()
    }
    return {**medians, "elements": elements, "frames": scrolling}


class Cpu:
    """Processor time of a page's main thread, which other processes on the machine do not lengthen."""

    def __init__(self, page: Page) -> None:
        self._tab = page.context.new_cdp_session(page)
        self._tab.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._before = 0.0
        self.spent()

    def spent(self) -> float:
        """Return the milliseconds since it was asked last."""
        metrics = self._tab.send("Performance.getMetrics")["metrics"]
        now = 1000 * next(each["value"] for each in metrics if each["name"] == "TaskDuration")
        before, self._before = self._before, now
        return float(now - before)


def _whole_way(browser: Browser, seconds: float) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    try:
        names = [f"s{n}" for n in range(100)]
        (folder / "lab").mkdir()
        with ServedFleet(folder, *names).up() as served, running_lab(folder / "lab") as lab:
            attach = (
                "from pathlib import Path\nfrom wakit.notebook.fleet import Fleet\n"
                f"fleet = Fleet(Path({str(folder)!r}) / 'sessions.toml', Path({str(folder)!r}))\nfleet"
            )
            lab.write("bench.ipynb", attach, BARE, "task = asyncio.create_task(tell())\nawait task")
            visit = Visit(browser, lab)
            visit.open("bench.ipynb")
            visit.run_cells(2)
            visit.page.wait_for_selector(".bare", state="attached")
            visit.page.get_by_text("100 connected").wait_for()
            visit.page.evaluate(WATCH)
            visit.run_cells(1)
            visit.page.wait_for_function("took.length >= 150", timeout=120_000)
            alone = visit.page.evaluate("took.splice(0)")
            _change(served, names, seconds)
            visit.page.wait_for_timeout(1000)
            board = visit.page.evaluate("took")
            visit.close()
    finally:
        shutil.rmtree(folder)
    return {"seen": len(board), "board": quantiles(board), "jupyter_alone": quantiles(alone)}


def _change(served: ServedFleet, names: list[str], seconds: float) -> None:
    """Change each session once a second, evenly spread."""
    clock = threading.Event()
    begun = time.monotonic()
    for n in range(int(seconds * len(names))):
        clock.wait(max(0.0, begun + n / len(names) - time.monotonic()))
        name, state = names[n % len(names)], ("reconnecting", "connected")[n // len(names) % 2]

        def act(fake: Any, name: str = name, state: str = state) -> None:
            fake.change(name, state, reason=repr(time.time() * 1000))
            fake.log(session=name, state_from="connected", state_to=state)

        served.do(act)


def _row(n: int, now: int) -> dict[str, Any]:
    state, status = STATES[0 if n % 7 else n % 4]
    return row(f"session-{n}", now, state=state, status=status, reason=REASONS[n % 5], since=now - n * 997_000)


def quantiles(took: list[float]) -> dict[str, float]:
    """Return what is worth telling of many times."""
    cuts = statistics.quantiles(took, n=100)
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "max": round(max(took), 1)}
