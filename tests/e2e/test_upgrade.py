"""wakit is upgraded under a running daemon: ``wakit up`` replaces its workers, and nobody notices for long."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness import Fleet
from many import link_all
from support.whatsapp import LoopbackWhatsApp

import wakit

NAMES = ["a", "b", "c", "d", "e"]
pytestmark = pytest.mark.timeout(300)


class Installed:
    """A copy of wakit that is upgraded as an installer does it: the files, and the distribution's number."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        shutil.copytree(Path(wakit.__file__).parent, self.site / "wakit", ignore=shutil.ignore_patterns("__pycache__"))
        self.number("1.0.0")

    def number(self, version: str) -> None:
        for known in self.site.glob("wakit-*.dist-info"):
            shutil.rmtree(known)
        info = self.site / f"wakit-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: wakit\nVersion: {version}\n")

    def patch(self, path: str, old: str, new: str) -> None:
        file = self.site / "wakit" / path
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))


@pytest.fixture
def installed(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> Installed:
    """A fleet of five in two workers, run from a wakit of its own."""
    made = Installed(fleet.folder)
    fleet.environ = {"PYTHONPATH": str(made.site)}
    fleet.head = "[wakit]\nsessions_per_worker = 3\n" + fleet.head
    fleet.write("".join(f"[sessions.{name}]\n" for name in NAMES))
    link_all(fleet, whatsapp, NAMES)
    fleet.up()
    fleet.wait_connected(*NAMES)
    assert len(fleet.workers()) == 2
    return made


def most_away_at_once(fleet: Fleet, since: int) -> int:
    away: set[str] = set()
    most = 0
    for row in fleet.sql(f"SELECT session, state_to FROM events WHERE kind = 'state' AND seq > {since} ORDER BY seq"):
        (away.discard if row["state_to"] == "connected" else away.add)(row["session"])
        most = max(most, len(away))
    return most


@pytest.mark.long
def test_up_replaces_the_workers_one_session_at_a_time(
    fleet: Fleet, installed: Installed, whatsapp: LoopbackWhatsApp
) -> None:
    before = {session.name: session.worker_pid for session in fleet.status().sessions}
    replaced = whatsapp.sim.status().totals.get("replaced", 0)
    since = fleet.seq()
    installed.number("1.1.0")

    done = fleet.run("up", "-d", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Every worker runs wakit 1.1.0 with neonize 0.5.2." in done.stdout
    assert "wakit 1.1.0 is installed, 1.0.0 runs; `wakit down`, then `wakit up -d` renews it" in done.stdout
    after = {session.name: session.worker_pid for session in fleet.status().sessions}
    assert not set(before.values()) & set(after.values())
    assert len(set(after.values())) == 2
    assert set(fleet.states().values()) == {"connected"}
    assert most_away_at_once(fleet, since) == 1
    assert whatsapp.sim.status().totals.get("replaced", 0) == replaced
    told = fleet.sql(
        "SELECT (detail->>'longest_away_s')::DOUBLE AS s FROM events"
        f" WHERE seq > {since} AND code = 'replace' AND kind = 'action'"
    )
    assert len(told) == 2
    assert all(0 < row["s"] < 10 for row in told)
    assert not fleet.sql(f"SELECT 1 FROM events WHERE seq > {since} AND kind IN ('qr', 'code', 'recovery')")

    assert "every worker runs the installed one" in fleet.run("status").stdout
    again = fleet.run("up", "-d")
    assert again.returncode == 0
    assert fleet.run("up").returncode == 0, "in the foreground, too, there is nothing else to do"
    assert {session.name: session.worker_pid for session in fleet.status().sessions} == after

    fleet.end()
    fleet.up()
    fleet.wait_connected(*NAMES)
    assert fleet.status().daemon.upgrade is None
    assert fleet.run("up").returncode == 5


def test_a_release_whose_workers_do_not_start_touches_nobody(fleet: Fleet, installed: Installed) -> None:
    before = {session.name: (session.worker_pid, session.since) for session in fleet.status().sessions}
    installed.number("1.1.0")
    installed.patch("worker/messages.py", "PROTOCOL: Final = ", "PROTOCOL: Final = 1000 + ")
    done = fleet.run("up", "-d", timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Not every worker was replaced by wakit 1.1.0")
    assert "hint: the other workers run on as they were" in done.stderr
    assert {session.name: (session.worker_pid, session.since) for session in fleet.status().sessions} == before
    assert "broken off" in fleet.run("status").stdout


@pytest.mark.long
def test_a_release_whose_workers_crash_costs_one_session(fleet: Fleet, installed: Installed) -> None:
    before = {session.name: session.worker_pid for session in fleet.status().sessions}
    installed.number("1.1.0")
    installed.patch("worker/boarding.py", "            client.run()\n", "            os.abort()\n")
    done = fleet.run("up", "-d", timeout=120)
    assert done.returncode == 1, done.stdout
    after = {session.name: session.worker_pid for session in fleet.status().sessions}
    moved = {name for name in NAMES if after[name] != before[name]}
    assert len(moved) == 1
    assert {name for name, state in fleet.states().items() if state != "connected"} <= moved

    # Back to what held: the one is started again by itself, and nothing differs any more.
    installed.number("1.0.0")
    installed.patch("worker/boarding.py", "            os.abort()\n", "            client.run()\n")
    fleet.wait_connected(*NAMES)
    done = fleet.run("up", "-d", timeout=120)
    assert done.returncode == 0, done.stderr
    assert fleet.status().daemon.upgrade is None
