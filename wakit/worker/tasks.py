"""What runs beside a worker's loop: tasks that must not fail, calls that may never return, and the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import NoReturn, TypeVar

from wakit.worker.exits import ExitCode

_T = TypeVar("_T")


def leave(code: ExitCode) -> NoReturn:
    """End the process now, after what was printed is out."""
    with contextlib.suppress(OSError):  # nobody may be there to read it
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class Tasks:
    """Those of one worker. Made inside its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run beside the loop; if it fails, the process ends."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._finished)

    def post(self, call: Callable[..., None], *arguments: object) -> None:
        """Call in the loop, from any thread."""
        self._loop.call_soon_threadsafe(call, *arguments)

    async def on_thread(self, call: Callable[[], _T]) -> _T:
        """Call on a thread of its own, which may never come back; a pool would fill up with those.

        Raises:
            Exception: What the call raised, which is printed where it was.
        """
        result: asyncio.Future[_T] = self._loop.create_future()

        def settle(settled: Callable[[], None]) -> None:
            if not result.done():
                settled()

        def work() -> None:
            try:
                value = call()
            except Exception as error:  # noqa: BLE001 - whoever waits must not wait for ever
                traceback.print_exc()
                self.post(settle, partial(result.set_exception, error))
            else:
                self.post(settle, partial(result.set_result, value))

        threading.Thread(target=work, daemon=True).start()
        return await result

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # A worker without its heartbeat or its start gate is no worker: say why, and make room for another.
            traceback.print_exception(error)
            leave(ExitCode.BUG)
