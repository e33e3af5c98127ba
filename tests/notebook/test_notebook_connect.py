from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from served_fleet import ServedFleet

import wakit
from wakit.errors import DeclarationError, NoDaemonError
from wakit.notebook import connect as connecting


@pytest.fixture
def config(folder: Path) -> Path:
    path = folder / "sessions.toml"
    path.write_text("# keep me\n[sessions.sales]\n\n[sessions.support]\n")
    return path


@pytest.fixture
def running(folder: Path, config: Path) -> Iterator[ServedFleet]:
    (folder / ".wakit").mkdir()
    with ServedFleet(folder / ".wakit", "sales", "support").up() as served:
        yield served


def test_attaches_to_the_nearest_file(running: ServedFleet, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deeper = config.parent / "notebooks" / "deep"
    deeper.mkdir(parents=True)
    monkeypatch.chdir(deeper)
    with wakit.connect() as fleet:
        assert list(fleet) == ["sales", "support"]
        assert fleet.config == config
        assert wakit.connect(config.parent) is fleet  # one connection a daemon, however often a cell is run
        assert wakit.connect(str(config)) is fleet
    with wakit.connect(config) as again:
        assert again is not fleet


def test_never_starts_a_daemon_silently(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it started something"))
    with pytest.raises(NoDaemonError) as caught:
        wakit.connect(config)
    assert f"wakit up --detach --config {config}" in caught.value.hint
    assert f"wakit.connect({str(config)!r}, start=True)" in caught.value.hint  # what starts the one that was meant
    with pytest.raises(NoDaemonError) as caught:
        wakit.connect(config, sim=True)
    assert "--sim" in caught.value.hint
    assert f"wakit.connect({str(config)!r}, sim=True, start=True)" in caught.value.hint
    monkeypatch.chdir(config.parent)
    with pytest.raises(NoDaemonError) as caught:
        wakit.connect()
    assert "wakit.connect(start=True)" in caught.value.hint


def test_no_file_is_told(folder: Path) -> None:
    with pytest.raises(DeclarationError):
        wakit.connect(folder / "nothing.toml")


def test_a_start_that_fails_says_what_the_command_said(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "error: the disk is full\nhint: make room\n")

    monkeypatch.setattr(connecting.subprocess, "run", run)
    with pytest.raises(NoDaemonError) as caught:
        wakit.connect(config, start=True)
    assert caught.value.why == "the disk is full"
    assert caught.value.hint == "make room"
    assert asked[0][1:] == ["-m", "wakit", "up", "--detach", "--config", str(config)]


def test_start_attaches_afterwards(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config.parent / ".wakit").mkdir()
    served = ServedFleet(config.parent / ".wakit", "sales")
    with pytest.MonkeyPatch.context() as patch:
        daemon = served.up()
        patch.setattr(connecting, "_start", lambda _: daemon.__enter__())
        try:
            with wakit.connect(config, start=True) as fleet:
                assert list(fleet) == ["sales"]
        finally:
            daemon.__exit__(None, None, None)


def test_two_that_start_it_at_one_moment_share_the_one_daemon(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two browsers of `marimo run` are two kernels: threads of one process."""
    (config.parent / ".wakit").mkdir()
    served = ServedFleet(config.parent / ".wakit", "sales")
    daemon, both, started = served.up(), threading.Barrier(2), []

    def start(_: Any) -> None:
        started.append(threading.get_ident())
        daemon.__enter__()

    def connect() -> wakit.Fleet:
        both.wait(20)
        return wakit.connect(config, start=True)

    monkeypatch.setattr(connecting, "_start", start)
    with ThreadPoolExecutor(2) as kernels:
        calls = [kernels.submit(connect) for _ in range(2)]
        first, second = (call.result(30) for call in calls)
    try:
        assert len(started) == 1
        assert first is second
        assert list(first) == ["sales"]
        assert sum(thread.name == "wakit-live" for thread in threading.enumerate()) == 1
    finally:
        first.close()
        daemon.__exit__(None, None, None)
