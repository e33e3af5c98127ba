from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from served_fleet import ServedFleet

from wakit.notebook.fleet import Fleet


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a Unix socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def served(folder: Path) -> Iterator[ServedFleet]:
    with ServedFleet(folder, "sales", "support").up() as served:
        yield served


@pytest.fixture
def fleet(served: ServedFleet) -> Iterator[Fleet]:
    """A notebook's fleet, attached and following; its thread must end with it."""
    with Fleet(served.folder / "sessions.toml", served.folder) as fleet:
        served.readers(1)
        yield fleet
    assert "wakit-live" not in {thread.name for thread in threading.enumerate()}
