from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from support.npm import install
from support.whatsapp import stock
from talkers import HERE, Talker, relaying_whatsapp

__all__ = ["stock"]

BAILEYS = ("baileys@7.0.0-rc14", "https-proxy-agent@7.0.6")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Baileys and the script that drives it."""
    folder = tmp_path_factory.mktemp("baileys")
    install(folder, BAILEYS)
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
