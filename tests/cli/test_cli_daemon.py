"""``up``, ``down`` and what lies between, with the real daemon; no session is enabled, so no client starts."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import command, environment

from wakit.cli.ending import wait_for_end
from wakit.control.address import read_record

PARKED = "[sessions.sales]\nenabled = false\n"


@pytest.fixture
def project(folder: Path) -> Iterator[Path]:
    (folder / "sessions.toml").write_text(PARKED)
    yield folder
    record = read_record(folder / ".wakit")
    if record is not None and record.alive:
        os.kill(record.pid, signal.SIGKILL)
        wait_for_end(record.pid, 10)


def start_foreground(project: Path, *words: str, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wakit.cli", "up", *words],
        cwd=project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,  # type: ignore[call-overload]
    )  # fmt: skip


def test_up_in_the_background_and_down(project: Path) -> None:
    up = command(project, "up", "-d")
    assert (up.returncode, up.stderr) == (0, "")
    assert "serves; see `wakit status`" in up.stdout
    record = read_record(project / ".wakit")
    assert record is not None
    assert record.alive
    assert os.getsid(record.pid) == record.pid
    assert Path(f"/proc/{record.pid}/cwd").readlink() == Path("/")
    log = project / ".wakit" / "logs" / "_daemon.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600

    again = command(project, "up", "-d", "--json")
    assert json.loads(again.stdout)["daemon"]["pid"] == record.pid
    waited = command(project, "up", "--wait", "--timeout", "20")
    assert waited.returncode == 0, waited.stderr
    assert "sales" in waited.stdout

    held = command(project, "up")
    assert held.returncode == 5
    assert f"pid {record.pid}" in held.stderr
    assert held.stderr.startswith("error: ")

    down = command(project, "down")
    assert (down.returncode, down.stderr) == (0, "")
    assert not record.alive
    assert read_record(project / ".wakit") is None
    assert not (project / ".wakit" / "control.sock").exists()
    assert command(project, "status").returncode == 4
    events = command(project, "events", "--json")
    kinds = [json.loads(line)["kind"] for line in events.stdout.splitlines()]
    assert kinds[0] == "daemon_start"
    assert kinds[-1] == "daemon_stop"
    assert command(project, "doctor", "--json", "--sim").returncode in (0, 1)


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)], ids=str)
def test_up_in_the_foreground_ends_in_order_within_three_seconds(
    project: Path, which: signal.Signals, code: int
) -> None:
    with start_foreground(project) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("daemon ")
        line = process.stdout.readline()
        while "parked" not in line:
            line = process.stdout.readline()
        assert "sales: parked" in line
        begun = time.monotonic()
        process.send_signal(which)
        _, said = process.communicate(timeout=20)
        assert time.monotonic() - begun < 3
    assert process.returncode == code
    assert said == ""
    assert not (project / ".wakit" / "control.sock").exists()


def test_up_in_the_foreground_is_ended_by_down(project: Path) -> None:
    with start_foreground(project, "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["name"] == "sales"
        assert command(project, "down").returncode == 0
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_up_on_a_terminal_draws_a_table(project: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wakit.cli", "up"],
        cwd=project, env=environment(TERM="xterm-256color", COLUMNS="100", LINES="30"),
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + 30
    while "‖ parked".encode() not in seen or b"converged" not in seen:
        assert select.select([ours], [], [], deadline - time.monotonic())[0], seen
        seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while os.read(ours, 4096):
            pass
    except OSError:  # Linux's way to say that the other end of a pty is closed
        pass
    assert process.wait(20) == 130
    os.close(ours)
    assert b"NAME" in seen
    assert b"Traceback" not in seen


def test_a_daemon_that_was_killed_is_no_obstacle(project: Path) -> None:
    command(project, "up", "-d")
    record = read_record(project / ".wakit")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    assert wait_for_end(record.pid, 10)
    told = command(project, "status")
    assert told.returncode == 4
    assert "ended without a goodbye" in told.stderr
    again = command(project, "up", "-d")
    assert again.returncode == 0, again.stderr
    assert command(project, "down").returncode == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("[sessions.sales\n", "sessions.toml:1"), ('[sessions.sales]\npairng = "qr"\n', "pairing"), ("\0", "NUL")],
)
def test_a_broken_file_starts_nothing_and_is_explained(project: Path, text: str, sentence: str) -> None:
    (project / "sessions.toml").write_text(text)
    for words in (["up"], ["up", "-d"], ["up", "--wait"]):
        told = command(project, *words)
        assert told.returncode == 1, told
        assert told.stderr.startswith("error: ")
        assert sentence in told.stderr
        assert "Traceback" not in told.stderr
    assert read_record(project / ".wakit") is None


def test_a_state_directory_that_cannot_be_used_is_explained(project: Path) -> None:
    (project / ".wakit").symlink_to("/tmp")
    told = command(project, "up", "-d")
    assert told.returncode == 1
    assert "it is a symlink" in told.stderr
    assert "hint: " in told.stderr


def test_a_deep_state_directory_is_served_and_said(project: Path) -> None:
    deep = "d" * 110
    (project / "sessions.toml").write_text(f'[wakit]\nstate_dir = "{deep}"\n' + PARKED)
    up = command(project, "up", "-d")
    assert up.returncode == 0, up.stderr
    assert "Its control socket is /" in up.stdout
    assert command(project, "status").returncode == 0
    assert command(project, "down").returncode == 0
