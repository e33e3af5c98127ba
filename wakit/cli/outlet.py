"""Output that can neither stop nor end the one who writes: for a daemon that also talks on stdout and stderr.

A pipe nobody reads, a terminal held by Ctrl-S or a full disk makes ``write`` block or fail. So lines go into a bounded
queue, and a thread writes them when the descriptor takes them; when the queue is full the oldest lines are left out,
because the newest tell how things stand, and the next line that gets through is preceded by their number.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread
from typing import Final, Literal, Self, TextIO

_MOST: Final = 10_000  # lines: the first words about a large fleet, and then some
GRACE: Final = 0.5  # seconds for what is still to be said at the end
# A pipe that polls as writable takes this much without blocking (pipe(7)).
_CHUNK: Final = select.PIPE_BUF


class Sink:
    """A stream's descriptor, waited for before each write.

    Args:
        stream: Where to write; one without a descriptor (closed, or a stand-in) swallows everything.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._descriptor = _own_descriptor(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._ending, self._end = os.pipe()
        self._deadline: float | None = None

    def write(self, text: str) -> bool:
        """Write a text; False if it (or the rest of it) got lost. Blocks until it is written or :meth:`finish`."""
        if self._descriptor is None:
            return True
        rest = text.encode(self._encoding, errors="replace")
        try:
            while rest:
                if not self._takes(self._descriptor):
                    return False
                with suppress(BlockingIOError):
                    rest = rest[os.write(self._descriptor, rest[:_CHUNK]) :]
        except OSError:  # the reader has gone, the disk is full
            return False
        return True

    def finish(self) -> None:
        """Let writes go on for a moment only, and then be lost; from another thread."""
        self._deadline = time.monotonic() + GRACE
        os.write(self._end, b"\0")

    def close(self) -> None:
        """Give back what this made; the stream stays open."""
        os.close(self._ending)
        os.close(self._end)
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _takes(self, descriptor: int) -> bool:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLOUT)
        if self._deadline is None:
            waiting.register(self._ending, select.POLLIN)
            if any(found == descriptor for found, _ in waiting.poll()):
                return True
            waiting.unregister(self._ending)
        left = (self._deadline or 0.0) - time.monotonic()
        return left > 0 and bool(waiting.poll(left * 1000))


class Outlet:
    """Lines on a stream, written by a thread of their own; a context manager that ends it.

    Args:
        stream: See :class:`Sink`.
        gap: Makes the line that tells how many were left out.
        most: How many lines may wait.

    Example:
        >>> with Outlet(None) as outlet:
        ...     outlet.say("swallowed")
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        gap: Callable[[int], str] = lambda count: f"({count} lines left out)",
        most: int = _MOST,
    ) -> None:
        self._sink = Sink(stream)
        self._gap = gap
        self._most = most
        self._lines: deque[str] = deque()
        self._lost = 0
        self._torn = False
        self._ended = False
        self._changed = Condition()
        # A daemon thread: should a write block after all, the process can still end.
        self._thread = Thread(target=self._run, name="wakit-outlet", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._sink.finish()
        self._thread.join(GRACE * 2)
        if not self._thread.is_alive():
            self._sink.close()

    def say(self, line: str) -> None:
        """Write a line, some time; never blocks and never fails."""
        with self._changed:
            if self._ended:
                return
            if len(self._lines) >= self._most:
                self._lines.popleft()
                self._lost += 1
            self._lines.append(line)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._ended:
                    self._changed.wait()
                if not self._lines:
                    return
                line, lost = self._lines.popleft(), self._lost
            # What was cut off by a full disk must not run into the next line.
            told = "\n" * self._torn + (self._gap(lost) + "\n" if lost else "") + line + "\n"
            self._torn = not self._sink.write(told)
            with self._changed:
                # While this one waited to be written, more may have been lost.
                self._lost += 1 if self._torn else -lost


def _own_descriptor(stream: TextIO | None) -> int | None:
    try:
        given = stream.fileno() if stream is not None else None
    except (OSError, ValueError):  # a stand-in as io.StringIO, or closed
        return None
    if given is None:
        return None
    # A terminal blocks although it polls as writable, so it must be non-blocking; but switching what the shell gave us
    # would switch it for everybody who shares it. Opened anew it is ours alone. (A file must not be: it would lose its
    # place; it never blocks anyway.)
    kind = os.fstat(given).st_mode
    if stat.S_ISFIFO(kind) or os.isatty(given):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{given}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return os.dup(given)


def standard(name: Literal["stdout", "stderr"]) -> TextIO | None:
    """Return a standard stream, None if the process was started without it."""
    # typeshed does not know that it can be None; the documentation of sys.__stdout__ does.
    found: TextIO | None = getattr(sys, name)
    return found
