from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fake_fleet import FakeFleet, session

from wakit.control.client import Client
from wakit.control.server import create_app, serve_unix


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a Unix socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def fleet(folder: Path) -> FakeFleet:
    return FakeFleet(session("sales"), session("support", "declared"), state_dir=str(folder))


@pytest.fixture
async def client(fleet: FakeFleet, folder: Path) -> AsyncIterator[Client]:
    """A client of a fake fleet that is served; no task and no socket may be left afterwards."""
    async with serve_unix(create_app(fleet), folder / "control.sock"):
        yield Client(folder)
    assert not (folder / "control.sock").exists()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left
