"""What a worker says in lines, printed or logged by its sessions: bounded, cleaned of secrets, its last words kept.

The scrubber learns from what the host sees pass, so the same object is told of every event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from wakit.whatsapp.port import News, WorkerLaunch
from wakit.worker.bounds import Window
from wakit.worker.exits import LastWords
from wakit.worker.scrubbing import Scrubber

_CHUNK: Final = 1 << 16
_LONGEST: Final = 4096  # characters that are shown
_LOOKED_AT: Final = 2 * _LONGEST  # bytes, or characters of what was a frame
_PERHAPS_HALF: Final = 1024  # of a secret, where a line was cut; the longest is a QR code of some 250
_NOISE: Final = frozenset({"", "Press Ctrl+C to exit"})  # the library prints the latter at every connect


class Lines:
    """The lines of one worker.

    Args:
        launch: Whose, with secrets that must not be seen in them.
        window: How many are let through; the rest is dropped.
        on_log: Told ``(session or worker id, line)``.
    """

    def __init__(self, launch: WorkerLaunch, window: Window, on_log: Callable[[str, str], None]) -> None:
        self._worker_id = launch.worker_id
        self._window, self._on_log = window, on_log
        self._scrubber = Scrubber()
        for start in launch.sessions:
            self._scrubber.learn_start(start)
        self._words = LastWords()

    @property
    def last_words(self) -> tuple[str, ...]:
        """Of what it printed, the lines that explain its end."""
        return self._words.lines

    def learn(self, event: News) -> None:
        """Mask from now on what the event carries of secrets."""
        self._scrubber.learn_event(event)

    def log(self, session: str, line: str) -> None:
        """Pass on a line that was logged for a session."""
        if self._admits():
            self._on_log(session, self._clean(line[:_LOOKED_AT], cut=len(line) > _LOOKED_AT))

    async def read(self, output: asyncio.StreamReader) -> None:
        """Pass on what is printed, until its end."""
        rest, shown = b"", False
        while data := await output.read(_CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if not shown:
                    self._printed(line)
                shown = False
            if len(rest) > _LOOKED_AT:  # a line without an end must not grow without one; nothing more of it is shown
                if not shown:
                    self._printed(rest)
                rest, shown = b"", True
        if not shown:
            self._printed(rest)

    def _printed(self, raw: bytes) -> None:
        line = raw[:_LOOKED_AT].decode("utf-8", "replace").rstrip()
        if line not in _NOISE:
            clean = self._clean(line, cut=len(raw) > _LOOKED_AT)
            self._words.hear(clean)
            if self._admits():
                self._on_log(self._worker_id, clean)

    def _clean(self, line: str, *, cut: bool) -> str:
        """Clean, and only then shorten: half a secret cannot be told from other words."""
        clean = self._scrubber.clean(line)
        return clean[: min(_LONGEST, max(0, len(clean) - _PERHAPS_HALF))] if cut else clean[:_LONGEST]

    def _admits(self) -> bool:
        if self._window.admit():
            return True
        if self._window.first_too_many:
            self._on_log(self._worker_id, "too many lines: the rest of these ten seconds is dropped")
        return False
