"""The network goes and comes back, WhatsApp refuses the client: real clients, a loopback WhatsApp, one incident."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest
from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import LoopbackWhatsApp, fresh_number, sim  # noqa: F401 - a fixture

from wakit.sim.scenarios import Deaf, Drop, Failure, RefuseDial, Target

NAMES = ("a", "b", "c")


@dataclass
class Linked:
    """A fleet whose sessions are connected to a sim of its own."""

    fleet: Fleet
    whatsapp: LoopbackWhatsApp


@pytest.fixture
def linked(sim: LoopbackWhatsApp) -> Iterator[Linked]:  # noqa: F811
    with fleet_in(head=endpoint_table(sim)) as fleet:
        fleet.write("".join(f"[sessions.{name}]\n" for name in NAMES))
        fleet.up()
        for name in NAMES:
            fleet.wait_states(**{name: "pairing"})
            sim.sim.scan(fresh_number(), str(fleet.client().qr(name).payload))
        fleet.wait_connected(*NAMES)
        yield Linked(fleet, sim)


def test_a_lost_network_is_one_incident_and_all_come_back_with_it(linked: Linked) -> None:
    fleet, whatsapp = linked.fleet, linked.whatsapp
    since = fleet.seq()
    gone = whatsapp.sim.arm(RefuseDial(), times=None)
    assert whatsapp.sim.strike(Drop()) == len(NAMES)
    lost = fleet.wait_event(lambda event: event.kind == "outage", since=since)
    assert (lost.session, lost.code) == (None, "network")
    status = fleet.wait(lambda status: all("the network is lost since" in s.reason for s in status.sessions))
    assert status.daemon.outage is not None
    whatsapp.sim.disarm(gone)
    back = fleet.wait_event(lambda event: event.kind == "outage_over", since=since)
    assert back.detail["sessions"] == len(NAMES)
    status = fleet.wait_connected(*NAMES)
    assert [session.attempt for session in status.sessions] == [0, 0, 0]
    assert status.daemon.outage is None
    incidents = fleet.sql("SELECT session, state, code, sessions, ended_at IS NOT NULL AS over FROM incidents")
    assert incidents == [{"session": None, "state": "outage", "code": "network", "sessions": 3, "over": True}]


@pytest.mark.long
def test_one_that_is_outdated_keeps_the_others_from_starting_until_it_gets_through(linked: Linked) -> None:
    fleet, whatsapp = linked.fleet, linked.whatsapp
    since = fleet.seq()
    refusing = whatsapp.sim.arm(Failure(reason=405), times=None)
    fleet.client().restart("a")
    alarm = fleet.wait_event(lambda event: event.kind == "outage", since=since)
    assert (alarm.session, alarm.code) == (None, "outdated")
    fleet.wait_states(a="outdated", b="connected", c="connected")

    # One that loses its worker meanwhile does not dial.
    dials = whatsapp.sim.status().totals["dial"]
    victim = next(s.worker_pid for s in fleet.status().sessions if s.name == "b")
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    status = fleet.wait(lambda status: next("upgrade wakit" in s.reason for s in status.sessions if s.name == "b"))
    assert whatsapp.sim.status().totals["dial"] == dials
    assert status.daemon.outage is not None
    assert "WhatsApp refuses this version of the client" in fleet.run("status").stdout

    # As after an upgrade that a person tries out.
    whatsapp.sim.disarm(refusing)
    fleet.client().restart("a")
    assert fleet.wait_connected(*NAMES).daemon.outage is None


@pytest.mark.long
def test_one_405_among_many_is_over_soon_if_somebody_else_logs_in_meanwhile(linked: Linked) -> None:
    fleet, whatsapp = linked.fleet, linked.whatsapp
    since = fleet.seq()
    whatsapp.sim.arm(Failure(reason=405), Target(dialer="a"))
    fleet.client().restart("a")
    fleet.wait_states(a="outdated", b="connected", c="connected")
    planned = fleet.status().daemon.outage
    assert planned is not None

    # Its library redials, and it is let in.
    assert whatsapp.sim.strike(Drop(), Target(dialer="b")) == 1
    status = fleet.wait(lambda status: "b logged in with it meanwhile" in str(status.daemon.outage))
    disputed = status.daemon.outage
    assert disputed is not None
    assert disputed.next_probe_at is not None
    assert planned.next_probe_at is not None
    assert disputed.next_probe_at < planned.next_probe_at

    fleet.wait(lambda status: status.daemon.outage is None, timeout=120)  # a minute's pause, and a start
    over = fleet.wait_event(lambda event: event.kind == "outage_over", since=since)
    assert (over.code, over.detail["probes"]) == ("outdated", 1)
    assert "a got through" in over.reason
    fleet.wait_connected(*NAMES)


def signal_sim(whatsapp: LoopbackWhatsApp, number: signal.Signals) -> None:
    """Stop the process of the sim, whose connections then carry nothing and stay open; or have it go on."""
    alive = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    (process,) = [each for each in alive if str(whatsapp.state) in each.cmdline()]
    process.send_signal(number)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_network_that_falls_silent_is_one_incident_and_connections_that_live_are_kept(linked: Linked) -> None:
    fleet, whatsapp = linked.fleet, linked.whatsapp
    since = fleet.seq()
    signal_sim(whatsapp, signal.SIGSTOP)
    try:
        lost = fleet.wait_event(lambda event: event.kind == "outage", since=since)
        assert (lost.session, lost.code) == (None, "network")
        status = fleet.wait(lambda status: all("the network is lost since" in s.reason for s in status.sessions))
        assert status.daemon.outage is not None
        status = fleet.wait(lambda status: status.daemon.outage is not None and status.daemon.outage.sessions == 3)
    finally:
        signal_sim(whatsapp, signal.SIGCONT)
    back = fleet.wait_event(lambda event: event.kind == "outage_over", since=since)
    assert back.detail["sessions"] == len(NAMES)
    status = fleet.wait_connected(*NAMES)
    assert [session.attempt for session in status.sessions] == [0, 0, 0]
    incidents = fleet.sql("SELECT session, state, code, sessions, ended_at IS NOT NULL AS over FROM incidents")
    assert incidents == [{"session": None, "state": "outage", "code": "network", "sessions": 3, "over": True}]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_when_all_connections_are_dead_and_new_ones_work_all_are_replaced_at_one_moment(linked: Linked) -> None:
    fleet, whatsapp = linked.fleet, linked.whatsapp
    since = fleet.seq()
    assert whatsapp.sim.strike(Deaf()) == len(NAMES)
    over = fleet.wait_event(lambda event: event.kind == "outage_over", since=since, timeout=90)
    assert over.detail["sessions"] == len(NAMES)
    fleet.wait(lambda status: all(s.state == "connected" and s.restarts == 1 for s in status.sessions))
    incidents = fleet.sql("SELECT session, state, code, sessions, ended_at IS NOT NULL AS over FROM incidents")
    assert incidents == [{"session": None, "state": "outage", "code": "network", "sessions": 3, "over": True}]
