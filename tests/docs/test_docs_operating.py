"""docs/operating.md: its unit is one, and its lists are the code's.

What it shows for the shell runs in tests/e2e/test_operating_page.py.
"""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pages import DOCS, blocks, commands, names, tables, why_not_a_command

import wakit
from wakit.cli.app import whole
from wakit.control.schemas import Counters, DaemonInfo, DeclarationInfo, StatusInfo
from wakit.control.server.metrics import render
from wakit.core.records import EVENT_KINDS, EventRecord
from wakit.errors import Exit
from wakit.runtime.ending import LAST_RESORT

PAGE = (DOCS / "operating.md").read_text("utf-8")
ROWS = tables(PAGE)
(UNIT,) = blocks(PAGE, "ini")


def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=True, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(UNIT)
    return parsed


def first_cells(table: str) -> list[str]:
    return [name for row in ROWS[table] for name in names(row[0])]


def test_the_unit_runs_a_command_that_stays_in_the_foreground() -> None:
    program, command, *words = shlex.split(unit()["Service"]["ExecStart"])
    assert Path(program).is_absolute()
    assert Path(program).name == "wakit"
    context = whole().commands[command].make_context(command, words)
    assert command == "up"
    assert not {"detach", "wait", "sim"} & {name for name, value in context.params.items() if value is True}


def test_the_unit_gives_the_daemon_its_time_and_ends_it_alone() -> None:
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > LAST_RESORT
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "on-failure"
    assert int(service["RestartPreventExitStatus"]) == Exit.TIMEOUT


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    file = tmp_path / "wakit.service"
    file.write_text(UNIT.replace("/opt/wakit/.venv/bin/wakit", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    about_it = [line for line in verified.stderr.splitlines() if "wakit" in line]
    assert about_it == []


@pytest.mark.parametrize("line", sorted(commands(PAGE)))
def test_every_command_in_it_exists(line: str) -> None:
    assert not why_not_a_command(line)


def test_every_metric_is_listed() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    daemon = DaemonInfo(
        pid=1,
        run_id="r",
        version="0",
        started_at=now,
        config="",
        state_dir="",
        socket="",
        declaration=DeclarationInfo(path=""),
    )
    text = render(StatusInfo(daemon=daemon, sessions=[]), Counters(), 0)
    assert first_cells("metric") == re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)
    for metric, labels, _ in ROWS["metric"]:
        (sample,) = set(re.findall(rf"^{metric.strip('`')}(?:{{(.*)}})? ", text, re.MULTILINE)[:1])
        assert names(labels) == re.findall(r'(\w+)="', sample), metric


def test_every_environment_variable_is_listed() -> None:
    said: set[str] = set()
    for path in Path(wakit.__file__).parent.rglob("*.py"):
        code = path.read_text("utf-8")
        said |= set(re.findall(r'environ(?:ment)?(?:\.(?:get|setdefault|pop)\(|\[)"([A-Z][A-Z_]+)"', code))
        said |= set(re.findall(r'"([A-Z][A-Z_]+)" (?:not )?in (?:os\.)?environ', code))
        said |= set(re.findall(r'envvar="([A-Z_]+)"', code))
    for path in (DOCS.parent / "notebooks").glob("*.ipynb"):
        said |= set(re.findall(r'environ\.get\(\\"([A-Z_]+)\\"', path.read_text("utf-8")))
    assert len(said) > 8
    assert said == set(first_cells("variable")) - {"WAKIT_KEY", "WAKIT_TABLE__KEY"}


def test_every_kind_and_column_of_events_is_listed() -> None:
    assert sorted(first_cells("kind")) == sorted(EVENT_KINDS)
    assert set(first_cells("column")) == {"seq"} | {field.name for field in fields(EventRecord)}
