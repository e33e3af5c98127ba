"""Health that is true: hung workers, deaf lines, frozen networks, with real clients."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from harness import Fleet, gone
from support.whatsapp import LoopbackWhatsApp
from test_crashes import pair, replaced

from wakit.control.schemas import SessionInfo
from wakit.redact import PhoneNumber
from wakit.sim.scenarios import Deaf, PhoneReads, PhoneWrites, Target


def sessions(fleet: Fleet) -> dict[str, SessionInfo]:
    return {session.name: session for session in fleet.status().sessions}


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that stands still while the block lasts, if it lives so long."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.long
def test_a_worker_that_hangs_is_replaced_and_costs_only_its_own(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.head += '[health]\nstale_after = "6s"\n'
    pair(fleet, whatsapp, "a", "b", "c")
    before = sessions(fleet)
    victim = before["b"].worker_pid
    assert victim is not None
    seq = fleet.seq()
    hung = [worker for worker in fleet.workers() if worker.pid == victim]
    with stopped(victim):
        seen = fleet.wait(lambda status: any(session.stale for session in status.sessions))
        assert [session.name for session in seen.sessions if session.stale] == ["b"]
        fleet.wait(lambda status: {s.name: s for s in status.sessions}["b"].worker_pid not in (None, victim))
        assert gone(hung)
    fleet.wait_connected("a", "b", "c")

    after = sessions(fleet)
    for name in ("a", "c"):
        assert (after[name].since, after[name].worker_pid) == (before[name].since, before[name].worker_pid)
    assert not any(session.stale for session in after.values())
    assert after["b"].restarts == before["b"].restarts + 1
    story = fleet.sql(
        "SELECT session, kind, code, reason FROM events "
        f"WHERE seq > {seq} AND kind IN ('state', 'worker_exit') ORDER BY seq"
    )
    assert {row["session"] for row in story} == {"b"}
    assert (story[0]["code"], story[0]["reason"]) == (
        "stale",
        "stale: its worker gave no sign of life for 6 s; the worker is ended by force and replaced",
    )
    assert any("fell silent for 6 s and was ended by force" in row["reason"] for row in story)
    assert replaced(whatsapp) == 0


@pytest.mark.long
def test_a_daemon_that_stood_still_blames_nobody(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    """Everything is frozen, as on a machine that is suspended: workers and daemon wake at one moment."""
    fleet.head += '[health]\nstale_after = "6s"\n'
    pair(fleet, whatsapp, "a", "b")
    before = sessions(fleet)
    assert fleet.daemon is not None
    seq = fleet.seq()
    frozen = [fleet.daemon.pid, *(worker.pid for worker in fleet.workers())]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    # Nothing tells when time has passed for a process that stands still.
    signal.sigtimedwait([], 16)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    told = fleet.wait_event(lambda event: event.code == "standstill", since=seq)
    assert told.reason is not None
    assert "stood still" in told.reason
    after = sessions(fleet)
    assert {name: s.worker_pid for name, s in after.items()} == {name: s.worker_pid for name, s in before.items()}
    assert {s.state for s in after.values()} == {"connected"}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_server_that_answers_no_pings_any_more_is_noticed_and_left(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.head += '[health]\nrestart_after = "5s"\n'
    numbers = pair(fleet, whatsapp, "a", "b")
    before = sessions(fleet)
    seq = fleet.seq()
    whatsapp.sim.strike(Deaf(), Target(number=PhoneNumber(numbers["a"])))
    fleet.wait(lambda status: any(session.state == "degraded" for session in status.sessions), timeout=60)
    fleet.wait(lambda status: {s.name: s for s in status.sessions}["a"].restarts > before["a"].restarts)
    fleet.wait_connected("a", "b")
    story = fleet.sql(f"SELECT session, state_to, code, reason FROM events WHERE seq > {seq} AND kind = 'state'")
    assert {row["session"] for row in story} == {"a"}
    assert story[0]["state_to"] == "degraded"
    assert story[1]["reason"].startswith("it was degraded for 5 s and did not recover")
    assert sessions(fleet)["b"].since == before["b"].since


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_frozen_network_is_noticed_and_outlived(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    """The other end stands still: the line is open, and no byte comes."""
    fleet.head += '[health]\ndeaf_after = "31s"\nrestart_after = "1h"\n'
    pair(fleet, whatsapp, "a")
    before = sessions(fleet)["a"]
    seq = fleet.seq()
    (server,) = [child for child in psutil.Process().children() if "wakit.sim" in child.cmdline()]
    with stopped(server.pid):
        fleet.wait(lambda status: status.sessions[0].state == "degraded", timeout=60)
    fleet.wait(lambda status: status.sessions[0].state == "connected", timeout=60)
    after = sessions(fleet)["a"]
    assert (after.worker_pid, after.restarts) == (before.worker_pid, before.restarts)
    assert after.last_seen_at is not None
    assert after.last_seen_at > after.since - timedelta(seconds=60)
    (told,) = fleet.sql(f"SELECT reason FROM events WHERE seq > {seq} AND state_to = 'degraded' LIMIT 1")
    assert told["reason"].startswith("connected, but ")


def test_the_phone_is_seen_when_it_writes_and_remembered(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    number = pair(fleet, whatsapp, "a")["a"]
    linked_at = sessions(fleet)["a"].phone_seen_at
    assert linked_at is not None, "a phone that links is online"
    fleet.end()
    record = fleet.state / "sessions" / "a" / "shared" / "session.json"
    known = json.loads(record.read_text())
    known["phone"]["seen_at"] = (linked_at - timedelta(days=3)).isoformat()
    record.write_text(json.dumps(known))

    fleet.up()
    fleet.wait_connected("a")
    assert sessions(fleet)["a"].phone_seen_at == linked_at - timedelta(days=3)
    target = Target(number=PhoneNumber(number))
    whatsapp.sim.set_online(number, online=False)
    whatsapp.sim.strike(PhoneWrites(), target)
    whatsapp.sim.set_online(number, online=True)
    assert not [e for e in whatsapp.sim.journal() if e.detail == "phone-writes" and e.number == PhoneNumber(number)]
    whatsapp.sim.strike(PhoneReads("server-error"), target)  # which must not end the client
    whatsapp.sim.strike(PhoneWrites(), target)
    seen = fleet.wait(lambda status: (status.sessions[0].phone_seen_at or linked_at) >= linked_at)
    assert seen.sessions[0].phone_seen_at is not None
    assert seen.sessions[0].restarts == 0
    assert abs(seen.sessions[0].phone_seen_at - datetime.now(UTC)) < timedelta(minutes=5), "the library's unit of time"
    fleet.end()
    assert json.loads(record.read_text())["phone"]["days"] == 2


@pytest.mark.long
def test_a_session_says_whether_whatsapp_answers_it(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    numbers = pair(fleet, whatsapp, "a", "b")
    told = fleet.client().ping("a")
    assert told.alive, told
    assert told.seconds is not None
    whatsapp.sim.strike(Deaf(), Target(number=PhoneNumber(numbers["b"])))
    examined = fleet.run("doctor", "--ask", "--json")
    found = [check for check in json.loads(examined.stdout)["checks"] if check["name"] == "sessions"]
    assert found[0]["said"].startswith("WhatsApp answered 1 of 2 connected sessions")
    assert [(check["verdict"], check["said"]) for check in found[1:]] == [("fail", "b: no answer within 10 s")]
    again = fleet.client().ping("b")
    assert (again.alive, again.why) == (False, "an earlier question is not answered yet")
    assert fleet.states() == {"a": "connected", "b": "connected"}, "to ask changes nothing"
    fleet.end()
