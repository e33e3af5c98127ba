"""``retire = "logout"`` when it goes wrong: what WhatsApp and the state directory say then, and how it is told."""

from __future__ import annotations

import pytest
from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import LoopbackWhatsApp, sim  # noqa: F401 - a fixture
from test_crashes import pair

from wakit.redact import PhoneNumber
from wakit.sim.scenarios import Drop, RefuseDial, Target

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
LOGOUT = '[wakit]\nretire = "logout"\n'


def devices(whatsapp: LoopbackWhatsApp, number: str) -> int:
    account = whatsapp.sim.status().account(number)
    return len(account.devices) if account else 0


@pytest.mark.parametrize("mended_by", ["apply", "the next daemon"])
def test_unlinked_but_not_put_away_it_is_logged_out_until_that_is_mended(
    fleet: Fleet, whatsapp: LoopbackWhatsApp, mended_by: str
) -> None:
    fleet.head = LOGOUT + fleet.head
    numbers = pair(fleet, whatsapp, "a", "b", "c")
    in_the_way = fleet.state / "archive" / "b"
    in_the_way.touch(mode=0o600)
    fleet.write("[sessions.a]\n[sessions.c]\n")
    status = fleet.wait_states(b="logged_out")
    (told,) = (s for s in status.sessions if s.name == "b")
    assert "`wakit pair b` links it again" in told.reason, told.reason
    assert told.status == "failed"
    assert devices(whatsapp, numbers["b"]) == 0
    assert {s.state for s in status.sessions if s.name != "b"} == {"connected"}

    if mended_by == "apply":
        in_the_way.unlink()
        assert fleet.run("apply").returncode == 0
    else:
        fleet.end()
        fleet.up()
    fleet.wait(lambda status: [(s.name, s.state) for s in status.sessions] == [("a", "connected"), ("c", "connected")])

    # What is unlinked does not come back by itself, and shows no code unasked.
    since = fleet.seq()
    fleet.write("[sessions.a]\n[sessions.b]\n[sessions.c]\n")
    status = fleet.wait(lambda status: any(s.name == "b" and s.needs_person for s in status.sessions))
    assert "wakit pair b" in next(s.reason for s in status.sessions if s.name == "b")
    assert fleet.sql(f"SELECT kind FROM events WHERE seq > {since} AND kind IN ('qr', 'pair_started')") == []


def test_while_whatsapp_cannot_be_reached_it_is_put_away_linked_and_says_so(sim: LoopbackWhatsApp) -> None:  # noqa: F811
    with fleet_in(head=LOGOUT + endpoint_table(sim)) as fleet:
        numbers = pair(fleet, sim, "b", "a")  # what is left is no beginning of the file, so it does not look cut off
        since = fleet.seq()
        cut = sim.sim.arm(RefuseDial(), Target(dialer="b"), times=None)
        assert sim.sim.strike(Drop(), Target(number=PhoneNumber(numbers["b"]))) == 1
        fleet.wait_states(b="reconnecting")
        fleet.write("[sessions.a]\n")
        fleet.wait(lambda status: [s.name for s in status.sessions] == ["a"], timeout=90)
        (warning,) = fleet.sql(
            f"SELECT reason FROM events WHERE seq > {since} AND kind = 'warning' AND session = 'b' AND code IS NULL"
        )
        assert warning["reason"].startswith(
            "it is put away, but still linked at WhatsApp (its client was not logged in"
        )
        assert warning["reason"].endswith("unlink it on the phone")
        assert devices(sim, numbers["b"]) == 1, "WhatsApp was never told"

        # Nothing is lost: declared again it comes back with the link it has.
        sim.sim.disarm(cut)
        fleet.write("[sessions.b]\n[sessions.a]\n")
        fleet.wait_connected("a", "b")
        assert fleet.sql(f"SELECT kind FROM events WHERE seq > {since} AND kind IN ('qr', 'pair_started')") == []
        assert devices(sim, numbers["b"]) == 1
