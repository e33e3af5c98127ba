"""``down``: asks the daemon to end and waits until its process is gone."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Final

from wakit.cli.fleet import Fleet
from wakit.control.address import DaemonRecord, process_started
from wakit.errors import ControlError, NoDaemonError, NotConvergedError, WakitError

_PATIENCE: Final = 1.0  # seconds before it is asked what it waits for
_ASK_AGAIN: Final = 0.25
_AN_ANSWER: Final = 1.0  # seconds in which a daemon that does not stand still answers


def bring_down(fleet: Fleet, *, seconds: float) -> None:
    """End the daemon; that none runs is no error, as nothing is left to do.

    Raises:
        NotConvergedError: It still runs after ``seconds``.
    """
    record = fleet.place.daemon
    until = time.monotonic() + seconds
    try:
        told = fleet.client_within(max(seconds / 2, _AN_ANSWER)).shutdown()  # then a signal has a while, too
        pid = told.pid
    except NoDaemonError:
        if record is None or not record.alive:
            sys.stdout.write(f"No daemon runs for {fleet.place.state_dir}: nothing to end.\n")
            return
        pid = _terminate(record)
    except ControlError:
        # It runs and does not answer: it may still listen to a signal.
        if record is None or not record.alive:
            raise
        pid = _terminate(record)
    if not _watch_end(fleet, pid, until):
        raise NotConvergedError(
            f"The daemon (pid {pid}) still runs",
            why=f"it was asked to end {seconds:g} s ago",
            hint=f"look at {fleet.logs / '_daemon.log'}; `kill -9 {pid}` ends it, and no credential is lost by that",
        )
    sys.stdout.write(f"The daemon (pid {pid}) has ended.\n")


def _watch_end(fleet: Fleet, pid: int, until: float) -> bool:
    """Wait until a daemon is gone, by the monotonic clock, and say what it waits for as long as it tells."""
    told, serves, pause = "", True, _PATIENCE
    while not wait_for_end(pid, max(0.0, min(pause, until - time.monotonic()))):
        pause = _ASK_AGAIN
        if serves:
            try:
                left = min(max(until - time.monotonic(), _ASK_AGAIN), _AN_ANSWER)
                waits_for = fleet.client_within(left).status().daemon.ending or told
            except NoDaemonError:
                serves = False  # its socket is closed: only the journal is left
                waits_for = "the journal"
            except WakitError:
                waits_for = told  # it stands still, and tells nothing
            if waits_for != told:
                told = waits_for
                sys.stdout.write(f"It waits for {told} ...\n")
                sys.stdout.flush()
        if time.monotonic() >= until:  # asked once at least: who is told that it still runs wants to know why
            return False
    return True


def wait_for_end(pid: int, seconds: float) -> bool:
    """Wait until a process is gone; False if it still runs after ``seconds``."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):  # not Linux, or a kernel before 5.3
        return _look_until_gone(pid, seconds)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _terminate(record: DaemonRecord) -> int:
    with suppress(ProcessLookupError):
        os.kill(record.pid, signal.SIGTERM)
    return record.pid


def _look_until_gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process_started(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
