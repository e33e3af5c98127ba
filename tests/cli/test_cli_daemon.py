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
from filelock import FileLock

from wakit.cli import background
from wakit.cli.ending import wait_for_end
from wakit.cli.run import run
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
        [sys.executable, "-m", "wakit", "up", *words],
        cwd=project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,  # type: ignore[call-overload]
    )  # fmt: skip


def test_up_in_the_background_and_down(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
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

    # The rest of the commands run in this process: they are asked for the same, and start quicker.
    assert run(["up", "-d", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["daemon"]["pid"] == record.pid
    assert run(["up", "--wait", "--timeout", "20"]) == 0
    assert "sales" in capsys.readouterr().out
    assert run(["up"]) == 5
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert f"pid {record.pid}" in told

    assert run(["down"]) == 0
    assert not record.alive
    assert read_record(project / ".wakit") is None
    assert not (project / ".wakit" / "control.sock").exists()
    assert run(["status"]) == 4
    capsys.readouterr()
    assert run(["events", "--json"]) == 0
    kinds = [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()]
    assert kinds[0] == "daemon_start"
    assert kinds[-1] == "daemon_stop"


def test_several_starts_at_one_moment_are_one_daemon(project: Path) -> None:
    """Two notebooks, or a notebook and a terminal: the daemon's lock lets one through, the others find that one."""
    starts = [
        subprocess.Popen(
            [sys.executable, "-m", "wakit", "up", "-d", "--json"],
            cwd=project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    told = [start.communicate(timeout=60) for start in starts]
    assert [(start.returncode, err) for start, (_, err) in zip(starts, told, strict=True)] == [(0, "")] * 3
    record = read_record(project / ".wakit")
    assert record is not None
    assert {json.loads(out)["daemon"]["pid"] for out, _ in told} == {record.pid}


def test_a_place_that_stays_taken_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_CROWD", 0.0)
    state = project / ".wakit"
    state.mkdir(mode=0o700)
    with FileLock(state / "daemon.lock", mode=0o600):
        up = run(["up", "-d"])
    assert up == 5


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)], ids=str)
def test_up_in_the_foreground_ends_in_order(project: Path, which: signal.Signals, code: int) -> None:
    with start_foreground(project) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("daemon ")
        line = process.stdout.readline()
        while "parked" not in line:
            line = process.stdout.readline()
        assert "sales: parked" in line
        process.send_signal(which)
        _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert said == ""
    assert not (project / ".wakit" / "control.sock").exists()


def test_up_in_the_foreground_is_ended_by_down(project: Path) -> None:
    with start_foreground(project, "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["name"] == "sales"
        assert run(["down"]) == 0
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_up_on_a_terminal_draws_a_table(project: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wakit", "up"],
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


def test_a_daemon_that_was_killed_is_no_obstacle(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(project, "up", "-d")
    record = read_record(project / ".wakit")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    assert wait_for_end(record.pid, 10)
    assert run(["status"]) == 4
    assert "ended without a goodbye" in capsys.readouterr().err
    again = command(project, "up", "-d")
    assert again.returncode == 0, again.stderr
    assert run(["down"]) == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("[sessions.sales\n", "sessions.toml:1"), ('[sessions.sales]\npairng = "qr"\n', "pairing"), ("\0", "NUL")],
)
def test_a_broken_file_starts_nothing_and_is_explained(
    project: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "sessions.toml").write_text(text)
    for words in (["up"], ["up", "-d"], ["up", "--wait"]):
        assert run(words) == 1
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert sentence in told
    assert read_record(project / ".wakit") is None


def test_a_state_directory_that_cannot_be_used_is_explained(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".wakit").symlink_to("/tmp")
    assert run(["up", "-d"]) == 1
    told = capsys.readouterr().err
    assert "it is a symlink" in told
    assert "hint: " in told


def test_a_deep_state_directory_is_served_and_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = "d" * 110
    (project / "sessions.toml").write_text(f'[wakit]\nstate_dir = "{deep}"\n' + PARKED)
    up = command(project, "up", "-d")
    assert up.returncode == 0, up.stderr
    assert "Its control socket is /" in up.stdout
    assert run(["status"]) == 0
    assert run(["down"]) == 0
    capsys.readouterr()
    assert run(["events", "--json"]) == 0
    first, second, *_ = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["kind"] == "daemon_start"
    assert (second["kind"], "the control socket is" in second["reason"]) == ("warning", True)
