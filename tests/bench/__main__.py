"""Every benchmark in one run: ``python tests/bench [NAME ...]`` prints a table; ``--json`` prints JSON.

``--full`` asks those that have one for their largest size, which takes many times as long.

Figures from a shared machine mean little alone. So each benchmark brings a baseline measured in the same run, and what
is worth quoting are the ratios; the machine is named beside them.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks there are: every ``bench_*.py`` with a ``run()``."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def machine() -> dict[str, Any]:
    """What was measured on."""
    load = os.getloadavg()[0]
    return {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release(), "load": load}


def flatten(found: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Turn nested results into rows."""
    rows: list[tuple[str, Any]] = []
    for key, value in found.items():
        if isinstance(value, dict):
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, value))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names())}; all of them if none is named")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--full", action="store_true", help="the largest sizes: hundreds of sessions, thousands of crashes"
    )
    asked = parser.parse_args()
    unknown = set(asked.names) - set(names())
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "e2e"), str(HERE.parent / "vault")]
    results: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="wk", dir="/tmp") as folder:
        os.environ["XDG_STATE_HOME"] = folder  # nothing is left in the home of whoever measures
        for name in asked.names or names():
            print(f"{name} …", file=sys.stderr, flush=True)
            run = importlib.import_module(f"bench_{name}").run
            options = {"full": True} if asked.full and "full" in inspect.signature(run).parameters else {}
            results[name] = run(**options)
    if asked.json:
        print(json.dumps(results, indent=1))
        return 0
    for key, value in flatten(results):
        print(f"{key:<58} {value:>12.4g}" if isinstance(value, float) else f"{key:<58} {value!s:>12}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
