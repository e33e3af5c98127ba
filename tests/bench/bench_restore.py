"""Linked sessions from nothing to all connected: wakit's daemon beside the bare library and beside Baileys.

``python tests/bench restore`` restores 1, 10 and 100; with ``--full`` 500 too. All three meet the same loopback
WhatsApp in turns, and it holds the watch: from the spawn of the first process to the server seeing the last login.
Then, after a few seconds of quiet, memory (PSS of all processes) and processor time (user and system, children
included) of the whole tree; the server's own is not counted.

wakit places sessions as it always does (``auto``), its pacing is opened up, and it does what it does besides: journal,
locks, checks of every credential, a backup of each that proved good. The bare library and Baileys start everybody at
once in one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from gauges import cpu_seconds, family, load, pss_mb
from paired import Paired, paired
from ways import DiedError, Running, Watch, baileys, bare, wakit, wakit_fleet

_QUIET = 5.0
_MOST_DEATHS = 5


@dataclass
class Rounds:
    """What was measured of one way."""

    seconds: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)
    root_pss: list[float] = field(default_factory=list)
    cpu_connected: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    processes: int = 0
    deaths: int = 0

    def figures(self) -> dict[str, Any]:
        if not self.seconds:
            return {"deaths": self.deaths}
        return {
            "seconds": median(self.seconds),
            "seconds_best": min(self.seconds),
            "pss_mb": median(self.pss),
            "root_pss_mb": median(self.root_pss),
            "cpu_s_until_connected": median(self.cpu_connected),
            f"cpu_s_{_QUIET:g}s_later": median(self.cpu),
            "processes": self.processes,
            "rounds": len(self.seconds),
            "deaths": self.deaths,
        }


def measure(start: Callable[[], AbstractContextManager[Running]], watch: Watch, count: int, into: Rounds) -> None:
    """Do one round; a way that dies is counted and tried again."""
    while into.deaths < _MOST_DEATHS:
        try:
            with start() as running:
                last = watch.all_in(running, count)
                into.cpu_connected.append(cpu_seconds(running.pids()))
                into.seconds.append(last - running.began)
                time.sleep(_QUIET)  # not to wait for something: what is measured is this span
                pids = family(running.pid)
                into.cpu.append(cpu_seconds(pids))
                into.pss.append(sum(map(pss_mb, pids)))
                into.root_pss.append(pss_mb(running.pid))
                into.processes = len(pids)
                return
        except DiedError:
            into.deaths += 1


def beside(found: dict[str, Any], way: str, key: str) -> float | None:
    """Return how many times as much wakit takes."""
    ours, theirs = found["wakit"].get(key), found[way].get(key)
    return ours / theirs if ours and theirs else None


def compare(linked: Paired, count: int, rounds: int) -> dict[str, Any]:
    """Return figures of all three ways for so many sessions."""
    names = linked.names[:count]
    watch = Watch(linked)
    ways = {"wakit": Rounds(), "bare": Rounds(), "baileys": Rounds()}
    with wakit_fleet(linked, names) as fleet:
        # Once unmeasured: the credentials are adopted, and the first backup of each is taken.
        measure(partial(wakit, fleet, watch), watch, count, Rounds())
        for _ in range(rounds):
            measure(partial(wakit, fleet, watch), watch, count, ways["wakit"])
            measure(partial(bare, watch, names), watch, count, ways["bare"])
            measure(partial(baileys, watch, names), watch, count, ways["baileys"])
    found: dict[str, Any] = {way: each.figures() for way, each in ways.items()}
    for way in ("bare", "baileys"):
        for key in ("seconds", "pss_mb", "cpu_s_until_connected"):
            found[f"ratio_to_{way}_{key}"] = beside(found, way, key)
    return {**found, "load": load()}


def run(counts: Sequence[int] = (1, 10, 100), rounds: int = 3, *, full: bool = False) -> dict[str, Any]:
    """Return figures by number of sessions."""
    wanted = (*counts, 500) if full else tuple(counts)
    found: dict[str, Any] = {}
    with paired(max(wanted), baileys=True) as linked:
        for count in wanted:
            found[f"{count}_sessions"] = compare(linked, count, rounds)
    return found
