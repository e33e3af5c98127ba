"""On PYTHONPATH, this brings real trouble into wakit's own processes; each kind waits for a file to appear.

``WAKIT_TEST_PANIC=NAME=FILE``: as soon as the session NAME is aboard of a worker, the stock Go library is asked for a
client that it does not know, and panics. ``WAKIT_TEST_SLOW_DISK=FILE``: in a daemon's threads, no write comes to its
end.
"""

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import NoReturn


def _panic_when_told(session: str, flag: Path) -> None:
    while not (flag.exists() and any(thread.name == session for thread in threading.enumerate())):
        time.sleep(0.02)  # another process says when, by a file
    from neonize.client import gocode  # noqa: PLC0415 - what is to panic is what the worker has loaded

    gocode.GetMe(b"nobody")


def _slow_down(flag: Path) -> None:
    sync = os.fsync

    def slow(descriptor: int) -> None:
        if flag.exists() and threading.current_thread() is not threading.main_thread():
            _stand_still()
        sync(descriptor)

    os.fsync = slow  # type: ignore[assignment]


def _stand_still() -> NoReturn:
    while True:
        time.sleep(60)


def _main() -> None:
    forks_workers = "wakit.worker" in sys.orig_argv
    session, _, flag = os.environ.get("WAKIT_TEST_PANIC", "").partition("=")
    if flag and forks_workers:
        watch = partial(threading.Thread, target=_panic_when_told, args=(session, Path(flag)), daemon=True)
        os.register_at_fork(after_in_child=lambda: watch().start())
    disk = os.environ.get("WAKIT_TEST_SLOW_DISK", "")
    if disk and not forks_workers:
        _slow_down(Path(disk))


_main()
