"""Processes die; sessions do not."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from harness import WAKIT, Fleet, gone, json_lines
from support.whatsapp import LoopbackWhatsApp, fresh_number


def pair(fleet: Fleet, whatsapp: LoopbackWhatsApp, *names: str) -> dict[str, str]:
    """Start the fleet with these sessions and link each with a phone of its own."""
    numbers = {name: fresh_number() for name in names}
    fleet.write("".join(f"[sessions.{name}]\n" for name in names))
    fleet.up()
    for name, number in numbers.items():
        fleet.wait_states(**{name: "pairing"})
        whatsapp.sim.scan(number, str(fleet.client().qr(name).payload))
    fleet.wait_connected(*names)
    return numbers


def replaced(whatsapp: LoopbackWhatsApp) -> int:
    return whatsapp.sim.status().totals.get("replaced", 0)


def test_a_killed_daemon_takes_its_workers_along_and_loses_nothing(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    numbers = pair(fleet, whatsapp, "a", "b")
    workers = fleet.workers()
    assert len(workers) == 2
    acknowledged = fleet.seq()
    assert fleet.end(by=signal.SIGKILL) == -signal.SIGKILL
    assert gone(workers), "a worker outlived its daemon"

    fleet.up()
    fleet.wait_connected("a", "b")
    kept = fleet.sql(f"SELECT count(*) AS n FROM events WHERE seq <= {acknowledged}")[0]["n"]
    assert kept == acknowledged, "an acknowledged event is missing"
    since_then = {row["kind"] for row in fleet.sql(f"SELECT kind FROM events WHERE seq > {acknowledged}")}
    assert not since_then & {"qr", "code", "pair_started"}, "a paired session was asked to pair"
    for number in numbers.values():
        account = whatsapp.sim.status().account(number)
        assert account is not None
        assert len(account.devices) == 1
    assert replaced(whatsapp) == 0


def test_a_killed_worker_costs_only_its_own_session(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    pair(fleet, whatsapp, "a", "b", "c")
    before = {s.name: s for s in fleet.status().sessions}
    victim = before["b"].worker_pid
    assert victim is not None
    seq = fleet.seq()
    os.kill(victim, signal.SIGKILL)
    fleet.wait(lambda status: {s.name: s for s in status.sessions}["b"].worker_pid not in (None, victim))
    fleet.wait_connected("b")

    after = {s.name: s for s in fleet.status().sessions}
    for name in ("a", "c"):
        assert (after[name].since, after[name].worker_pid) == (before[name].since, before[name].worker_pid)
    story = fleet.sql(
        f"SELECT session, kind, state_to, reason FROM events WHERE seq > {seq} AND kind NOT IN ('plan', 'backup')"
    )
    assert {row["session"] for row in story} == {"b"}
    assert any(row["kind"] == "worker_exit" and "kill" in row["reason"].lower() for row in story), story
    assert not {row["kind"] for row in story} & {"qr", "code", "pair_started"}


def test_ctrl_c_ends_everything(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    pair(fleet, whatsapp, "a", "b")
    workers = fleet.workers()
    code = fleet.end(by=signal.SIGINT)
    assert code in (0, 130)
    assert gone(workers, timeout=0.5), "the daemon ends after its workers, not before"
    assert not (fleet.state / "control.sock").exists()
    assert fleet.run("status").returncode == 4


def test_a_second_daemon_is_told_who_holds_the_place(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    pair(fleet, whatsapp, "a")
    assert fleet.daemon is not None
    second = fleet.run("up")
    assert second.returncode == 5
    assert second.stderr.startswith("error: ")
    assert f"pid {fleet.daemon.pid}" in second.stderr
    assert "hint: " in second.stderr
    assert fleet.states() == {"a": "connected"}


def test_pair_from_the_command_line(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    """``wakit pair NAME --json`` as a script would use it, once by QR and once by code."""
    by_code, by_qr = fresh_number(), fresh_number()
    fleet.write(f'[sessions.shop]\npairing = "code"\nphone = "{by_code}"\n[sessions.desk]\n')
    fleet.up()
    for name, number in (("desk", by_qr), ("shop", by_code)):
        with psutil.Popen([*WAKIT, "pair", name, "--json"], cwd=fleet.folder, stdout=-1, text=True) as command:
            events = []
            for line in command.stdout:
                events += json_lines(line)
                if events[-1]["event"] == "qr":
                    assert events[-1]["expires_at"]
                    whatsapp.sim.scan(number, events[-1]["payload"])
                elif events[-1]["event"] == "code":
                    whatsapp.sim.type_code(number, events[-1]["code"])
        assert command.returncode == 0, events
        assert events[-1]["event"] == "connected"
    assert {"qr", "connected"} <= {event["event"] for event in events} | {"qr"}
    status = json_lines(fleet.run("status", "--json").stdout.replace("\n", " "))[0]
    assert set(status) == {"daemon", "sessions"}
    for session in status["sessions"]:
        assert {"name", "state", "status", "since", "reason", "worker_pid", "attempt"} <= set(session)
        assert (session["state"], session["status"]) == ("connected", "connected")

    # What was shown is nowhere on disk, and no number is either, but in the user's own file.
    for path in fleet.folder.rglob("*"):
        credential = path.suffix in (".db", ".db-wal", ".db-shm") or path.name == "held.wal"
        if path.is_file() and not credential and path != fleet.config:
            content = path.read_bytes()
            for number in (by_code, by_qr):
                assert number[1:].encode() not in content, path
            assert b"linked_devices#" not in content, path


@pytest.mark.long
def test_in_a_shared_worker_one_session_can_leave_without_the_others(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.head = "[wakit]\nsessions_per_worker = 4\n" + fleet.head
    numbers = pair(fleet, whatsapp, "a", "b", "c")
    fleet.end()
    fleet.up()
    fleet.wait_connected("a", "b", "c")
    before = {s.name: s for s in fleet.status().sessions}
    assert len({s.worker_pid for s in before.values()}) == 1, "they share a worker now"

    assert fleet.run("restart", "b").returncode == 0
    fleet.wait(lambda status: {s.name: s for s in status.sessions}["b"].since > before["b"].since)
    fleet.wait_connected("b")
    whatsapp.sim.unlink(numbers["c"])
    fleet.wait_states(c="logged_out")

    after = {s.name: s for s in fleet.status().sessions}
    assert (after["a"].since, after["a"].worker_pid) == (before["a"].since, before["a"].worker_pid)
    assert after["b"].worker_pid != before["b"].worker_pid
    assert replaced(whatsapp) == 0

    # What is left aboard dies with the worker, and only that.
    seq = fleet.seq()
    os.kill(int(before["a"].worker_pid or 0), signal.SIGKILL)
    fleet.wait(lambda status: {s.name: s for s in status.sessions}["a"].since > before["a"].since)
    fleet.wait_connected("a", "b")
    story = fleet.sql(f"SELECT DISTINCT session FROM events WHERE seq > {seq} AND session IS NOT NULL")
    assert story == [{"session": "a"}]
