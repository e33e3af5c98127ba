"""From any thread to one callback on one loop, at most once per spacing, however often it is asked for.

The live connection runs in its own thread and may see thousands of changes a second; a widget may be written only on
the kernel's loop, and every write is a message to every open browser. So whoever sees a change says "something is new"
(:meth:`Outbox.post`), and the outbox calls ``deliver`` once on the loop, where the widget takes the newest snapshot and
sends the difference. No thread and no timer of its own: at most one callback waits in the loop at any time. While a
cell keeps the kernel busy, that one callback waits with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final

SPACING: Final = 0.03  # seconds: below what an eye takes for "at once", and at most 33 messages a second
_FLOOD: Final = 100  # posts within a spacing: thousands a second, of which nobody can see each
_CALM: Final = 25  # posts within a spacing, at most, once a flood is over
_LULL: Final = 0.25  # seconds between deliveries while it floods


class Outbox:
    """Coalesces posts from all threads into calls of ``deliver`` on ``loop``.

    Args:
        loop: Where ``deliver`` runs; None makes an outbox that delivers nothing (there is no kernel to deliver in).
        deliver: Called without arguments; sends whatever is new by then.
        spacing: The least time between two deliveries, in seconds. The first of a burst goes out at once, and while
            it floods (100 posts within a spacing, and as long as more than 25 come in each that follows) a quarter of
            a second lies between. So a burst, as of a daemon that was held up, is told as soon as it is over.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None, deliver: Callable[[], None], *, spacing: float = SPACING
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._spacing = spacing
        self._last = float("-inf")
        self._lock = threading.Lock()
        self._posted = False
        self._waiting = 0  # posts since the last delivery
        self._closed = loop is None

    def post(self) -> None:
        """Ask for a delivery; from any thread, in microseconds."""
        with self._lock:
            self._waiting += 1
            if self._posted or self._closed or self._loop is None:
                return
            try:
                self._loop.call_soon_threadsafe(self._due)
            except RuntimeError:  # the loop was closed: the kernel is on its way out
                self._closed = True
            else:
                self._posted = True

    def close(self) -> None:
        """Deliver nothing any more."""
        with self._lock:
            self._closed = True

    def _due(self) -> None:
        assert self._loop is not None
        wait = self._last + self._spacing - self._loop.time()
        if wait > 0:
            self._loop.call_later(wait, self._unless_it_floods)
        else:
            self._run()

    def _unless_it_floods(self) -> None:
        assert self._loop is not None
        if self._waiting > _FLOOD:
            self._await_calm(self._waiting)
        else:
            self._run()

    def _await_calm(self, waiting: int) -> None:
        assert self._loop is not None
        wait = self._last + _LULL - self._loop.time()
        if wait > 0:
            self._loop.call_later(min(wait, self._spacing), self._unless_calm, waiting)
        else:
            self._run()

    def _unless_calm(self, before: int) -> None:
        if self._waiting - before > _CALM:
            self._await_calm(self._waiting)
        else:
            self._run()

    def _run(self) -> None:
        assert self._loop is not None
        with self._lock:
            if self._closed:
                return
            # Before delivering: what changes while `deliver` reads must bring it here again.
            self._posted, self._waiting = False, 0
        self._last = self._loop.time()
        self._deliver()
