"""The live table's thread: draws what it was given last, and writes it when the terminal takes it.

rich renders into memory first, so that a terminal held by Ctrl-S holds this thread alone. How long a drawing took is
told to whoever gives the next one, who shares the interpreter with it and decides when.
"""

from __future__ import annotations

import io
import time
from collections import deque
from threading import Condition, Thread
from typing import Final, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from wakit.cli import render
from wakit.cli.outlet import GRACE, Sink
from wakit.control.schemas import StatusInfo

_MOST_NOTES: Final = 1000


class Painter:
    """Draws tables on a terminal, in a thread of its own; a context manager that ends it.

    Attributes:
        cost: Seconds of processor time the last drawing took.
    """

    def __init__(self, stream: TextIO) -> None:
        self.cost = 0.0
        self._sink = Sink(stream)
        self._unicode = render.speaks_unicode()
        self._drawn = io.StringIO()
        self._console = Console(file=self._drawn, force_terminal=True, highlight=False)
        self._next: StatusInfo | None = None
        self._notes: deque[str] = deque(maxlen=_MOST_NOTES)
        self._busy = False
        self._ended = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="wakit-painter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._sink.finish()
        self._thread.join(2 * GRACE)
        if not self._thread.is_alive():
            self._sink.close()

    @property
    def idle(self) -> bool:
        """True if everything it was given is on the terminal."""
        with self._changed:
            return self._next is None and not self._busy

    def show(self, told: StatusInfo) -> None:
        """Draw this, in place of what was not drawn yet."""
        with self._changed:
            self._next = told
            self._changed.notify()

    def note(self, line: str) -> None:
        """Write a line above the table."""
        with self._changed:
            self._notes.append(line)
            self._changed.notify()

    def _run(self) -> None:
        with Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
            while self._wait():
                begun = time.thread_time()
                with self._changed:
                    told, self._next = self._next, None
                    notes = list(self._notes)
                    self._notes.clear()
                for note in notes:
                    self._console.print(Text(note))
                if told is not None:
                    live.update(render.fitting(told, self._console, unicode=self._unicode), refresh=True)
                self.cost = time.thread_time() - begun
                self._write()
                with self._changed:
                    self._busy = False
        self._write()  # the cursor, which Live hides

    def _wait(self) -> bool:
        with self._changed:
            while self._next is None and not self._notes and not self._ended:
                self._changed.wait()
            self._busy = self._next is not None or bool(self._notes)
            return self._busy

    def _write(self) -> None:
        self._sink.write(self._drawn.getvalue())
        self._drawn.seek(0)
        self._drawn.truncate()
