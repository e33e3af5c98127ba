"""docs/operating.md: what it shows for copies and alerts runs, and a copy does what the page says it does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Fleet, fleet_in, json_lines

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text("utf-8")
COPY, ALERT, METRICS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(QUERY,) = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SESSIONS = "[sessions.sales]\n[sessions.support]\n"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which the page's commands run as they stand."""
    wakit = tmp_path / "bin" / "wakit"
    wakit.parent.mkdir()
    wakit.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wakit "$@"\n')
    wakit.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{wakit.parent}:{os.environ['PATH']}",
        "BACKUP": str(tmp_path),
        "COLLECTED": str(tmp_path),
    }


@pytest.fixture
def place() -> Iterator[Fleet]:
    """Another folder, with nothing in it yet."""
    with fleet_in() as made:
        yield made


@pytest.fixture
def running() -> Iterator[Fleet]:
    with fleet_in() as made:
        made.write(SESSIONS)
        up = made.run("up", "--sim", "--wait")
        assert up.returncode == 0, up.stderr
        yield made


def run(block: str, fleet: Fleet, environ: dict[str, str]) -> str:
    ran = subprocess.run(
        ["sh", "-c", block], cwd=fleet.folder, env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def copied(running: Fleet, place: Fleet, shell: dict[str, str], tmp_path: Path) -> None:
    """Copy a running fleet as the page says, end it, and unpack the copy in another place."""
    run(COPY, running, shell)
    assert running.run("down").returncode == 0
    subprocess.run(["tar", "-xzf", tmp_path / "fleet.tgz", "-C", place.folder], check=True)
    packed = {str(path.relative_to(place.folder)) for path in place.folder.rglob("*")}
    assert not [path for path in packed if path.endswith(("shared/creds.db", ".sock", "journal.duckdb"))]


@pytest.mark.long
def test_a_copy_of_a_running_fleet_connects_on_another_machine(
    running: Fleet, place: Fleet, shell: dict[str, str], tmp_path: Path
) -> None:
    copied(running, place, shell, tmp_path)
    place.environ["XDG_STATE_HOME"] = str(tmp_path / "another-machine")
    up = place.run("up", "--sim", "--wait")
    assert up.returncode == 0, up.stderr
    kinds = [event["kind"] for event in json_lines(place.run("events", "--json").stdout)]
    assert kinds.count("recovery") == 2
    assert not {"qr", "pair_started"} & set(kinds)


@pytest.mark.long
def test_where_it_is_known_a_copy_asks_once(
    running: Fleet, place: Fleet, shell: dict[str, str], tmp_path: Path
) -> None:
    copied(running, place, shell, tmp_path)
    assert place.run("up", "--sim", "-d").returncode == 0
    place.wait_states(sales="conflict", support="conflict")
    assert place.run("restart", "sales", "support", "--take-over").returncode == 0
    place.wait_connected("sales", "support")


@pytest.mark.long
def test_a_stopped_fleet_copied_as_a_whole_connects_without_a_question(
    running: Fleet, place: Fleet, tmp_path: Path
) -> None:
    assert running.run("down").returncode == 0
    shutil.copytree(running.folder, place.folder, dirs_exist_ok=True)
    place.environ["XDG_STATE_HOME"] = str(tmp_path / "another-machine")
    assert place.run("up", "--sim", "--wait").returncode == 0
    kinds = [event["kind"] for event in json_lines(place.run("events", "--json", "-n", "1000").stdout)]
    assert "recovery" not in kinds
    assert kinds.count("pair_started") == 2, "when it was new, and never again"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_alerts_run(running: Fleet, shell: dict[str, str], tmp_path: Path) -> None:
    assert run(ALERT, running, shell).strip() == ""
    run(METRICS.replace(".wakit/", ".wakit-sim/"), running, shell)
    assert 'wakit_sessions{state="connected"} 2' in (tmp_path / "wakit.prom").read_text()
    assert running.sql(QUERY) == []
    told = json.loads(running.run("status", "--json").stdout)
    assert [session["needs_person"] for session in told["sessions"]] == [False, False]
    assert running.run("down").returncode == 0
    run(METRICS.replace(".wakit/", ".wakit-sim/"), running, shell)
    assert not (tmp_path / "wakit.prom").exists(), "of a daemon that is gone nothing is told"
