"""One credential in several places, real daemons and real clients: never two live, and no outdated copy starts."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
from harness import Fleet, endpoint_table, fleet_in, gone
from support.whatsapp import LoopbackWhatsApp, fresh_number

from wakit.control.schemas import SessionInfo


@pytest.fixture
def fleets(whatsapp: LoopbackWhatsApp) -> Iterator[tuple[Fleet, Fleet]]:
    """Two fleets of one user on one machine, which talk to the same WhatsApp."""
    with ExitStack() as stack:
        head = endpoint_table(whatsapp)
        yield stack.enter_context(fleet_in(head=head)), stack.enter_context(fleet_in(head=head))


def link(fleet: Fleet, whatsapp: LoopbackWhatsApp, number: str) -> None:
    fleet.write("[sessions.a]\n")
    fleet.up()
    fleet.wait_states(a="pairing")
    whatsapp.sim.scan(number, str(fleet.client().qr("a").payload))


def copy(source: Fleet, to: Fleet, *parts: str) -> None:
    """What ``cp -r`` makes of a state directory, or of parts of it; a backup may be in the making at that moment."""
    to.write("[sessions.a]\n")
    to.state.mkdir(mode=0o700, exist_ok=True)
    passing = shutil.ignore_patterns("*.tmp", "*.sock")
    for part in parts or (".",):
        path = source.state / part
        if path.is_dir():
            shutil.copytree(path, to.state / part, dirs_exist_ok=True, ignore=passing)
        else:
            shutil.copy2(path, to.state / part)


def session(fleet: Fleet, name: str = "a") -> SessionInfo:
    return {found.name: found for found in fleet.status().sessions}[name]


def replacements(whatsapp: LoopbackWhatsApp, number: str) -> list[int]:
    """How often each device of an account was thrown out by another login of itself."""
    account = whatsapp.sim.status().account(number)
    assert account is not None
    return [device.replaced for device in account.devices]


def logins(whatsapp: LoopbackWhatsApp, number: str) -> int:
    account = whatsapp.sim.status().account(number)
    assert account is not None
    return sum(device.logins for device in account.devices)


def warnings(fleet: Fleet) -> list[str]:
    return [row["reason"] for row in fleet.sql("SELECT reason FROM events WHERE kind = 'warning' AND session = 'a'")]


@pytest.mark.long
def test_a_copied_state_directory(fleets: tuple[Fleet, Fleet], whatsapp: LoopbackWhatsApp) -> None:
    one, two = fleets
    number = fresh_number()
    link(one, whatsapp, number)
    one.wait_connected("a")
    one.end()
    copy(one, two)
    one.up()
    one.wait_connected("a")
    before = logins(whatsapp, number)

    two.up()
    two.wait_states(a="conflict")
    told = session(two)
    assert told.needs_person
    assert f"in {one.state}/sessions/a/shared (as 'a', start 2," in told.reason
    assert f"process {session(one).worker_pid} on" in told.reason
    assert "`wakit restart a --take-over`" in told.reason
    refused = two.run("restart", "a", "--take-over")
    assert refused.returncode == 5, refused.stderr
    assert f"process {session(one).worker_pid} on" in refused.stderr
    assert session(one).state == "connected"

    # Nobody runs the original any more, and the copy is outdated all the same: only a person may decide for it.
    one.end()
    two.end()
    two.up()
    two.wait_states(a="conflict")
    assert logins(whatsapp, number) == before, "the copy never logged in"
    taken = two.run("restart", "a", "--take-over")
    assert taken.returncode == 0, taken.stderr
    two.wait_connected("a")
    assert any("a person took 'a' over" in reason for reason in warnings(two))

    one.up()
    one.wait_states(a="conflict")
    assert f"{two.state}/sessions/a/shared" in session(one).reason
    assert session(two).state == "connected"
    assert replacements(whatsapp, number) == [0]


@pytest.mark.long
def test_a_copy_of_a_credential_in_use_while_its_worker_is_stopped(
    fleets: tuple[Fleet, Fleet], whatsapp: LoopbackWhatsApp
) -> None:
    one, two = fleets
    number = fresh_number()
    link(one, whatsapp, number)
    one.wait_connected("a")
    copy(one, two, "sessions", "account.key")
    worker = session(one).worker_pid
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    try:
        two.up()
        two.wait_states(a="conflict")
        reason = session(two).reason
        assert re.search(rf"process {worker} on \S+ holds it since", reason)
        assert "it is stopped (SIGSTOP)" in reason
        refused = two.run("restart", "a", "--take-over")
        assert refused.returncode == 5
        assert "SIGSTOP" in refused.stderr
    finally:
        os.kill(worker, signal.SIGCONT)
    one.wait_connected("a")
    assert session(one).worker_pid == worker
    assert replacements(whatsapp, number) == [0]


@pytest.mark.long
def test_a_stopped_worker_whose_daemon_is_replaced(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    number = fresh_number()
    link(fleet, whatsapp, number)
    fleet.wait_connected("a")
    worker = psutil.Process(session(fleet).worker_pid)
    worker.suspend()
    assert fleet.end(by=signal.SIGKILL) == -signal.SIGKILL
    # It could not be asked, and it need not be: the kernel kills a stopped process as well.
    assert gone([worker]), "a stopped worker outlived its daemon"
    fleet.up()
    fleet.wait_connected("a")
    assert session(fleet).worker_pid != worker.pid
    assert replacements(whatsapp, number) == [0]


@pytest.mark.long
def test_an_account_that_is_linked_in_two_fleets(fleets: tuple[Fleet, Fleet], whatsapp: LoopbackWhatsApp) -> None:
    one, two = fleets
    number = fresh_number()
    link(one, whatsapp, number)
    one.wait_connected("a")
    link(two, whatsapp, number)
    two.wait_states(a="conflict")
    told = session(two)
    assert told.paired
    assert told.needs_person
    assert f"process {session(one).worker_pid} on" in told.reason
    assert str(one.state) in told.reason
    assert not two.workers()
    assert session(one).state == "connected"

    one.end()
    assert two.run("restart", "a").returncode == 0
    two.wait_connected("a")
    one.up()
    one.wait_states(a="reconnecting")
    assert f"process {session(two).worker_pid} on" in session(one).reason
    assert replacements(whatsapp, number) == [0, 0]


@pytest.mark.long
def test_what_is_renamed_archived_and_moved_goes_on(fleets: tuple[Fleet, Fleet], whatsapp: LoopbackWhatsApp) -> None:
    one, two = fleets
    number = fresh_number()
    link(one, whatsapp, number)
    one.wait_connected("a")
    one.write('[sessions.b]\nrenamed_from = "a"\n')
    one.wait(lambda status: {s.name: s.state for s in status.sessions} == {"b": "connected"})
    one.write("[sessions.c]\nenabled = false\n")
    one.wait(lambda status: {s.name: s.state for s in status.sessions} == {"c": "parked"})
    one.write("[sessions.b]\n")
    one.wait_connected("b")
    one.end()

    one.state.rename(two.state)
    two.write("[sessions.b]\n")
    two.up()
    two.wait_connected("b")
    told = two.sql("SELECT reason FROM events WHERE kind = 'warning' AND session IS NOT NULL")
    assert told == [], "nothing was asked, and nothing had to be said"
    assert replacements(whatsapp, number) == [0]
    assert logins(whatsapp, number) >= 4
