"""Nothing grows, whatever happens again and again: short runs of the campaigns in ``tests/bench/leaking.py``.

What has no noise may not grow by one in the second half of a run: tasks, threads, processes, descriptors, temporary
files. Memory may by a little; a leak of a kilobyte an edit or of ten a crash would be seen.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent.parent / "bench"))

from leaking import crashes, edits, reconnects
from paired import paired

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def must_not_grow(found: dict[str, Any], *, daemon_mb: float, worker_mb: float) -> None:
    limits = {"daemon_heap_mb": daemon_mb, "worker_heap_mb": worker_mb, "daemon_objects": 300.0}
    exact = ("daemon_tasks", "daemon_descriptors", "processes", "temporary_files", "state_files")
    grown = {
        key: found[key] for key in (*exact, *limits) if found[key]["after"] - found[key]["halfway"] > limits.get(key, 0)
    }
    assert not grown


def test_a_thousand_edits_leave_nothing_behind() -> None:
    with paired(2) as linked:
        must_not_grow(edits(linked, 1000, samples=10), daemon_mb=4.0, worker_mb=2.0)


def test_names_that_come_and_go_leave_nothing_behind() -> None:
    with paired(2) as linked:
        found = edits(linked, 600, samples=6, fresh_names=True)
        must_not_grow(found, daemon_mb=4.0, worker_mb=2.0)


def test_a_hundred_crashes_leave_nothing_behind() -> None:
    with paired(8) as linked:
        found = crashes(linked, 96, samples=6)
        must_not_grow(found, daemon_mb=4.0, worker_mb=30.0)


def test_a_thousand_reconnects_leave_nothing_behind() -> None:
    with paired(32) as linked:
        found = reconnects(linked, 1024, samples=8)
        must_not_grow(found, daemon_mb=4.0, worker_mb=8.0)
