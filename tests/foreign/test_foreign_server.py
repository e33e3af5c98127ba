"""wakit, from the command line, against a WhatsApp server that shares nothing with ``wakit.sim``.

Needs Node and the npm registry. On a machine without Node the tests are skipped; in CI (``CI`` set) they fail instead.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from foreign_whatsapp import ForeignWhatsApp
from harness import WAKIT, Fleet, fleet_in, gone, json_lines

from wakit.control.schemas import SessionInfo, StatusInfo

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

BY_QR, BY_CODE = "+34600000101", "+34600000102"
SESSIONS = f'[sessions.desk]\n[sessions.shop]\npairing = "code"\nphone = "{BY_CODE}"\n'
STATUS_KEYS = {"name", "state", "status", "since", "reason", "worker_pid", "attempt"}


@contextmanager
def pairing(fleet: Fleet, name: str) -> Iterator[Iterator[dict[str, Any]]]:
    """``wakit pair NAME --json`` while the block lasts, as its lines; it must have come to a good end by itself."""
    command = [*WAKIT, "pair", name, "--json"]
    with subprocess.Popen(command, cwd=fleet.folder, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        try:
            yield map(json.loads, running.stdout)
            rest = json_lines(running.stdout.read())
            assert running.wait() == 0, rest
        finally:
            running.kill()


def pair(fleet: Fleet, whatsapp: ForeignWhatsApp, name: str, number: str) -> list[str]:
    """Pair, doing with the phone what each line asks for; return what the lines told."""
    told: list[str] = []
    with pairing(fleet, name) as lines:
        for line in lines:
            told.append(line.get("event") or f"error: {line}")
            if told[-1] == "qr":
                assert line["expires_at"]
                whatsapp.must("scan", number=number, payload=line["payload"])
            elif told[-1] == "code":
                whatsapp.must("type_code", number=number, code=line["code"])
    assert told[-1] == "connected"
    return told


def pair_both(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    fleet.write(SESSIONS)
    fleet.up()
    pair(fleet, whatsapp, "desk", BY_QR)
    pair(fleet, whatsapp, "shop", BY_CODE)


HEARD = {"last_seen_at": ""}  # that WhatsApp was heard meanwhile is no change


def sessions(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """What ``wakit status --json`` tells of each session."""
    status = fleet.run("status", "--json")
    assert status.returncode == 0, status.stderr
    return {session["name"]: session for session in json.loads(status.stdout)["sessions"]}


def named(status: StatusInfo, name: str) -> SessionInfo:
    return {session.name: session for session in status.sessions}[name]


def shown(fleet: Fleet) -> int:
    """How many codes and QR codes the journal has seen."""
    events = json_lines(fleet.run("events", "--json", "--limit", "10000").stdout)
    return sum(event["kind"] in ("qr", "code", "pair_started") for event in events)


def test_it_pairs_by_qr_and_by_code(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    fleet.write(SESSIONS)
    fleet.up()
    assert [event for event in pair(fleet, whatsapp, "desk", BY_QR) if event != "waiting"] == ["qr", "connected"]
    assert [event for event in pair(fleet, whatsapp, "shop", BY_CODE) if event != "waiting"] == ["code", "connected"]

    status = json.loads(fleet.run("status", "--json").stdout)
    assert set(status) == {"daemon", "sessions"}
    for session in status["sessions"]:
        assert set(session) >= STATUS_KEYS
        assert (session["state"], session["status"]) == ("connected", "connected")
    told = whatsapp.status()
    assert sorted(device["number"] for device in told["devices"]) == [BY_QR[1:], BY_CODE[1:]]
    assert (told["online"], told["logins"], told["registrations"], told["registering"]) == (2, 2, 2, 0)
    assert (told["replaced"], told["refused"]) == (0, 0)


def test_a_mistyped_code_links_nothing_and_the_right_one_still_does(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    fleet.write(f'[sessions.shop]\npairing = "code"\nphone = "{BY_CODE}"\n')
    fleet.up()
    with pairing(fleet, "shop") as lines:
        code = next(line["code"] for line in lines if line["event"] == "code")
        wrong = ("2" if code[0] != "2" else "3") + code[1:]
        assert whatsapp.ask("type_code", number=BY_CODE, code=wrong) == {"ok": False, "error": "the code is wrong"}
        assert whatsapp.status()["devices"] == []
        whatsapp.must("type_code", number=BY_CODE, code=code)
        assert [line["event"] for line in lines][-1] == "connected"


def test_a_killed_daemon_comes_back_without_a_qr(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    pair_both(fleet, whatsapp)
    before, codes = whatsapp.status(), shown(fleet)
    workers = fleet.workers()
    assert fleet.end(by=signal.SIGKILL) == -signal.SIGKILL
    assert gone(workers), "a worker outlived its daemon"

    fleet.up()
    # Longer than the command waits by itself, or a slow machine ends it before it can say what it waits for.
    waited = fleet.run("up", "--wait", "--timeout", "120", timeout=180)
    assert waited.returncode == 0, waited.stderr
    assert {name: each["state"] for name, each in sessions(fleet).items()} == {"desk": "connected", "shop": "connected"}
    assert shown(fleet) == codes
    after = whatsapp.status()
    assert after["logins"] == before["logins"] + 2
    assert after["registrations"] == before["registrations"]
    assert (after["replaced"], after["refused"], after["online"]) == (0, 0, 2)


def test_a_killed_worker_costs_only_its_own_session(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    pair_both(fleet, whatsapp)
    before, told = sessions(fleet), whatsapp.status()
    victim = before["desk"]["worker_pid"]
    os.kill(victim, signal.SIGKILL)
    fleet.wait(lambda status: named(status, "desk").worker_pid not in (None, victim))
    fleet.wait_connected("desk")

    after = sessions(fleet)
    assert after["shop"] | HEARD == before["shop"] | HEARD
    assert after["desk"]["worker_pid"] != victim
    told_after = whatsapp.status()
    assert told_after["logins"] == told["logins"] + 1
    assert told_after["registrations"] == told["registrations"]
    assert (told_after["replaced"], told_after["online"]) == (0, 2)


def test_no_order_makes_a_session_replace_itself(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    pair_both(fleet, whatsapp)
    for order, state in (("restart", "connected"), ("park", "parked"), ("resume", "connected")):
        was = named(fleet.status(), "desk").since
        assert fleet.run(order, "desk").returncode == 0
        fleet.wait(lambda status: (now := named(status, "desk")).state == state and now.since > was)  # noqa: B023
    fleet.write(SESSIONS.replace("[sessions.desk]", '[sessions.front]\nrenamed_from = "desk"'))
    fleet.wait_connected("front", "shop")
    told = whatsapp.status()
    assert (told["logins"], told["registrations"], told["online"]) == (5, 2, 2)
    assert (told["replaced"], told["refused"], told["unlinked"]) == (0, 0, 0)


def test_a_broken_line_comes_back_by_itself(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    pair_both(fleet, whatsapp)
    before, told = sessions(fleet), whatsapp.status()
    was = named(fleet.status(), "desk").since
    assert whatsapp.must("drop", number=BY_QR)["dropped"] == 1
    fleet.wait(lambda status: (now := named(status, "desk")).state == "connected" and now.since > was)
    after, told_after = sessions(fleet), whatsapp.status()
    assert after["shop"] | HEARD == before["shop"] | HEARD
    assert (told_after["logins"], told_after["replaced"]) == (told["logins"] + 1, 0)
    assert told_after["registrations"] == told["registrations"]


def test_unlinked_on_the_phone_it_waits_for_a_person(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    pair_both(fleet, whatsapp)
    before, codes = whatsapp.status(), shown(fleet)
    assert whatsapp.must("unlink", number=BY_QR)["unlinked"] == 1
    fleet.wait_states(desk="logged_out")
    assert fleet.run("apply").returncode == 0
    assert (sessions(fleet)["desk"]["state"], sessions(fleet)["desk"]["status"]) == ("logged_out", "failed")
    assert fleet.end() == 0
    fleet.up()
    fleet.wait_connected("shop")
    assert fleet.run("apply").returncode == 0
    assert sessions(fleet)["desk"]["state"] == "logged_out"
    assert shown(fleet) == codes, "it showed a QR by itself"
    assert whatsapp.status()["registrations"] == before["registrations"]

    pair(fleet, whatsapp, "desk", BY_QR)
    assert {name: each["state"] for name, each in sessions(fleet).items()} == {"desk": "connected", "shop": "connected"}


def test_who_logs_in_elsewhere_replaces_and_is_not_replaced_back(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    """The state directory was copied to a second machine, and both are started."""
    fleet.write("[sessions.desk]\n")
    fleet.up()
    pair(fleet, whatsapp, "desk", BY_QR)
    assert fleet.end() == 0
    with fleet_in(head=whatsapp.declaration()) as elsewhere:
        shutil.copytree(fleet.folder, elsewhere.folder, dirs_exist_ok=True)
        # Another machine knows nothing of the accounts of this one; here the copy would be refused.
        elsewhere.environ["XDG_STATE_HOME"] = str(elsewhere.folder / "home")
        fleet.up()
        fleet.wait_connected("desk")
        elsewhere.up()
        fleet.wait_states(desk="conflict")
        elsewhere.wait_connected("desk")
        assert fleet.run("apply").returncode == 0
        assert sessions(fleet)["desk"]["state"] == "conflict"
        assert sessions(elsewhere)["desk"]["state"] == "connected"
        assert (whatsapp.status()["replaced"], whatsapp.status()["online"]) == (1, 1)


def test_who_leaves_the_file_is_unlinked_where_the_file_says_so(fleet: Fleet, whatsapp: ForeignWhatsApp) -> None:
    fleet.head = '[wakit]\nretire = "logout"\n' + fleet.head
    pair_both(fleet, whatsapp)
    fleet.write(SESSIONS.replace("[sessions.desk]\n", ""))
    status = fleet.wait(lambda status: [s.name for s in status.sessions] == ["shop"])
    assert status.sessions[0].state == "connected"
    told = whatsapp.status()
    assert [device["number"] for device in told["devices"]] == [BY_CODE[1:]]
    assert (told["unlinked"], told["online"]) == (1, 1)
