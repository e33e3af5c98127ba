"""A thousand seeded damages to a really paired credential, and what came of each: ``python tests/bench corruption``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from test_vault_corruption import ROUNDS, campaign


def run(rounds: int = ROUNDS) -> dict[str, Any]:
    """Return, by kind of damage and by what was damaged, how often each outcome was seen."""
    memory = Path("/dev/shm")  # no power cut is tried, so nothing has to reach a disk
    with tempfile.TemporaryDirectory(prefix="wk", dir=memory if memory.is_dir() else "/tmp") as folder:
        table = campaign(Path(folder), rounds)
    return {row: dict(came) for row, came in sorted(table.items())}
