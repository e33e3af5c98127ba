"""An event loop whose clock is ours: nothing sleeps, and a pause of an hour is over at once.

When every task waits, the loop would wait in ``select`` for the next timer; here the clock jumps to it instead. Work
for threads runs in the loop's own thread after a pause of virtual time, so that a seed decides every interleaving.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class _Jumping(selectors.DefaultSelector):
    """A selector that lets virtual time pass instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits, and nothing is left that could wake one")
        self.moment += max(0.0, timeout)
        return []  # nothing comes from outside: there are neither files nor threads in virtual time


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time.

    Attributes:
        work_takes: How long the next piece of threads' work takes, in seconds.
    """

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self.work_takes: Callable[[], float] = lambda: 0.002
        self.faults: list[BaseException] = []
        self.set_exception_handler(lambda _loop, context: self.faults.append(_fault(context)))

    def time(self) -> float:
        return self._jumping.moment

    def pass_time(self, seconds: float) -> None:
        """Let time pass while something computes."""
        self._jumping.moment += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - as a thread pool hands it on
                future.set_exception(error)

        self.call_later(max(0.0, self.work_takes()), work)
        return future

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nothing can happen, as in a stopped process."""
        self._jumping.moment += seconds

    def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that happens meanwhile."""
        self.run_until_complete(asyncio.sleep(seconds))

    def cancel_everything(self) -> None:
        """End every task there and then, as the end of a process does."""
        while tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                self.run_until_complete(asyncio.wait(tasks))


def _fault(context: dict[str, Any]) -> BaseException:
    return context.get("exception") or RuntimeError(str(context.get("message")))
