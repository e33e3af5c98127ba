"""What holds for every test: nothing is written into the home of whoever runs them, and neither clock nor chance
fails one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A machine that others use may take a second for an example. The same examples every time, so that a run fails for what
# was changed and nothing else; `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("repeatable", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("explore", settings.get_profile("repeatable"), derandomize=False)
settings.load_profile("repeatable")

_FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this test process, and all it starts, a folder of its own for what wakit keeps of a user."""
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    config.stash[_FOLDER] = folder
    os.environ["XDG_STATE_HOME"] = str(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)
