"""A fleet for each test; the loop's clock is virtual, so nothing here waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import Fleet


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    # That writes last is the vault's own tests' business; here they would only take time.
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    made = Fleet(tmp_path)
    yield made
    made.close()
