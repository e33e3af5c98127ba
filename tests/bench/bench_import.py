"""``import wakit`` over a bare interpreter: ``python tests/bench import``. Target: under 60 ms more."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import Any


def milliseconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1000


def run(rounds: int = 15) -> dict[str, Any]:
    """Return milliseconds from process start to end, in turns so that noise meets both."""
    pairs = [(milliseconds("pass"), milliseconds("import wakit")) for _ in range(rounds)]
    bare, loaded = median(b for b, _ in pairs), median(w for _, w in pairs)
    over = median(w - b for b, w in pairs)
    return {"bare_ms": bare, "import_wakit_ms": loaded, "over_bare_ms": over, "ratio": loaded / bare}
