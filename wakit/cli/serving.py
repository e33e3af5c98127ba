"""Running the daemon in this process until a signal or ``wakit down`` ends it; for the foreground and the background.

The first SIGINT, SIGTERM or SIGHUP asks for the clean end. A second Ctrl-C ends at once: workers die with their parent,
and the journal is made for it.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wakit.runtime import DaemonOptions, Place

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
        stop.set()
        # From now on Ctrl-C is Python's own again, so that a second one gets through.
        loop.remove_signal_handler(signal.SIGINT)

    for which in _SIGNALS:
        loop.add_signal_handler(which, on_signal, which)
    try:
        await serve(place, stop=stop, options=options)
    finally:
        for which in _SIGNALS:
            loop.remove_signal_handler(which)
    return received[0] if received else None
