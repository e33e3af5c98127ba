"""Standard streams as shells give them: missing, with a reader that has gone, or on a full disk."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from cli_support import FILE, Served, environment
from fake_fleet import session

from wakit.cli.ending import wait_for_end
from wakit.cli.run import run
from wakit.cli.streams import settle
from wakit.control.schemas import ActionInfo

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


@pytest.fixture
def talkative(served: Served, folder: Path) -> Served:
    """A fleet that has more to say than any pipe takes at once."""
    word = "x" * 500
    served.do(lambda f: f.sessions.update({f"s{n}": session(f"s{n}", reason=word) for n in range(500)}))
    served.do(lambda f: [f.log(session="sales", reason=word) for _ in range(500)])
    action = {"action": "create", "session": "s", "reason": word, "text": word}
    served.do(lambda f: f.planned.extend(ActionInfo.model_validate(action) for _ in range(500)))
    logs = folder / ".wakit" / "logs"
    logs.mkdir()
    (logs / "sales.log").write_text(f'{{"line": "{word}"}}\n' * 500)
    return served


def _pipe() -> tuple[int, int]:
    return os.pipe()


def _sockets() -> tuple[int, int]:
    """As Node gives its children: a reader that goes with something unread resets it."""
    reading, writing = socket.socketpair()
    writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return reading.detach(), writing.detach()


def _glanced_at(
    folder: Path, pair: Callable[[], tuple[int, int]], unbuffered: str, line: str
) -> subprocess.CompletedProcess[str]:
    """Run a command for a reader that takes the beginning of what it says, and goes."""
    reading, writing = pair()
    with subprocess.Popen(
        [sys.executable, "-m", "wakit", *line.split()],
        cwd=folder, env=environment(PYTHONUNBUFFERED=unbuffered), stdout=writing, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        os.close(writing)
        assert os.read(reading, 1)
        os.close(reading)
        _, said = process.communicate(timeout=100)
    return subprocess.CompletedProcess(line, process.returncode, stderr=said)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("pair", [_pipe, _sockets])
def test_a_reader_that_goes_early_ends_a_command_as_a_signal_would(
    talkative: Served, folder: Path, pair: Callable[[], tuple[int, int]], unbuffered: str
) -> None:
    asked = [
        *("events -n 500", "events -n 500 --json", "status", "status --json", "plan", "plan --json"),
        *("logs sales -n 500", "logs sales -n 500 --json", "logs sales -n 500 -f"),
    ]
    assert list(each(asked, partial(_glanced_at, folder, pair, unbuffered))) == [(line, 141, "") for line in asked]


@pytest.fixture
def plug() -> Iterator[int]:
    """One end of a socket."""
    one, other = socket.socketpair()
    with one, other:
        yield one.fileno()


@pytest.mark.parametrize("kind", [BrokenPipeError, ConnectionResetError])
def test_a_reader_that_goes_while_it_is_told_of_a_mistake_ends_it_likewise(
    folder: Path, monkeypatch: pytest.MonkeyPatch, plug: int, kind: type[OSError]
) -> None:
    def broken(_: list[str]) -> int:
        raise ValueError("a mistake of ours")

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise kind

        def fileno(self) -> int:
            return plug

    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("wakit.cli.run._carry_out", broken)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", Gone())
    assert run([]) == 141


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_connection_that_is_reset_is_a_mistake_unless_a_stream_is_a_socket(
    folder: Path, monkeypatch: pytest.MonkeyPatch, plug: int, name: str
) -> None:
    def broken(_: list[str]) -> int:
        raise ConnectionResetError(104, "Connection reset by peer")

    class Plugged(io.StringIO):
        def fileno(self) -> int:
            return plug

    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("wakit.cli.run._carry_out", broken)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())
    assert run([]) == 70
    (crash,) = folder.glob("wakit-crash-*.log")
    assert str(crash) in said.getvalue()
    monkeypatch.setattr(sys, name, Plugged())
    assert run([]) == 141


def test_what_a_stream_could_not_be_given_is_lost_and_not_tried_again(gone: int) -> None:
    with open(gone, "w", encoding="utf-8", closefd=False) as stream:
        stream.write("x")
        settle(stream)
        stream.flush()


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
