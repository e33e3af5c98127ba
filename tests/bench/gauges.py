"""What processes cost, as the kernel tells it in proc(5): memory, processor time, threads, descriptors.

Memory is the proportional set size: a page that several processes share is counted once, in parts. So the figures of
many workers may be added up, which their resident sizes may not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


def family(pid: int) -> list[int]:
    """Return a process and everything below it that lives (the library leaves two dead shells unreaped at import)."""
    found = [pid]
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child.pid)
    return found


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size in MB; nothing if it has just ended."""
    return _sum_of(pid, "Pss")


def private_mb(pid: int) -> float:
    """Return what would be free if only this process ended, in MB."""
    return _sum_of(pid, "Private_Clean", "Private_Dirty")


def heap_mb(pid: int) -> float:
    """Return the memory that a process has filled itself, in MB; unlike PSS it does not depend on its neighbours."""
    return _sum_of(pid, "Anonymous")


def _sum_of(pid: int, *fields: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except ProcessLookupError:  # a helper of a moment (git, a spawn that failed)
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in fields) / 1024


def cpu_seconds(pids: Iterable[int], *, children: bool = True) -> float:
    """Return the processor time of processes, and of those children of theirs that are gone unless that is unwanted."""
    spent = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            spent += times.user + times.system + children * (times.children_user + times.children_system)
    return spent


def threads(pid: int) -> dict[int, tuple[str, float]]:
    """Return the name and the processor time of each thread of a process, in seconds.

    From the scheduler's own nanoseconds (``schedstat``, proc(5)). What ``stat`` says is counted in ticks, and a thread
    that wakes a few times a second for microseconds may be charged many times what it took, or nothing.
    """
    found: dict[int, tuple[str, float]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            name = (task / "comm").read_text().strip()
            found[int(task.name)] = (name, int((task / "schedstat").read_text().split()[0]) / 1e9)
    return found


def descriptors(pid: int) -> int:
    """Return how many file descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def files_below(folder: Path) -> int:
    """Return how many files there are in a folder and below."""
    return sum(len(files) for _, _, files in os.walk(folder))


def load() -> float:
    """Return how many processes of the machine want to run, as an average of the last minute."""
    return os.getloadavg()[0]


def slope(xs: list[float], ys: list[float]) -> float:
    """Return the slope of the line that fits best (least squares)."""
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    below = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / below
