"""On PYTHONPATH, this makes a real worker die a real death: as soon as the session named in ``WAKIT_TEST_PANIC`` is
aboard and the file named there exists, the stock Go library is asked for a client it does not know, and panics.
"""

import os
import sys
import threading
import time
from pathlib import Path


def _panic_when_told(session: str, flag: Path) -> None:
    while not (flag.exists() and any(thread.name == session for thread in threading.enumerate())):
        time.sleep(0.02)  # another process says when, by a file
    from neonize.client import gocode

    gocode.GetMe(b"nobody")


def _main() -> None:
    wanted = os.environ.get("WAKIT_TEST_PANIC", "")
    if wanted and "wakit.worker" in sys.orig_argv:
        session, _, flag = wanted.partition("=")
        threading.Thread(target=_panic_when_told, args=(session, Path(flag)), daemon=True).start()


_main()
