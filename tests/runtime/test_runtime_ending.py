"""The watch over the end: it needs neither the event loop nor the disk."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, logging, sys, threading, time
from wakit.runtime import ending
from wakit.runtime.ending import Ending

logging.basicConfig(stream=sys.stderr, format="%(message)s")
ending.LAST_RESORT = 0.3
end = Ending()
end.code = 7

async def main():
    {body}
    return 5

sys.exit(end.run(main()))
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(body=body)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)


def test_an_end_in_order_is_left_alone() -> None:
    assert run("end.begin(); end.closed()").returncode == 5


def test_without_an_end_nothing_is_watched() -> None:
    assert run("await asyncio.sleep(0.5)").returncode == 5


def test_a_loop_that_stands_still_is_ended_and_it_is_said_what_for() -> None:
    done = run("end.begin(); end.waits_for = 'the last backups'; time.sleep(40)")
    assert done.returncode == 3
    assert done.stderr.strip() == "the end took longer than 0.3 s, so it ends now; it waited for the last backups"


def test_a_thread_that_stands_still_after_all_was_closed_changes_nothing() -> None:
    done = run(
        "end.begin(); asyncio.ensure_future(asyncio.to_thread(time.sleep, 40)); await asyncio.sleep(0); end.closed()"
    )
    assert (done.returncode, done.stderr) == (7, "")


def test_an_error_goes_its_way() -> None:
    done = run("raise ValueError('no')")
    assert done.returncode == 1
    assert "ValueError: no" in done.stderr
