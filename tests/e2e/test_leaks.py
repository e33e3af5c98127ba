"""Nothing grows, whatever happens again and again: short runs of the campaigns in ``tests/bench/leaking.py``.

What has no noise may not grow by one in the second half of a run: tasks, processes, descriptors, temporary files, files
of the state directory. Memory may by a little: a leak of some kilobytes an edit or of a hundred a crash would be seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent.parent / "bench"))

import paired
from leaking import crashes, edits, reconnects

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

EXACT = ("daemon_tasks", "daemon_descriptors", "sim_threads", "processes", "temporary_files", "state_files")


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Link sessions for this module only; the benchmarks keep theirs for the next run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paired, "STORE", tmp_path_factory.mktemp("store"))
        yield


def grown(found: dict[str, Any], *, worker_mb: float) -> dict[str, Any]:
    """Return what is larger at the end than it was halfway, by more than it may."""
    limits = {
        "daemon_heap_mb": 3.0,
        "daemon_used_mb": 2.0,  # it goes up and down by a megabyte, and DuckDB takes half a kilobyte a commit at first
        "daemon_objects": 300.0,
        "worker_heap_mb": worker_mb,
        "sim_heap_mb": 3.0,  # it remembers what it saw, a quarter of a kilobyte an entry
        "sim_descriptors": 2.0,  # a connection that is ending
    }
    return {
        key: found[key] for key in (*EXACT, *limits) if found[key]["after"] - found[key]["halfway"] > limits.get(key, 0)
    }


def leaks(campaign: Callable[[], dict[str, Any]], *, worker_mb: float) -> dict[str, Any]:
    """Return what grows in a campaign, and again in a second one, with a new daemon, if anything did in the first.

    A leak grows each time. What grew once may have been under way at the moment at which a busy machine counted it.
    """
    first = grown(campaign(), worker_mb=worker_mb)
    second = grown(campaign(), worker_mb=worker_mb) if first else {}
    return {key: (first[key], second[key]) for key in first.keys() & second.keys()}


@pytest.mark.parametrize("fresh_names", [False, True], ids=["old-names", "new-names"])
def test_edits_leave_nothing_behind(fresh_names: bool) -> None:
    with paired.paired(2) as linked:
        assert not leaks(lambda: edits(linked, 1000, samples=10, fresh_names=fresh_names, filled=True), worker_mb=2.0)


def test_crashes_leave_nothing_behind() -> None:
    with paired.paired(8) as linked:
        # Their workers are other processes than halfway.
        assert not leaks(lambda: crashes(linked, 96, samples=6, filled=True), worker_mb=40.0)


def test_reconnects_leave_nothing_behind() -> None:
    with paired.paired(32) as linked:
        assert not leaks(lambda: reconnects(linked, 1024, samples=8, filled=True), worker_mb=6.0)
