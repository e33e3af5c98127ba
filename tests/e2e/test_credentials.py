"""Credentials that get damaged, are put back, and outlive a full disk; with real clients."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import LoopbackWhatsApp, fresh_number
from test_crashes import pair, replaced


def database(fleet: Fleet, name: str) -> Path:
    return fleet.state / "sessions" / name / "shared" / "creds.db"


def asked_to_pair(fleet: Fleet, since: int) -> set[str]:
    rows = fleet.sql(f"SELECT DISTINCT kind FROM events WHERE seq > {since}")
    return {row["kind"] for row in rows} & {"qr", "code", "pair_started"}


def wait_for_first_copies(fleet: Fleet, names: str) -> None:
    """Wait until each has the backup that follows its pairing; the next one is hours away."""
    for name in names:
        fleet.wait_event(lambda event, name=name: event.kind == "backup" and event.session == name)  # type: ignore[misc]


@pytest.mark.long
def test_a_damaged_credential_comes_back_by_itself(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    pair(fleet, whatsapp, "a", "b", "c", "d")
    wait_for_first_copies(fleet, "abcd")
    seq = fleet.seq()
    assert fleet.end() == 0

    database(fleet, "a").write_bytes(b"")
    database(fleet, "b").unlink()
    content = bytearray(database(fleet, "c").read_bytes())
    content[len(content) // 2] ^= 1
    database(fleet, "c").write_bytes(content)
    fleet.up()
    fleet.wait_connected("a", "b", "c", "d")
    told = fleet.sql(
        f"SELECT session, code, reason FROM events WHERE kind = 'recovery' AND seq > {seq} ORDER BY session"
    )
    assert [row["session"] for row in told] == ["a", "b", "c"]
    assert [row["code"] for row in told[:2]] == ["empty", "missing"]
    assert told[2]["code"] in ("changed", "damaged")
    assert all("nothing is lost" in row["reason"] for row in told), "the last backup was taken at the end"
    assert not asked_to_pair(fleet, seq)
    assert replaced(whatsapp) == 0


@pytest.mark.long
def test_without_a_backup_it_waits_for_a_person(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    pair(fleet, whatsapp, "a", "b")
    seq = fleet.seq()
    fleet.end()
    shutil.rmtree(database(fleet, "a").parent / "backups")
    database(fleet, "a").write_bytes(b"")
    fleet.up()
    fleet.wait_states(a="failed", b="connected")
    (failed,) = [session for session in fleet.status().sessions if session.name == "a"]
    assert failed.needs_person
    assert "wakit restore a --list" in failed.reason
    assert not asked_to_pair(fleet, seq)


@pytest.mark.long
def test_backup_and_restore_from_the_command_line(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    numbers = pair(fleet, whatsapp, "a")
    first = fleet.run("backup", "a", "--json")
    assert first.returncode == 0, first.stderr
    chosen = json.loads(first.stdout)["backup"]["id"]
    listed = json.loads(fleet.run("restore", "a", "--list", "--json").stdout)["backups"]
    assert chosen in [backup["id"] for backup in listed]
    assert all(backup["problem"] == "" for backup in listed)
    wrong = fleet.run("restore", "a", "--backup", "20200101T000000000000Z-00000000")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")
    assert "wakit restore a --list" in wrong.stderr

    since = fleet.status().sessions[0].since
    done = fleet.run("restore", "a", "--backup", chosen)
    assert done.returncode == 0, done.stderr
    fleet.wait(lambda status: status.sessions[0].state == "connected" and status.sessions[0].since > since)
    account = whatsapp.sim.status().account(numbers["a"])
    assert account is not None
    assert len(account.devices) == 1
    assert replaced(whatsapp) == 0

    fleet.end()
    offline = fleet.run("restore", "a")
    assert offline.returncode == 0, offline.stderr
    assert "it is used by the next start" in offline.stdout
    assert fleet.run("backup").returncode == 0
    fleet.up()
    fleet.wait_connected("a")
    assert not asked_to_pair(fleet, fleet.seq() - 20)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", place], check=False).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.long
def test_a_full_disk_costs_no_credential(small_disk: Path, whatsapp: LoopbackWhatsApp) -> None:
    with fleet_in(head=endpoint_table(whatsapp)) as fleet:
        fleet.head = f'[wakit]\nstate_dir = "{small_disk}/state"\n' + fleet.head
        numbers = {name: fresh_number() for name in "ab"}
        fleet.write("[sessions.a]\n[sessions.b]\n")
        fleet.up()
        for name, number in numbers.items():
            fleet.wait_states(**{name: "pairing"})
            whatsapp.sim.scan(number, str(fleet.client().qr(name).payload))
        fleet.wait_connected("a", "b")
        wait_for_first_copies(fleet, "ab")
        for backups in (small_disk / "state").glob("sessions/*/shared/backups"):
            shutil.rmtree(backups)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass

        refused = fleet.run("backup", "a")
        assert refused.returncode == 1
        assert "MB are missing" in refused.stderr
        assert "hint: free some space" in refused.stderr
        # A session in service stays there, and one that is started anew says what it waits for, or starts.
        assert fleet.states()["b"] == "connected"
        fleet.end(by=signal.SIGKILL)

        filler.unlink()
        fleet.up()
        fleet.wait_connected("a", "b")
        assert fleet.run("backup").returncode == 0
        rows = fleet.sql("SELECT count(*) AS n FROM events WHERE kind = 'pair_started'")
        assert rows[0]["n"] == 2, "each was paired once, before the disk was full"
        assert replaced(whatsapp) == 0
