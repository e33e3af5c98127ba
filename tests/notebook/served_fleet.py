"""A fleet in memory behind the real control server, in a thread of its own: a daemon as a notebook meets it.

The test's own event loop stands for the kernel's, so the server must not need it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "control"))
from fake_fleet import PAYLOAD, FakeFleet, session

from wakit.control.server import create_app, serve_unix

__all__ = ["PAYLOAD", "FakeFleet", "ServedFleet", "session"]

T = TypeVar("T")


class ServedFleet:
    """Serves ``fake`` on ``<folder>/control.sock`` while :meth:`up` is entered; may be entered again."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.fake = FakeFleet(*(session(name) for name in names), state_dir=str(folder))
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def up(self) -> Iterator[ServedFleet]:
        ready, leave = threading.Event(), asyncio.Event()

        async def serve() -> None:
            async with serve_unix(create_app(self.fake), self.folder / "control.sock"):
                self._loop = asyncio.get_running_loop()
                ready.set()
                await leave.wait()
            await asyncio.sleep(0)  # connections that were cut close their sockets in the loop's next turn

        thread = threading.Thread(target=asyncio.run, args=(serve(),), name="fake daemon")
        thread.start()
        try:
            assert ready.wait(20)
            yield self
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(leave.set)
            thread.join(20)
            assert not thread.is_alive()

    def do(self, act: Callable[[FakeFleet], T]) -> T:
        """Let ``act`` have its way with the fleet, on the daemon's loop."""
        assert self._loop is not None

        async def on_loop() -> Any:
            return act(self.fake)

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(20)

    def readers(self, count: int) -> None:
        """Wait until so many live streams are connected."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.fake.readers_are(count), self._loop).result(20)
