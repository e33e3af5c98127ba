"""``wakit up`` in the foreground: this process is the daemon, and shows what its sessions do.

On a terminal a table that redraws itself at most ten times a second; elsewhere one line for each change of state, so
that ``wakit up | tee`` and a service manager's journal stay readable. With ``--json`` each line is a SessionInfo.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.live import Live

from wakit.cli import render
from wakit.cli.fleet import Fleet
from wakit.cli.serving import log_to_stderr, serve_until_signal
from wakit.errors import Exit, UnknownSessionError

if TYPE_CHECKING:
    from wakit.control.port import Fleet as Served

_REDRAW: Final = 0.1  # seconds: at most so often
_TICK: Final = 1.0  # seconds: at least so often, because ages grow


def run(fleet: Fleet, *, as_json: bool) -> int:
    """Run the daemon until it is ended; return the exit code: 130 after Ctrl-C, else 0."""
    log_to_stderr(logging.WARNING)
    ended = asyncio.run(_run(fleet, as_json=as_json))
    return Exit.INTERRUPTED if ended is signal.SIGINT else Exit.OK


async def _run(fleet: Fleet, *, as_json: bool) -> signal.Signals | None:
    from wakit.runtime import DaemonOptions  # noqa: PLC0415 - every room comes with it

    place = fleet.place
    if sys.stdout.isatty() and not as_json:
        board = _Board()
        drawing = asyncio.create_task(board.draw())
        try:
            options = DaemonOptions(on_ready=board.on_ready, on_change=board.on_change)
            return await serve_until_signal(place, options)
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing
    lines = _Lines(as_json=as_json)
    return await serve_until_signal(place, DaemonOptions(on_ready=lines.on_ready, on_change=lines.on_change))


class _Board:
    """The live table."""

    def __init__(self) -> None:
        self._served: Served | None = None
        self._changed = asyncio.Event()

    def on_ready(self, served: Any) -> None:
        """Begin to draw."""
        self._served = served
        self._changed.set()

    def on_change(self, _name: str) -> None:
        """Draw again, soon."""
        self._changed.set()

    async def draw(self) -> None:
        """Draw until cancelled."""
        await self._changed.wait()
        unicode = render.speaks_unicode()
        with Live(console=render.console(), auto_refresh=False) as live:
            while True:
                self._changed.clear()
                if self._served is not None:
                    live.update(render.status(self._served.status(), unicode=unicode), refresh=True)
                await asyncio.sleep(_REDRAW)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _TICK)


class _Lines:
    """One line a change."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._served: Served | None = None
        self._told: dict[str, tuple[str, str]] = {}

    def on_ready(self, served: Any) -> None:
        """Say who serves, and every session as it is."""
        self._served = served
        told = served.status()
        if not self._as_json:
            self._say(str(render.footer(told.daemon, datetime.now(UTC))))
        for session in told.sessions:
            self.on_change(session.name)

    def on_change(self, name: str) -> None:
        """Say a session's state, if it is another one."""
        if self._served is None or not name:
            return
        try:
            session = self._served.session(name)
        except UnknownSessionError:
            if self._told.pop(name, None) and not self._as_json:
                self._say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {name}: gone")
            return
        if self._told.get(name) == (session.state, session.reason):
            return
        self._told[name] = session.state, session.reason
        self._say(session.model_dump_json() if self._as_json else render.change(session, datetime.now(UTC)))

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):  # whoever listened has gone; the daemon goes on
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
