"""Running the daemon in this process until a signal or ``wakit down`` ends it; for the foreground and the background.

The first SIGINT, SIGTERM or SIGHUP asks for the clean end. A second one ends at once: workers die with their parent,
and every file is made for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from wakit.errors import Exit

if TYPE_CHECKING:
    from wakit.runtime import DaemonOptions, Place

_SHOW_CURSOR: Final = b"\x1b[?25h"  # of a terminal that the live table was drawn on
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def serve_until_signal(place: Place, options: DaemonOptions) -> signal.Signals | None:
    """Run the daemon; return the signal that ended it, None if it was asked over its socket.

    Raises:
        WakitError: It cannot be run; see :func:`wakit.runtime.serve`.
    """
    from wakit.runtime import serve  # noqa: PLC0415 - every room comes with it

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    received: list[signal.Signals] = []

    def on_signal(which: signal.Signals) -> None:
        received.append(which)
        options.ending.begin()
        options.ending.code = Exit.INTERRUPTED if which is signal.SIGINT else Exit.OK
        stop.set()
        # Not the loop's: that one may be what hangs.
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, _leave_at_once)

    for which in _SIGNALS:
        loop.add_signal_handler(which, on_signal, which)
    try:
        await serve(place, stop=stop, options=options)
    finally:
        for which in _SIGNALS:
            if not received:
                loop.remove_signal_handler(which)
    return received[0] if received else None


def _leave_at_once(number: int, _frame: object) -> None:
    """End the process there and then; the kernel ends the workers with it."""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        with suppress(OSError):
            os.write(sys.__stdout__.fileno(), _SHOW_CURSOR)
    os._exit(128 + number)
