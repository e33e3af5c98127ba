from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from foreign_whatsapp import ForeignWhatsApp, foreign_whatsapp, install
from harness import Fleet, fleet_in


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the foreign server, ready to run; removed afterwards, since pytest would keep three of them."""
    folder = tmp_path_factory.mktemp("foreign")
    yield install(folder)
    shutil.rmtree(folder)


@pytest.fixture
def whatsapp(installed: Path, tmp_path: Path) -> Iterator[ForeignWhatsApp]:
    """A foreign server of one test's own."""
    with foreign_whatsapp(installed, tmp_path) as server:
        yield server


@pytest.fixture
def fleet(whatsapp: ForeignWhatsApp) -> Iterator[Fleet]:
    """A fleet whose declaration points to the foreign server."""
    with fleet_in(head=whatsapp.declaration()) as made:
        yield made
