from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # a dependency installs a package `tests`, so ours has no such name

from support.whatsapp import sim, stock, whatsapp

from wakit.sim.codec import TokenTable

__all__ = ["sim", "stock", "tokens", "whatsapp"]

_PRINT_TOKENS = (
    "import json; from wakit.sim.tokens import load_tokens; t = load_tokens(); print(json.dumps([t.single, t.double]))"
)


@pytest.fixture(scope="session")
def tokens() -> TokenTable:
    """The dictionaries, read in a process of their own: this one never loads the client library."""
    printed = subprocess.run([sys.executable, "-c", _PRINT_TOKENS], capture_output=True, check=True)
    single, double = json.loads(printed.stdout)
    return TokenTable(single, double)
