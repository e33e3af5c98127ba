"""What the worker alone adds to a restore, beside a bare neonize process: no daemon, no journal, no checks.

Both restore the same paired sessions against the same loopback WhatsApp, in turns, so that whatever else the machine
does meets both. A round begins when the first process is spawned (the host itself runs already, as the daemon does)
and ends when the last session is connected; memory is the proportional set size then, of every process of the round.

The bare process starts all its clients at once, which is quick and sometimes kills it (Go's maps have no lock): such
rounds are counted as ``deaths`` and repeated. Run it with ``python tests/bench/bench_worker.py``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.linking import Unlinked, link_on

from wakit.core.declaration import Endpoint
from wakit.core.placement import assign
from wakit.sim.endpoint import SimEndpoint, running_sim
from wakit.whatsapp.port import (
    Connected,
    SessionStart,
    WorkerExited,
    WorkerLaunch,
    WorkerReport,
)
from wakit.worker.host import WorkerHost

BARE = Path(__file__).with_name("bare_neonize.py")
PATIENCE = 120.0


@dataclass
class Round:
    """Seconds from spawn to all connected, and megabytes of all its processes then."""

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    deaths: int = 0

    def figures(self) -> dict[str, Any]:
        return {
            "seconds_median": round(statistics.median(self.seconds), 3),
            "seconds_best": round(min(self.seconds), 3),
            "pss_mb": round(statistics.median(self.megabytes), 1),
            "rounds": len(self.seconds),
            "deaths": self.deaths,
        }


class Bench:
    """Paired sessions in a folder, and the two ways to restore them."""

    def __init__(self, folder: Path, endpoint: SimEndpoint) -> None:
        self.folder = folder
        self.endpoint = Endpoint(endpoint.proxy, str(endpoint.ca_file), endpoint.noise_root_key)
        self._epoch = 1  # that they were linked in

    def order(self, name: str) -> SessionStart:
        self._epoch += 1
        return SessionStart(name=name, directory=str(self.folder / name), epoch=self._epoch)

    async def wakit(self, workers: Sequence[Sequence[str]], into: Round) -> None:
        reports: asyncio.Queue[WorkerReport] = asyncio.Queue()
        host = _host(reports)
        launches = [
            WorkerLaunch(
                worker_id=f"w{number}", sessions=tuple(self.order(name) for name in names), endpoint=self.endpoint
            )
            for number, names in enumerate(workers)
        ]
        left = {name for names in workers for name in names}
        began = time.perf_counter()
        launching = asyncio.gather(*(host.launch(launch) for launch in launches))
        try:
            async with asyncio.timeout(PATIENCE):
                while left:
                    report = await reports.get()
                    if isinstance(report, WorkerExited):
                        into.deaths += 1
                        return
                    if isinstance(report.event, Connected):
                        left.discard(report.session)
            into.seconds.append(time.perf_counter() - began)
            into.megabytes.append(_pss(await launching))
        finally:
            await host.close()

    async def bare(self, names: Sequence[str], into: Round) -> None:
        order = {
            "proxy": self.endpoint.proxy,
            "ca_file": self.endpoint.ca_file,
            "noise_root_key": self.endpoint.noise_root_key,
            "databases": [str(self.folder / name / "creds.db") for name in names],
        }
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(BARE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(order).encode())
            process.stdin.close()
            async with asyncio.timeout(PATIENCE):
                while (line := await process.stdout.readline()) not in (b"connected\n", b""):
                    pass
            if not line:
                into.deaths += 1
                return
            into.seconds.append(time.perf_counter() - began)
            into.megabytes.append(_pss([process.pid]))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _host(reports: asyncio.Queue[WorkerReport]) -> WorkerHost:
    async def unpaced(_session: str) -> None:
        return

    return WorkerHost(on_report=reports.put_nowait, permit=unpaced, on_log=lambda _source, _line: None)


def _pss(pids: Sequence[int]) -> float:
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 1e6


async def _measure(counts: Sequence[int], rounds: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    result: dict[str, Any] = {}
    try:
        async with running_sim(folder / "sim") as sim:
            endpoint = await sim.endpoint()
            bench = Bench(folder, endpoint)
            names = [f"s{number}" for number in range(max(counts))]
            await link_on(endpoint, [Unlinked(s, f"+346100{n:05d}", folder / s) for n, s in enumerate(names)])
            for count in counts:
                some = names[:count]
                placed = assign(some, running=0, setting="auto")
                ways = {"bare": Round(), "one_worker": Round(), "auto": Round()}
                for _ in range(rounds):
                    await bench.bare(some, ways["bare"])
                    await bench.wakit([some], ways["one_worker"])
                    if len(placed) > 1:
                        await bench.wakit(placed, ways["auto"])
                figures = {way: each.figures() for way, each in ways.items() if each.seconds}
                result[str(count)] = figures | {"auto_workers": len(placed)}
    finally:
        shutil.rmtree(folder)
    return result


def run(counts: Sequence[int] = (1, 10, 100), rounds: int = 5) -> dict[str, Any]:
    """Measure and return the figures by number of sessions."""
    return asyncio.run(_measure(counts, rounds))


@pytest.mark.bench
def test_a_worker_restores_about_as_fast_as_the_bare_library() -> None:
    told = run((10,), rounds=3)["10"]
    assert told["one_worker"]["deaths"] == 0
    assert told["one_worker"]["seconds_best"] < 2 * told["bare"]["seconds_best"]


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=2)
    print()
