"""The end of a daemon: in order, and in time.

In order: nothing is begun any more; every client says goodbye and its worker ends; what a client that ended in order
left behind is noted; credentials that changed since their newest backup get a last one; the journal is told of the end
and closed. In time: each step has its own, so that a worker that hangs or a disk that stands still costs a warning, not
the end. What is cut off is made for it: workers die with their parent, files are written whole or not at all.

A thread that stands still in the kernel cannot be cut off, and Python would wait for it. So a watch that needs neither
the event loop nor the disk ends the process when all is done, or when the time is over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from wakit.errors import Exit

if TYPE_CHECKING:
    from wakit.reconciler import Reconciler
    from wakit.worker.host import WorkerHost

GOODBYE: Final = 1.0  # seconds a client has to close its connection
_WORKERS: Final = 3.0  # seconds until every worker is gone; a kill takes no time, the kernel may
_UNDER_WAY: Final = 3.0  # seconds for what was begun, and for the notes on clients that ended
_LAST_BACKUPS: Final = 4.0  # seconds for backups of what changed since the newest
_IN_ORDER: Final = 6.0  # seconds for all of that together; the socket has its one, the journal its two
LAST_RESORT: Final = 9.5
"""Seconds after which the process ends, whatever it still waits for."""

_THREADS: Final = 0.5  # seconds for threads that still run when everything is closed
_log = logging.getLogger("wakit.daemon")
_T = TypeVar("_T")


class Ending:
    """How far the end of a daemon is.

    Attributes:
        waits_for: What it waits for at this moment, in words; None before it begins.
        code: What the process returns if it has to be ended by the watch after all was closed.
    """

    def __init__(self) -> None:
        self.waits_for: str | None = None
        self.code: int = Exit.OK
        self._begun, self._closed, self._over = threading.Event(), threading.Event(), threading.Event()

    def begin(self) -> None:
        """Note that the daemon was asked to end; from now on its time runs."""
        self.waits_for = self.waits_for or "its turn"
        self._begun.set()

    def closed(self) -> None:
        """Note that every room is closed: nothing is lost any more if a thread stands still."""
        self._closed.set()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run the daemon in an event loop of its own, under the watch."""
        watch = threading.Thread(target=self._watch, name="wakit-ending", daemon=True)
        watch.start()
        try:
            return asyncio.run(work)
        finally:
            for event in (self._over, self._closed, self._begun):
                event.set()
            watch.join()

    def _watch(self) -> None:
        self._begun.wait()
        if not self._closed.wait(LAST_RESORT):
            _log.error("the end took longer than %g s, so it ends now; it waited for %s", LAST_RESORT, self.waits_for)
            os._exit(Exit.TIMEOUT)
        if not self._over.wait(_THREADS):
            os._exit(self.code)


async def wind_down(reconciler: Reconciler, host: WorkerHost, ending: Ending) -> None:
    """End what runs, in order; what does not end in time is said and left."""
    ending.begin()
    until = time.monotonic() + _IN_ORDER
    roster, executor = reconciler.roster, reconciler.executor
    reconciler.halt()
    # The host first: a worker that is still starting must not hold up the end.
    workers = len(host.workers())
    ending.waits_for = f"{workers} workers to end"
    late = []
    if not await _within(host.close(grace=GOODBYE), _WORKERS):
        late.append(f"{len(host.workers())} workers")
    ending.waits_for = "actions that were under way"
    if not await _within(executor.jobs.drain(), min(_UNDER_WAY, until - time.monotonic())):
        late.append("actions that were under way")
    ending.waits_for = "the last backups"
    await executor.keeper.finish(max(0.0, min(_LAST_BACKUPS, until - time.monotonic())))
    if late:
        roster.log("warning", reason=f"the end did not wait for {' and '.join(late)}", code="late")
    ending.waits_for = "the journal"


async def _within(work: Awaitable[None], seconds: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await work
    except TimeoutError:
        return False
    return True
