from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from support.whatsapp import stock
from talkers import HERE, Talker, relaying_whatsapp

__all__ = ["stock"]

BAILEYS = ("baileys@7.0.0-rc14", "https-proxy-agent@7.0.6")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Baileys and the script that drives it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("Node and npm are missing, and CI must not skip this test")
        pytest.skip("needs Node and npm")
    folder = tmp_path_factory.mktemp("baileys")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *BAILEYS]
    subprocess.run(install, check=True, capture_output=True, timeout=240)
    shutil.copy(HERE / "baileys_talker.mjs", folder)
    return folder


@pytest.fixture
def relaying() -> Iterator[object]:
    """A sim in which messages arrive."""
    with relaying_whatsapp() as running:
        yield running


@pytest.fixture
def running() -> Iterator[list[Talker]]:
    """Whatever is in the list is killed when the test ends."""
    started: list[Talker] = []
    yield started
    for each in started:
        each.kill()
