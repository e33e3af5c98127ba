"""``wakit up`` in the foreground: this process is the daemon, and shows what its sessions do.

On a terminal a table that redraws itself at most ten times a second; elsewhere one line for each change of state, so
that ``wakit up | tee`` and a service manager's journal stay readable, and one a second on how far the fleet has come.
With ``--json`` each line is a SessionInfo.

Whatever becomes of stdout and stderr (a reader that stands still, a full disk), the daemon goes on at its pace: only
threads of their own write there (:mod:`wakit.cli.outlet`, :mod:`wakit.cli.painting`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from wakit.cli import progress
from wakit.cli.daemon_log import LinesHandler, logging_to
from wakit.cli.fleet import Fleet
from wakit.cli.outlet import Outlet, standard
from wakit.cli.serving import serve_until_signal
from wakit.errors import Exit, UnknownSessionError

if TYPE_CHECKING:
    from wakit.cli.painting import Painter
    from wakit.control.port import Fleet as Served
    from wakit.runtime import DaemonOptions
    from wakit.worker.forking import ForkServer

_REDRAW: Final = 0.1  # seconds: at most so often
_TICK: Final = 1.0  # seconds: at least so often, because ages grow
_SHARE: Final = 5  # times as long as a drawing took, nothing is drawn


def run(fleet: Fleet, forks: ForkServer, *, as_json: bool) -> int:
    """Run the daemon until it is ended, its workers forked by that server; return the exit code: 130 after Ctrl-C."""
    shown, told = standard("stdout"), standard("stderr")
    with Outlet(told) as errors:
        if shown is None or not shown.isatty() or as_json:
            gap = _json_gap if as_json else _gap
            with Outlet(shown, gap=gap) as outlet, logging_to(LinesHandler(errors.say), logging.WARNING):
                ended = _tell(fleet, forks, _Lines(outlet.say, as_json=as_json))
        else:
            from wakit.cli.painting import Painter  # noqa: PLC0415 - rich, only for a terminal

            with Painter(shown) as painter:
                # On the same terminal an entry goes above the table, else through it.
                say = painter.note if told is not None and told.isatty() else errors.say
                with logging_to(LinesHandler(say), logging.WARNING):
                    ended = _draw(fleet, forks, _Board(painter))
    return Exit.INTERRUPTED if ended is signal.SIGINT else Exit.OK


def _tell(fleet: Fleet, forks: ForkServer, lines: _Lines) -> signal.Signals | None:
    from wakit.runtime import DaemonOptions  # noqa: PLC0415 - every room comes with it

    options = DaemonOptions(on_ready=lines.on_ready, on_change=lines.on_change, forks=forks)
    return options.ending.run(serve_until_signal(fleet.place, options))


def _draw(fleet: Fleet, forks: ForkServer, board: _Board) -> signal.Signals | None:
    from wakit.runtime import DaemonOptions  # noqa: PLC0415 - every room comes with it

    options = DaemonOptions(on_ready=board.on_ready, on_change=board.on_change, forks=forks)
    return options.ending.run(_draw_while_it_serves(fleet, board, options))


async def _draw_while_it_serves(fleet: Fleet, board: _Board, options: DaemonOptions) -> signal.Signals | None:
    drawing = asyncio.create_task(board.draw())
    try:
        return await serve_until_signal(fleet.place, options)
    finally:
        drawing.cancel()
        with suppress(asyncio.CancelledError):
            await drawing


def _gap(count: int) -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} ({count} lines left out: nobody read them)"


def _json_gap(count: int) -> str:
    return f'{{"left_out":{count}}}'


class _Board:
    """The live table."""

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
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
        while True:
            self._changed.clear()
            cost = self._painter.cost
            if self._served is not None and self._painter.idle:
                begun = time.thread_time()
                self._painter.show(self._served.status())
                cost += time.thread_time() - begun
            await asyncio.sleep(max(_REDRAW, _SHARE * cost))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _TICK)


class _Lines:
    """One line a change."""

    def __init__(self, say: Callable[[str], None], *, as_json: bool) -> None:
        self._say = say
        self._as_json = as_json
        self._served: Served | None = None
        self._shown = False
        self._told: dict[str, tuple[str, str]] = {}
        self._progress = progress.Lines((lambda _line: None) if as_json else say, time.monotonic)

    def on_ready(self, served: Any) -> None:
        """Say who serves, and every session as it is."""
        from wakit.cli import render  # noqa: PLC0415 - rich, when the sessions have started

        self._served = served
        told = served.status()
        if not self._as_json:
            self._say(str(render.footer(told.daemon, datetime.now(UTC))))
        for session in told.sessions:
            self.on_change(session.name)
        self._shown = True
        self._progress.tell()

    def on_change(self, name: str) -> None:
        """Say a session's state, if it is another one."""
        if self._served is None or not name:
            return
        from wakit.cli import render  # noqa: PLC0415 - loaded by then

        try:
            session = self._served.session(name)
        except UnknownSessionError:
            self._progress.forget(name)
            if self._told.pop(name, None) and not self._as_json:
                self._say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {name}: gone")
            return
        if self._told.get(name) == (session.state, session.reason):
            return
        self._told[name] = session.state, session.reason
        self._say(session.model_dump_json() if self._as_json else render.change(session, datetime.now(UTC)))
        self._progress.take(session)
        if self._shown:
            self._progress.tell()
