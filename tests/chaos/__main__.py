"""``.venv/bin/python tests/chaos --seed N --sessions 200 --minutes 10``: a chaos run at length."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the tests, as pytest has them


def main() -> int:
    from chaos.run import chaos  # noqa: PLC0415 - after the path is set
    from chaos.script import draw  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="tests/chaos")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--show", action="store_true", help="print the faults of the seed, and do nothing")
    chosen = parser.parse_args()
    if chosen.show:
        print(*draw(chosen.seed, chosen.sessions, chosen.minutes * 60), sep="\n")
        return 0
    home = tempfile.mkdtemp(prefix="wk", dir="/tmp")
    os.environ["XDG_STATE_HOME"] = home  # accounts are noted there, and not in whoever runs this one's home
    try:
        verdict = chaos(
            chosen.seed,
            sessions=chosen.sessions,
            seconds=chosen.minutes * 60,
            say=lambda text: print(text, flush=True),
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(verdict)
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
