"""From an event in the daemon to the client that reads it: the whole way over the control socket.

A fleet in memory stands in for the reconciler, so what is measured is serving: its stream, the outbox, JSON, uvicorn,
the Unix socket and the typed client. The client runs in a process of its own, as the command line and the notebook do;
both processes read the same clock (CLOCK_MONOTONIC is one a machine). Event and clock travel in the event's ``reason``.

``python tests/bench/bench_live.py`` prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "control")]

from fake_fleet import FakeFleet, session  # noqa: E402

from wakit.control.server import create_app, serve_unix  # noqa: E402

READER = """
import asyncio, sys, time
from contextlib import aclosing
from pathlib import Path
from wakit.control.client import Client

async def main(state_dir, count):
    took = []
    async with aclosing(Client(Path(state_dir)).live()) as frames:
        async for frame in frames:
            if frame.type == "event":
                took.append(time.monotonic() - float(frame.event.reason))
                if len(took) == count:
                    break
    print(*took)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def run(*, events: int = 1000, readers: int = 10, seconds_between: float = 0.002) -> dict[str, Any]:
    """Measure and return figures in milliseconds: one reader, several readers, and a burst to one reader."""
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    try:
        return {
            "name": "live event to client",
            "events": events,
            "one_reader": asyncio.run(_measure(folder, events, 1, seconds_between)),
            f"{readers}_readers": asyncio.run(_measure(folder, events // 5, readers, seconds_between * 5)),
            "burst": asyncio.run(_measure(folder, events, 1, 0.0)),
        }
    finally:
        shutil.rmtree(folder)


async def _measure(folder: Path, events: int, readers: int, pause: float) -> dict[str, float]:
    fleet = FakeFleet(*(session(f"s{n}") for n in range(100)))
    async with serve_unix(create_app(fleet), folder / "control.sock"):
        processes = [await _reader(folder, events) for _ in range(readers)]
        await fleet.readers_are(readers)
        begun = time.monotonic()
        for _ in range(events):
            fleet.log(session="s1", reason=repr(time.monotonic()))
            await asyncio.sleep(pause)
        outputs = await asyncio.gather(*(process.communicate() for process in processes))
        whole = time.monotonic() - begun
    took = sorted(float(each) * 1000 for out, _ in outputs for each in out.split())
    assert len(took) == events * readers
    cuts = statistics.quantiles(took, n=100)
    return {
        "p50_ms": round(cuts[49], 3),
        "p95_ms": round(cuts[94], 3),
        "max_ms": round(took[-1], 3),
        "events_per_s": round(events * readers / whole),
    }


async def _reader(folder: Path, events: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        READER,
        str(folder),
        str(events),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")
