"""The end: in order and in time with many, with what hangs, and at once when it is asked for twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from harness import WAKIT, Fleet, gone, json_lines
from many import link_all
from support.whatsapp import LoopbackWhatsApp

pytestmark = pytest.mark.timeout(300)
FAULTS = Path(__file__).parent / "faults"
SHARED = "[wakit]\nsessions_per_worker = {}\n"


def records(fleet: Fleet, names: list[str]) -> list[dict[str, Any]]:
    return [json.loads((fleet.state / "sessions" / name / "shared" / "session.json").read_text()) for name in names]


def stopped_cleanly(fleet: Fleet, names: list[str]) -> set[str]:
    """Who has a note of what its client left behind when it ended in order."""
    found = zip(names, records(fleet, names), strict=True)
    return {name for name, record in found if (record.get("stopped") or {}).get("epoch") == record["epoch"]}


def last_event(fleet: Fleet) -> str:
    """The journal of a daemon that has ended opens, and this is its newest event."""
    shown = fleet.run("events", "--json", "-n", "1")
    assert shown.returncode == 0, shown.stderr
    return str(json_lines(shown.stdout)[-1]["kind"])


def started(fleet: Fleet, whatsapp: LoopbackWhatsApp, count: int, *, per_worker: int) -> list[str]:
    names = [f"s{number:03d}" for number in range(count)]
    fleet.head = SHARED.format(per_worker) + fleet.head
    fleet.write("".join(f"[sessions.{name}]\n" for name in names))
    link_all(fleet, whatsapp, names)
    fleet.up()
    fleet.wait(lambda status: status.daemon.converged, timeout=60 + count)
    return names


def ended(fleet: Fleet, *signals: signal.Signals) -> tuple[int, float]:
    """End the daemon; return its exit code and how long it took from the last signal."""
    assert fleet.daemon is not None
    for number in signals[:-1]:
        fleet.daemon.send_signal(number)
        # No sooner than it has noted the first: two of one kind that wait together are one.
        fleet.wait_for_ending()
    began = time.monotonic()
    code = fleet.end(by=signals[-1])
    return code, time.monotonic() - began


@pytest.mark.long
def test_a_hundred_sessions_end_within_ten_seconds(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    names = started(fleet, whatsapp, 100, per_worker=32)
    workers = fleet.workers()
    assert len(workers) == 4
    assert whatsapp.sim.status().connections == 100
    code, seconds = ended(fleet, signal.SIGTERM)
    assert (code, gone(workers, timeout=0.5)) == (0, True)
    assert seconds < 10
    assert whatsapp.sim.status().connections == 0
    assert stopped_cleanly(fleet, names) == set(names)
    assert last_event(fleet) == "daemon_stop"
    for name in names:
        assert list((fleet.state / "sessions" / name / "shared" / "backups").iterdir())


@pytest.mark.long
def test_a_worker_that_hangs_does_not_hold_up_the_end(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    names = started(fleet, whatsapp, 4, per_worker=2)
    workers = fleet.workers()
    os.kill(workers[0].pid, signal.SIGSTOP)
    code, seconds = ended(fleet, signal.SIGTERM)
    assert (code, gone(workers, timeout=0.5)) == (0, True)
    assert seconds < 10
    assert stopped_cleanly(fleet, names) == set(names), "what a killed worker left is as it was, too"
    assert last_event(fleet) == "daemon_stop"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once_and_damages_nothing(
    fleet: Fleet, whatsapp: LoopbackWhatsApp, second: signal.Signals
) -> None:
    names = started(fleet, whatsapp, 4, per_worker=2)
    workers = fleet.workers()
    os.kill(workers[0].pid, signal.SIGSTOP)  # so that the first one takes its second
    code, seconds = ended(fleet, signal.SIGTERM, second)
    assert code in (128 + second, 0), "0 if the end was over before"
    assert seconds < 1
    assert gone(workers)
    if code:
        assert last_event(fleet) != "daemon_stop"
    fleet.up()
    fleet.wait_connected(*names)
    told = {row["kind"] for row in fleet.sql("SELECT DISTINCT kind FROM events")}
    assert not told & {"recovery", "qr", "pair_started"}


@pytest.mark.long
def test_a_disk_that_stands_still_does_not_hold_up_the_end(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    flag = fleet.folder / "slow"
    fleet.environ = {"PYTHONPATH": str(FAULTS), "WAKIT_TEST_SLOW_DISK": str(flag)}
    names = started(fleet, whatsapp, 3, per_worker=4)
    assert fleet.daemon is not None
    flag.touch()
    began = time.monotonic()
    with subprocess.Popen([*WAKIT, "down"], cwd=fleet.folder, stdout=subprocess.PIPE, text=True) as command:
        code = fleet.daemon.wait(20)
        seconds = time.monotonic() - began
        said = command.stdout.read() if command.stdout else ""
    assert command.returncode == 0
    fleet.daemon = None
    assert code == 0
    assert seconds < 10
    assert "It waits for actions that were under way ..." in said
    assert last_event(fleet) == "daemon_stop"
    flag.unlink()
    fleet.up()
    fleet.wait_connected(*names)
    late = fleet.sql("SELECT reason FROM events WHERE code = 'late'")
    assert [row["reason"] for row in late] == ["the end did not wait for actions that were under way"]


def test_an_ending_daemon_takes_no_orders_and_says_what_it_waits_for(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    names = started(fleet, whatsapp, 2, per_worker=2)
    os.kill(fleet.workers()[0].pid, signal.SIGSTOP)
    assert fleet.daemon is not None
    fleet.daemon.send_signal(signal.SIGTERM)
    fleet.wait_for_ending()
    refused = fleet.run("restart", names[0])
    assert refused.returncode in (1, 4), refused.stdout
    if refused.returncode == 1:
        assert "No order is taken any more: the daemon ends; it waits for" in refused.stderr
    assert fleet.daemon.wait(20) == 0
    fleet.daemon = None
