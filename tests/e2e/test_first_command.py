"""The README's first command on the shipped file, and what follows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Fleet, fleet_in

from wakit.declare import load

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "sessions.toml"


def readme_blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language; "" for those that name none."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [text for found, text in blocks if found == language]


@pytest.fixture
def shipped() -> Iterator[Fleet]:
    with fleet_in() as fleet:
        shutil.copy(SHIPPED, fleet.config)
        yield fleet


def test_up_sim_wait_and_the_commands_after_it(shipped: Fleet) -> None:
    up = shipped.run("up", "--sim", "--wait")
    assert up.returncode == 0, up.stderr
    for name in ("support", "sales", "research"):
        (line,) = [line for line in up.stdout.splitlines() if line.startswith(name)]
        assert "connected" in line

    again = shipped.run("up", "--sim", "--wait")
    assert again.returncode == 0, "attached to the one that runs"

    status = json.loads(shipped.run("status", "--json").stdout)
    assert {s["name"]: s["state"] for s in status["sessions"]} == dict.fromkeys(
        ["support", "sales", "research"], "connected"
    )
    assert status["daemon"]["sim"] is True
    assert Path(status["daemon"]["state_dir"]) == shipped.folder / ".wakit-sim"
    assert not (shipped.folder / ".wakit").exists(), "the real state directory is never touched"

    events = shipped.run("events", "sales")
    assert events.returncode == 0
    assert "paired → connected" in events.stdout

    # The README's notebook lines run against it as they stand.
    (cell,) = readme_blocks("python")
    ran = subprocess.run([sys.executable, "-c", cell], check=False, cwd=shipped.folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr

    assert shipped.run("down").returncode == 0
    assert shipped.run("status", "--sim").returncode == 4

    # A second time: restored, nobody scans.
    assert shipped.run("up", "--sim", "--wait").returncode == 0
    lines = shipped.run("events", "--json").stdout.splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds.count("pair_started") == 3
    assert kinds.count("daemon_start") == 2


def test_the_commands_in_the_readme_are_the_ones_that_are_tried() -> None:
    """``test_up_sim_wait…`` runs these by the interpreter at hand; the first-time set-up is tried on fresh clones."""
    first, after, tests, _dashboard = readme_blocks("")
    assert first.endswith(".venv/bin/wakit up --sim --wait\n")
    assert first.count("\n") == 1
    assert re.findall(r"wakit (\w+)", after) == ["status", "events", "down"]
    assert tests == ".venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n"


def test_the_example_file_in_the_readme_is_one(tmp_path: Path) -> None:
    (example,) = readme_blocks("toml")
    file = tmp_path / "sessions.toml"
    file.write_text(example, "utf-8")
    sessions = load(file, environ={}, git=False).sessions
    assert list(sessions) == ["support", "sales"]
    assert not sessions["sales"].enabled


@pytest.mark.long
def test_wait_tells_who_is_not_there_and_why(shipped: Fleet) -> None:
    up = shipped.run("up", "--sim", "--sim-phones", "manual", "--wait", "--timeout", "6")
    assert up.returncode == 3
    assert "error: " in up.stderr
    for name in ("support", "sales", "research"):
        assert name in up.stderr
    assert "QR" in up.stderr
    assert shipped.run("down").returncode == 0
