"""What a user does to sessions.toml, and what becomes of it: real clients, a real daemon, a real file."""

from __future__ import annotations

import pytest
from harness import Fleet
from support.whatsapp import LoopbackWhatsApp, fresh_number

from wakit.control.schemas import StatusInfo


def pair_by_qr(fleet: Fleet, whatsapp: LoopbackWhatsApp, name: str) -> str:
    """Scan what a session shows with a new virtual phone; return its number."""
    number = fresh_number()
    fleet.wait_states(**{name: "pairing"})
    whatsapp.sim.scan(number, str(fleet.client().qr(name).payload))
    fleet.wait_connected(name)
    return number


def logins(whatsapp: LoopbackWhatsApp, number: str) -> int:
    account = whatsapp.sim.status().account(number)
    assert account is not None
    return sum(device.logins for device in account.devices)


def pairings(whatsapp: LoopbackWhatsApp, number: str) -> int:
    account = whatsapp.sim.status().account(number)
    assert account is not None
    return len(account.devices)


def test_a_session_lives_through_every_edit(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.write("[sessions.a]\n")
    fleet.up()
    number = pair_by_qr(fleet, whatsapp, "a")

    # Another one comes, and the first does not notice.
    before = fleet.status().sessions[0]
    fleet.write("[sessions.a]\n[sessions.b]\n")
    second = pair_by_qr(fleet, whatsapp, "b")
    assert (fleet.status().sessions[0].since, fleet.status().sessions[0].worker_pid) == (
        before.since,
        before.worker_pid,
    )

    # It leaves, and comes back without pairing.
    fleet.write("[sessions.b]\n")
    fleet.wait(lambda status: [s.name for s in status.sessions] == ["b"])
    assert whatsapp.sim.wait_until(lambda status: status.connected(number) == 0)
    fleet.write("[sessions.a]\n[sessions.b]\n")
    fleet.wait_connected("a", "b")
    assert pairings(whatsapp, number) == 1, "it was revived, not paired anew"

    # It is parked and enabled again.
    fleet.write("[sessions.a]\nenabled = false\n[sessions.b]\n")
    fleet.wait_states(a="parked", b="connected")
    fleet.write("[sessions.a]\n[sessions.b]\n")
    fleet.wait_connected("a", "b")

    # It gets another name, and keeps its link.
    fleet.write('[sessions.c]\nrenamed_from = "a"\n[sessions.b]\n')
    fleet.wait(lambda status: {s.name: s.state for s in status.sessions} == {"c": "connected", "b": "connected"})
    assert pairings(whatsapp, number) == 1

    # The edit is taken back, as `git revert` does it.
    fleet.write("[sessions.a]\n[sessions.b]\n")
    fleet.wait(lambda status: {s.name: s.state for s in status.sessions} == {"a": "connected", "b": "connected"})
    assert pairings(whatsapp, number) == 1

    # None of it cost a link or met a rival, and the journal has the plan in words.
    assert pairings(whatsapp, second) == 1
    assert whatsapp.sim.status().totals.get("replaced", 0) == 0
    plans = " | ".join(row["reason"] for row in fleet.sql("SELECT reason FROM events WHERE kind = 'plan' ORDER BY seq"))
    for words in (
        "create a",
        "create b",
        "retire a",
        "revive a",
        "restore a",
        "park a",
        "rename c from a",
        "restore c",
    ):
        assert words in plans


BROKEN = {
    "": "empty",
    "# nothing but a comment\n": "empty",
    "[sessions.a\n": "sessions.toml:",
    "[sessions.a]\nenabled = 1\n": "enabled",
    "[sessions.a]\nenabld = true\n": "enabld",
}


def test_a_broken_or_deleted_file_changes_nothing(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.write("[sessions.a]\n")
    fleet.up()
    number = pair_by_qr(fleet, whatsapp, "a")
    untouched = [("a", "connected", fleet.status().sessions[0].worker_pid)]
    head = fleet.head

    def refused(says: str) -> None:
        status = fleet.wait(lambda status: status.daemon.declaration.error is not None)
        assert says in f"{status.daemon.declaration.error} {status.daemon.declaration.hint}"
        assert [(s.name, s.state, s.worker_pid) for s in status.sessions] == untouched

    for count, (broken, says) in enumerate(BROKEN.items()):
        fleet.head = head if broken.startswith("[") else ""
        fleet.write(broken)
        refused(says)
        fleet.head = head
        fleet.write(f"[sessions.a]\nlabels = {{ mended = '{count}' }}\n")
        status = fleet.wait(lambda status: status.daemon.declaration.error is None)
        assert [(s.name, s.state, s.worker_pid) for s in status.sessions] == untouched

    fleet.config.unlink()
    refused("sessions.toml")
    fleet.write("[sessions.a]\n")
    fleet.wait(lambda status: status.daemon.declaration.error is None)
    assert logins(whatsapp, number) == 1, "the client was never touched"


@pytest.mark.long
def test_half_a_file_unlinks_nobody_whenever_it_was_saved(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.head += '[wakit]\nretire = "logout"\n'
    fleet.write("[sessions.a]\n[sessions.b]\n")
    fleet.up()
    numbers = [pair_by_qr(fleet, whatsapp, name) for name in "ab"]
    fleet.end()

    fleet.write("[sessions.a]\n")
    assert "! b is held: the file looks cut off" in fleet.run("plan").stdout
    for _ in range(2):  # the second time the half is the newest that the journal knows
        fleet.up()
        status = fleet.wait(lambda status: any(s.held for s in status.sessions))
        assert {s.name: "cut off" in str(s.held) for s in status.sessions} == {"a": False, "b": True}
        fleet.end()
    assert [pairings(whatsapp, number) for number in numbers] == [1, 1]

    fleet.write("[sessions.a]\n[sessions.b]\n")
    fleet.up()
    fleet.wait_connected("a", "b")


def test_a_mass_retirement_waits_for_a_person(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.write("[sessions.a]\n[sessions.b]\n[sessions.c]\n")
    fleet.up()
    for name in "abc":
        pair_by_qr(fleet, whatsapp, name)

    fleet.write("[sessions.a]\n")

    def held(status: StatusInfo) -> bool:
        return {s.name for s in status.sessions if s.held} == {"b", "c"}

    status = fleet.wait(held)
    assert {s.state for s in status.sessions} == {"connected"}
    planned = fleet.run("plan")
    assert planned.returncode == 0
    assert "wakit apply --confirm" in planned.stdout
    confirmed = fleet.run("apply", "--confirm")
    assert confirmed.returncode == 0, confirmed.stderr
    fleet.wait(lambda status: [s.name for s in status.sessions] == ["a"])


def test_a_draft_is_planned_for_and_never_applied(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.write("[sessions.a]\n")
    fleet.up()
    pair_by_qr(fleet, whatsapp, "a")
    draft = fleet.folder / "draft.toml"
    draft.write_text(fleet.config.read_text() + "[sessions.b]\n")
    assert fleet.run("plan").returncode == 0
    told = fleet.run("plan", "-c", str(draft))
    assert (told.returncode, "create b" in told.stdout) == (2, True), told
    draft.write_text("[sessions.a]\nenabld = true\n")
    wrong = fleet.run("plan", "-c", str(draft))
    assert wrong.returncode == 1
    assert wrong.stderr.startswith(f"error: {draft}:2:1: sessions.a.enabld: unknown key")
    draft.write_text("")
    refused = fleet.run("apply", "--confirm", "-c", str(draft))
    assert refused.returncode == 1
    assert f"the daemon follows {fleet.config}" in refused.stderr
    assert "hint: " in refused.stderr
    assert fleet.states() == {"a": "connected"}
