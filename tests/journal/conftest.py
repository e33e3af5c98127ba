"""A history written by hand, and a journal on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from journal_histories import History

from wakit.journal import Journal, JournalOptions


@pytest.fixture
def history() -> Iterator[History]:
    made = History()
    yield made
    made.connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.duckdb"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = Journal.open(path, options=JournalOptions(strict=True))
    yield opened
    await opened.close()
