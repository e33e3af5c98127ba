"""A stdout that stands still, is full or has gone must not stop the daemon; nor may a large table."""

from __future__ import annotations

import doctest
import io
import json
import logging
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cli_support import environment
from fake_fleet import T0, session
from rich.console import Console

from wakit.cli import daemon_log, outlet, render
from wakit.cli.daemon_log import FileHandler, LinesHandler, logging_to
from wakit.cli.ending import wait_for_end
from wakit.cli.outlet import Outlet
from wakit.cli.painting import Painter
from wakit.cli.run import run
from wakit.control.schemas import DaemonInfo, DeclarationInfo, SessionInfo, StatusInfo

PARKED = "[sessions.sales]\nenabled = false\n"


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("module", [daemon_log, outlet])
def test_the_examples_in_the_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


def test_lines_nobody_reads_are_left_out_and_counted(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, stream = pipe
    with Outlet(stream, gap=lambda count: f"left out {count}", most=10) as lines:
        begun = time.monotonic()
        for number in range(3000):
            lines.say(f"{number} " + "x" * 200)
        assert time.monotonic() - begun < 20  # who waits here waits for ever
        seen = ""
        while "\n2999 " not in seen:
            assert select.select([reading], [], [], 20)[0]
            seen += os.read(reading, 1 << 16).decode()
    told = seen.splitlines()
    lost = sum(int(line.split()[-1]) for line in told if line.startswith("left out"))
    assert lost > 0
    assert lost + sum(not line.startswith("left out") for line in told) == 3000
    assert "wakit-outlet" not in threads()


def test_an_outlet_ends_though_nobody_reads(pipe: tuple[int, io.TextIOWrapper]) -> None:
    _, stream = pipe
    begun = time.monotonic()
    with Outlet(stream) as lines:
        for _ in range(1000):
            lines.say("x" * 500)
    assert time.monotonic() - begun < 20  # who waits here waits for ever
    assert "wakit-outlet" not in threads()
    lines.say("too late, and no error")


def test_a_full_disk_or_a_missing_stream_is_no_error() -> None:
    with Path("/dev/full").open("w") as full, Outlet(full) as lines, Outlet(None) as nowhere:
        for each in (lines, nowhere):
            each.say("one")
    assert "wakit-outlet" not in threads()


def test_what_is_said_last_still_comes(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file, Outlet(file) as lines:
        for number in range(500):
            lines.say(str(number))
    assert (tmp_path / "out").read_text().splitlines() == [str(number) for number in range(500)]


# -- the daemon ------------------------------------------------------------------------------------------------------


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(20)


def test_a_daemon_serves_whatever_becomes_of_its_output(folder: Path) -> None:
    (folder / "sessions.toml").write_text(PARKED)
    reading, writing = os.pipe()
    # Full before it says a word: each line it writes would block.
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    with Path("/dev/full").open("wb") as full:
        for output in (writing, full):
            process = subprocess.Popen(
                [sys.executable, "-m", "wakit", "up", "--json"],
                cwd=folder, env=environment(), stdout=output, stderr=output,
            )  # fmt: skip
            try:
                until_it_serves(folder, process)
                assert run(["status", "--json"]) == 0
                begun = time.monotonic()
                assert ended(process) == 130
                assert time.monotonic() - begun < 20  # who waits here waits for ever
            finally:
                process.kill()
                process.wait()
    os.close(reading)
    os.close(writing)


def until_it_serves(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while run(["status", "--json"]) != 0:
        assert process.poll() is None
        assert time.monotonic() < deadline
        wait_for_end(process.pid, 0.1)


# -- the table -------------------------------------------------------------------------------------------------------


def large(count: int, state: str = "connected") -> StatusInfo:
    sessions: list[SessionInfo] = [session(f"session-{number}", state) for number in range(count)]
    told = DeclarationInfo(path="/srv/sessions.toml")
    daemon = DaemonInfo(
        pid=1, run_id="r", version="1", started_at=T0, state_dir="/s", socket="/s/c", declaration=told
    )  # fmt: skip
    return StatusInfo(daemon=daemon, sessions=sessions)


def on_screen(told: StatusInfo, height: int = 20, width: int = 100) -> list[str]:
    screen = Console(width=width, height=height, force_terminal=True, color_system=None, highlight=False)
    with screen.capture() as captured:
        screen.print(render.fitting(told, screen, T0))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_table_fits_its_screen_and_shows_the_unwell_first() -> None:
    told = large(500)
    assert len(on_screen(told)) < 20
    assert any(line.startswith("… and 485 more, all connected") for line in on_screen(told))
    told.sessions[400] = session("ill", "reconnecting", reason="the network is gone " * 20)
    told.sessions[401] = session("calm", "parked")
    shown = on_screen(told)
    assert [line.split()[0] for line in shown[1:3]] == ["ill", "calm"]
    assert len(shown) < 20
    assert "… and 485 more, all connected" in shown
    mixed = large(30, "reconnecting")
    mixed.sessions.extend(large(30).sessions)
    assert any("30 connected" in line and "reconnecting" in line for line in on_screen(mixed))
    assert not any("more" in line for line in on_screen(large(3)))
    assert len(on_screen(told, height=2)) >= 3


def test_a_table_of_500_is_cheap_to_draw() -> None:
    told = large(500, "reconnecting")
    on_screen(told, height=50)
    begun = time.thread_time()
    on_screen(told, height=50)
    assert time.thread_time() - begun < 0.15  # 0.03 s on an idle machine; with every row it was ten times as much


def test_a_painter_ends_though_its_terminal_stands_still() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        begun = time.monotonic()
        with Painter(terminal) as painter:
            for number in range(200):
                painter.note(f"{number} " + "x" * 1000)
            painter.show(large(500))
        assert time.monotonic() - begun < 20  # who waits here waits for ever
    assert os.read(ours, 100).startswith(b"\x1b")
    os.close(ours)
    assert "wakit-painter" not in threads()


# -- the log ---------------------------------------------------------------------------------------------------------


def broken() -> None:
    raise ValueError("no +34600000001")


def test_the_daemons_log_is_json_with_a_trace_that_can_be_used(tmp_path: Path) -> None:
    log = logging.getLogger("wakit.daemon")
    said: list[str] = []
    for handler in (FileHandler(tmp_path / "_daemon.log"), LinesHandler(said.append)):
        with logging_to(handler, logging.INFO):
            try:
                broken()
            except ValueError:
                log.exception("it failed for %s", "+34600000001")
            log.info("%d", "no number")
    first, second = map(json.loads, (tmp_path / "_daemon.log").read_text().splitlines())
    assert (first["level"], first["logger"], first["line"]) == ("error", "wakit.daemon", "it failed for [number]")
    assert f"{__file__}:" in first["trace"]
    assert "in broken" in first["trace"]
    assert second["line"] == "%d"
    assert f"{__file__}:" in said[0]
    assert "34600000001" not in str(said) + str(first)


def test_the_daemons_log_is_rotated_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "_daemon.log"
    spare = os.open("/dev/null", os.O_WRONLY)
    with logging_to(FileHandler(path, largest=2000, follows=(spare,)), logging.INFO):
        for number in range(100):
            logging.getLogger("wakit").info("entry %d", number)
        os.write(spare, b"fatal error: of Go\n")
    os.close(spare)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["_daemon.log", "_daemon.log.1"]
    assert max(found.stat().st_size for found in tmp_path.iterdir()) < 2300
    assert "entry 99" in path.read_text()
    assert path.read_text().endswith("fatal error: of Go\n")
