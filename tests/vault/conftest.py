"""A vault in a state directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from credentials import Clock

from wakit.vault import Vault
from wakit.vault.layout import Layout, open_layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return open_layout(tmp_path / ".wakit")


@pytest.fixture
def vault(layout: Layout) -> Vault:
    return Vault(layout, "shared", Clock())
