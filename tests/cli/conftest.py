from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# The fake fleet is the control room's; its tests and these speak to the same one. Credentials are the vault's.
sys.path.insert(0, str(Path(__file__).parents[1] / "control"))
sys.path.insert(0, str(Path(__file__).parents[1] / "vault"))

from cli_support import FILE, Served, serving


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder with a sessions.toml, as the working directory; short, for the socket in it."""
    path = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    (path / "sessions.toml").write_text(FILE)
    monkeypatch.chdir(path)
    for name in [name for name in os.environ if name.startswith("WAKIT_")]:
        monkeypatch.delenv(name)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with serving(folder) as each:
        yield each
