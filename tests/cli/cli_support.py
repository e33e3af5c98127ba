from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fake_fleet import FakeFleet, session

from wakit.control.server import create_app, serve_unix

ROOT = Path(__file__).parents[2]
FILE = '[sessions.sales]\n[sessions.support]\nphone = "+34600000001"\npairing = "code"\n'


class Served:
    """A fake fleet, served in a thread with a loop of its own, because commands block."""

    def __init__(self, fleet: FakeFleet, loop: asyncio.AbstractEventLoop) -> None:
        self.fleet = fleet
        self._loop = loop

    def do(self, act: Callable[[FakeFleet], Any]) -> Any:
        """Do something to the fleet on its loop."""

        async def on_loop() -> Any:
            return act(self.fleet)

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(10)

    def wait_for_readers(self, count: int) -> None:
        asyncio.run_coroutine_threadsafe(self.fleet.readers_are(count), self._loop).result(20)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    started: list[Served] = []
    ready, ended = threading.Event(), threading.Event()

    async def main() -> None:
        state_dir = folder / ".wakit"
        state_dir.mkdir(mode=0o700, exist_ok=True)
        address = state_dir / "control.sock"
        fleet = FakeFleet(
            session("sales"), session("support", "declared"), state_dir=str(state_dir), socket=str(address)
        )
        followed = fleet.daemon.declaration.model_copy(update={"path": str(folder / "sessions.toml")})
        fleet.daemon = fleet.daemon.model_copy(update={"declaration": followed})
        async with serve_unix(create_app(fleet), address):
            started.append(Served(fleet, asyncio.get_running_loop()))
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=[main()])
    thread.start()
    try:
        assert ready.wait(20)
        yield started[0]
    finally:
        ended.set()
        thread.join(20)
        assert not thread.is_alive()


def environment(**more: str) -> dict[str, str]:
    """An environment for a command in a process of its own."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "XDG_STATE_HOME") if name in os.environ
    }
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | more


def command(folder: Path, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run ``wakit`` as a process."""
    return subprocess.run(
        [sys.executable, "-m", "wakit", *words],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False, **more,
    )  # fmt: skip
