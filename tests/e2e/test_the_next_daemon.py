"""What a daemon that is killed leaves undecided, the next one takes up: spent budgets, and retirements that wait."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
from harness import Fleet, gone
from support.whatsapp import LoopbackWhatsApp
from test_crashes import pair, replaced

from wakit.control.schemas import SessionInfo, StatusInfo

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def named(status: StatusInfo, name: str) -> SessionInfo:
    return next(session for session in status.sessions if session.name == name)


def kill_daemon(fleet: Fleet) -> None:
    workers = fleet.workers()
    assert fleet.end(by=signal.SIGKILL) == -signal.SIGKILL
    assert gone(workers), "a worker outlived its daemon"


def crash(fleet: Fleet, name: str) -> None:
    """Kill the worker of a session that is alone aboard, and wait until its daemon has noticed."""
    since, victim = fleet.seq(), named(fleet.status(), name).worker_pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    fleet.wait_event(lambda event: (event.kind, event.session) == ("try_failed", name), since=since)


def shown(fleet: Fleet, since: int) -> list[dict[str, object]]:
    return fleet.sql(f"SELECT kind, session FROM events WHERE seq > {since} AND kind IN ('qr', 'code', 'pair_started')")


def test_a_spent_budget_stays_spent_when_the_daemon_is_killed(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.head += "[restarts]\nlimit = 3\n"
    pair(fleet, whatsapp, "a", "b")
    for tries in range(3):
        crash(fleet, "a")
        if tries < 2:
            fleet.wait_connected("a")
    before = named(fleet.wait_states(a="failed", b="connected"), "a")
    assert "3 tries failed since" in before.reason
    assert "`wakit restart a` tries again" in before.reason
    assert [row["n"] for row in fleet.sql("SELECT count(*) AS n FROM events WHERE kind = 'try_failed'")] == [3]

    since = fleet.seq()
    kill_daemon(fleet)
    planned = fleet.run("plan", "--json").stdout
    assert '"restore"' in planned
    assert '"waiting":{"a":' in planned, "without a daemon, the plan is the next one's"
    fleet.up()
    status = fleet.wait_connected("b")
    after = named(status, "a")
    assert (after.state, after.reason) == ("failed", before.reason)
    assert abs(after.since - before.since) < timedelta(seconds=1), "it has been so for as long as before"
    assert (after.worker_pid, after.needs_person) == (None, True)
    tried = fleet.sql(f"SELECT kind FROM events WHERE seq > {since} AND session = 'a' AND kind = 'worker_spawned'")
    assert tried == []

    assert fleet.run("restart", "a").returncode == 0
    fleet.wait_connected("a", "b")
    assert shown(fleet, since) == []
    assert replaced(whatsapp) == 0


def test_whoever_ends_the_daemon_in_order_gives_a_new_budget(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.head += "[restarts]\nlimit = 1\n"
    pair(fleet, whatsapp, "a")
    crash(fleet, "a")
    fleet.wait_states(a="failed")
    assert fleet.end() == 0
    fleet.up()
    fleet.wait_connected("a")


def test_a_retirement_that_waits_goes_on_waiting_in_service(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    numbers = pair(fleet, whatsapp, "a", "b", "c")
    fleet.write("[sessions.a]\n")

    def held(status: StatusInfo) -> bool:
        return {s.name for s in status.sessions if s.held} == {"b", "c"}

    reasons = {s.name: s.held for s in fleet.wait(held).sessions}
    since = fleet.seq()
    kill_daemon(fleet)
    planned = fleet.run("plan")
    assert planned.returncode == 2, planned.stderr
    for name in "abc":
        assert f"restore {name}" in planned.stdout
    assert planned.stdout.count("wakit apply --confirm") >= 1

    fleet.up()
    status = fleet.wait(lambda status: held(status) and all(s.state == "connected" for s in status.sessions))
    assert [s.name for s in status.sessions] == ["a", "b", "c"]
    assert {s.name: s.held for s in status.sessions} == reasons
    assert shown(fleet, since) == [], "a paired session was asked to pair"
    for number in numbers.values():
        account = whatsapp.sim.status().account(number)
        assert account is not None
        assert (len(account.devices), whatsapp.sim.status().connected(number)) == (1, 1)
    told = fleet.run("plan")
    assert told.returncode == 0
    assert "wakit apply --confirm" in told.stdout

    assert fleet.run("apply", "--confirm").returncode == 0
    fleet.wait(lambda status: [s.name for s in status.sessions] == ["a"])
    fleet.write("[sessions.a]\n[sessions.b]\n[sessions.c]\n")
    fleet.wait_connected("a", "b", "c")
    assert shown(fleet, since) == [], "they were archived and revived"
    assert replaced(whatsapp) == 0
