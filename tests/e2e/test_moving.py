"""A deployment moves: stop, export, import, start; connected without a QR, and never alive twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from harness import Fleet, endpoint_table, fleet_in, json_lines
from support.whatsapp import LoopbackWhatsApp
from test_crashes import pair, replaced

PAIRING = {"qr", "code", "pair_started"}


@pytest.fixture
def elsewhere(whatsapp: LoopbackWhatsApp) -> Iterator[Fleet]:
    """Another place that talks to the same server."""
    with fleet_in(head=endpoint_table(whatsapp)) as made:
        yield made


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, Path]:
    """A public key, and the file of the private one."""
    secret = pyrage.x25519.Identity.generate()
    file = tmp_path / "key.txt"
    file.touch(mode=0o600)
    file.write_text(f"{secret}\n")
    return str(secret.to_public()), file


@pytest.mark.long
def test_a_deployment_moves_and_comes_back(
    fleet: Fleet, elsewhere: Fleet, whatsapp: LoopbackWhatsApp, keys: tuple[str, Path], tmp_path: Path
) -> None:
    recipient, identity = keys
    bundle, back = tmp_path / "moved.age", tmp_path / "back.age"
    before = replaced(whatsapp)
    numbers = pair(fleet, whatsapp, "a", "b")

    # Live ones are not exported.
    refused = fleet.run("export", "a", "-o", str(bundle), "--recipient", recipient)
    assert (refused.returncode, refused.stdout) == (5, "")
    assert "hint: stop it first: `wakit park a`" in refused.stderr

    # Stop and export, beside the running daemon; it notices.
    assert fleet.run("park", "a", "b").returncode == 0
    given = fleet.run("export", "a", "b", "-o", str(bundle), "--recipient", recipient)
    assert given.returncode == 0, given.stderr
    status = fleet.wait_states(a="failed", b="failed")
    assert all("given away" in session.reason for session in status.sessions)

    # Import where no daemon runs yet. One of the two is not in the file there.
    elsewhere.write("[sessions.a]\n")
    first = elsewhere.run("import", str(bundle), "--identity", str(identity))
    assert first.returncode == 0, first.stderr
    assert "b: imported; add [sessions.b] to sessions.toml" in first.stdout
    elsewhere.up()
    elsewhere.wait_connected("a")
    elsewhere.write("[sessions.a]\n[sessions.b]\n")
    elsewhere.wait_connected("a", "b")
    assert not {row["kind"] for row in elsewhere.sql("SELECT kind FROM events")} & PAIRING
    again = elsewhere.run("import", str(bundle), "--identity", str(identity))
    assert again.returncode == 1
    assert "imported here already" in again.stderr

    # The old place knows, whatever is asked of it and however often it starts.
    for order in ("resume", "restart"):
        fleet.run(order, "a")
    fleet.wait(lambda status: all(s.worker_pid is None and "given away" in s.reason for s in status.sessions))
    fleet.end()
    fleet.up()
    fleet.wait(lambda status: all(s.state == "failed" and "given away" in s.reason for s in status.sessions))
    assert elsewhere.states() == {"a": "connected", "b": "connected"}
    assert replaced(whatsapp) == before

    # And back, into the place whose daemon runs.
    elsewhere.end()
    assert elsewhere.run("export", "a", "b", "-o", str(back), "--recipient", recipient).returncode == 0
    dry = fleet.run("import", str(back), "--identity", str(identity), "--dry-run", "--json")
    assert [one["outcome"] for one in json_lines(dry.stdout)[0]["sessions"]] == ["back", "back"]
    old = fleet.run("import", str(back), "--identity", str(identity))
    assert old.returncode == 0, old.stderr
    fleet.wait_connected("a", "b")
    seq = fleet.sql("SELECT min(seq) AS seq FROM events WHERE code = 'import'")[0]["seq"]
    assert not {row["kind"] for row in fleet.sql(f"SELECT kind FROM events WHERE seq > {seq}")} & PAIRING
    for number in numbers.values():
        account = whatsapp.sim.status().account(number)
        assert account is not None
        assert len(account.devices) == 1
    assert replaced(whatsapp) == before
    told = "".join(each.stdout + each.stderr for each in (given, first, again, old, dry))
    assert not any(number[1:] in told for number in numbers.values())


@pytest.mark.long
def test_a_bundle_that_is_imported_twice_runs_once(
    fleet: Fleet, elsewhere: Fleet, whatsapp: LoopbackWhatsApp, keys: tuple[str, Path], tmp_path: Path
) -> None:
    recipient, identity = keys
    bundle = tmp_path / "moved.age"
    before = replaced(whatsapp)
    pair(fleet, whatsapp, "a")
    fleet.end()
    assert fleet.run("export", "a", "-o", str(bundle), "--recipient", recipient).returncode == 0
    with fleet_in(head=endpoint_table(whatsapp)) as third:
        for place in (elsewhere, third):
            place.write("[sessions.a]\n")
            assert place.run("import", str(bundle), "--identity", str(identity)).returncode == 0
        elsewhere.up()
        elsewhere.wait_connected("a")
        third.up()
        refused = third.wait_states(a="conflict").sessions[0]
        assert "outdated copy" in refused.reason
        assert "--take-over" in refused.reason
        assert elsewhere.states() == {"a": "connected"}

        # Not even when nobody uses it any more: what came since is only in the other one.
        elsewhere.end()
        assert third.run("restart", "a").returncode == 0
        third.wait(lambda status: "outdated copy" in status.sessions[0].reason and not status.sessions[0].worker_pid)
        assert third.states() == {"a": "conflict"}
    assert replaced(whatsapp) == before
