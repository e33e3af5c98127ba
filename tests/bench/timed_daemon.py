"""A real daemon that notes when its workers told what it took for a change of state.

``timed_daemon.py SESSIONS_TOML NOTES`` serves as ``wakit up`` does, until SIGTERM. Then NOTES holds a line of JSON for
each such change: the session, since when it is in its state (as the board shows it: milliseconds since 1970), and when
the worker told what led to it (the same clock, in the worker's process).
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import datetime
from pathlib import Path

from wakit.reconciler.reports import Reports
from wakit.reconciler.tracked import Tracked
from wakit.runtime import locate, serve
from wakit.whatsapp.port import News


async def main(config: Path, notes: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    changes: list[tuple[str, int, float]] = []
    take = Reports._event

    def timed(self: Reports, tracked: Tracked, event: News, at: datetime) -> None:
        before = tracked.since
        take(self, tracked, event, at)
        if tracked.since != before:
            changes.append((tracked.name, int(tracked.since.timestamp() * 1000), at.timestamp() * 1000))

    Reports._event = timed  # type: ignore[method-assign]
    try:
        await serve(locate(config), stop=stop)
    finally:
        notes.write_text("".join(json.dumps(change) + "\n" for change in changes))  # noqa: ASYNC240


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
