"""A daemon's start and end with a journal that is slow or full; each in a process of its own, for it sets its umask."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BEFORE = """
import asyncio, sys, threading
from pathlib import Path
from wakit.errors import JournalError
from wakit.journal import Journal
from wakit.runtime import DaemonOptions, locate
from wakit.runtime.serving import serve

place = locate(Path(sys.argv[1]), sim=False)


def served():
    stop = asyncio.Event()
    return serve(place, stop=stop, options=DaemonOptions(on_ready=lambda _desk: stop.set()))
"""

FULL = """
close = Journal.close


async def full(journal):
    await close(journal)
    raise JournalError("3 events could not be written", why="no space left on device")


Journal.close = full
try:
    asyncio.run(served())
except JournalError as error:
    print(error)
"""

CANCELLED = """
from wakit.runtime.release import Installed

looks, goes_on, opened, look = asyncio.Event(), threading.Event(), Journal.open, Installed.look


async def main():
    loop = asyncio.get_running_loop()

    def slowly(path):
        goes_on.wait()
        return opened(path)

    def looked(installed):  # the last that is begun before the journal is waited for
        loop.call_soon_threadsafe(looks.set)
        return look(installed)

    Journal.open, Installed.look = slowly, looked
    first = asyncio.create_task(served())
    await looks.wait()
    first.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    try:
        await first
    except asyncio.CancelledError:
        print("cancelled", [t.name for t in threading.enumerate() if t.name == "wakit-journal"])
    await served()
    print("served")


asyncio.run(main())
"""


def run(tmp_path: Path, script: str) -> str:
    config = tmp_path / "sessions.toml"
    config.write_text("[sessions.a]\nenabled = false\n")
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + script, str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_journal_that_could_not_write_everything_is_told_at_the_end(tmp_path: Path) -> None:
    assert run(tmp_path, FULL) == "3 events could not be written: no space left on device\n"


def test_a_start_that_is_cancelled_while_the_journal_opens_leaves_it_closed(tmp_path: Path) -> None:
    assert run(tmp_path, CANCELLED) == "cancelled []\nserved\n"
