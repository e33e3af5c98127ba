"""Standard streams as shells give them: missing, with a reader that has gone, or on a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from cli_support import FILE, Served, environment

from wakit.cli.ending import wait_for_end
from wakit.cli.run import run

COMMANDS: Final = (
    "--help",
    "--version",
    "init -c new.toml",
    "plan",
    "plan --json",
    "apply",
    "apply --json",
    "up -d",
    "up -d --json",
    "up --wait",
    "up --wait --json",
    "down -c idle/sessions.toml",
    "status",
    "status --json",
    "pair sales",
    "pair sales --json",
    "events",
    "events --json",
    "events -f",
    "restart sales",
    "park sales --json",
    "resume sales",
    "logs sales",
    "logs sales --json",
    "doctor",
    "sim help",
)


@pytest.fixture
def busy(served: Served, folder: Path) -> Served:
    """A fleet that has something to say to every command."""
    served.do(lambda f: f.change("support", "connected"))
    served.do(lambda f: [f.log(session="sales", reason="x" * 200) for _ in range(100)])
    served.do(lambda f: f.change_daemon(converged=True))
    logs = folder / ".wakit" / "logs"
    logs.mkdir()
    (logs / "sales.log").write_text('{"line": "one"}\n' * 100)
    (folder / "idle").mkdir()
    (folder / "idle" / "sessions.toml").write_text(FILE)
    return served


@pytest.fixture
def gone() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def under(folder: Path, redirection: str, line: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a command with its streams redirected as a shell does it."""
    return subprocess.run(
        ["bash", "-c", f'exec "$@" {redirection}', "bash", sys.executable, "-m", "wakit", *line.split()],
        cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True, timeout=100, check=False, **more,  # type: ignore[call-overload]
    )  # fmt: skip


def each(
    lines: Sequence[str], ran: Callable[[str], subprocess.CompletedProcess[str]]
) -> Iterator[tuple[str, int, str]]:
    """Run commands, some at a time; yield each with its exit code and what it said on stderr."""
    with ThreadPoolExecutor(4) as pool:
        for line, done in zip(lines, pool.map(ran, lines), strict=True):
            yield line, done.returncode, done.stderr


@pytest.mark.long
def test_every_command_dies_quietly_when_its_reader_has_gone(busy: Served, folder: Path, gone: int) -> None:
    told = list(each(COMMANDS, partial(under, folder, "", stdout=gone)))
    assert told == [(line, 141, "") for line in COMMANDS]


@pytest.mark.long
def test_every_command_explains_that_its_output_is_closed_or_full(busy: Served, folder: Path) -> None:
    for redirection, lines in ((">&-", COMMANDS), ("> /dev/full", ("status", "events", "pair sales"))):
        for line, code, said in each(lines, partial(under, folder, redirection)):
            assert (line, code) == (line, 1), said
            assert said.startswith("error: The output could not be written: ")
            assert "\nhint: " in said
            assert said.count("\n") == 2


def test_a_missing_or_failing_stderr_leaves_the_exit_code(folder: Path, gone: int) -> None:
    for redirection, code in (("2>&-", 4), ("2> /dev/full", 4), (">&- 2>&-", 4), ("2>&1 >&-", 4)):
        done = under(folder, redirection, "status", stdout=subprocess.DEVNULL)
        assert (redirection, done.returncode) == (redirection, code)
    assert under(folder, "2>&1", "status", stdout=gone).returncode == 141


def test_a_daemon_serves_without_standard_streams(folder: Path) -> None:
    (folder / "sessions.toml").write_text("[sessions.sales]\nenabled = false\n")
    script = 'exec "$@" <&- >&- 2>&-'
    with subprocess.Popen(
        ["bash", "-c", script, "bash", sys.executable, "-m", "wakit", "up"], cwd=folder, env=environment()
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while run(["status"]) != 0:
                assert process.poll() is None
                assert time.monotonic() < deadline
                wait_for_end(process.pid, 0.1)
            numbers = {n: str(Path(f"/proc/{process.pid}/fd/{n}").readlink()) for n in range(3)}
            assert numbers == dict.fromkeys(range(3), "/dev/null")
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()
