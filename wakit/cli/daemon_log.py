"""The daemon's own log: readable lines for the foreground, JSON lines in ``logs/_daemon.log`` for the background.

Everything is scrubbed once more on the way, except the places of a traceback (``  file.py:12 in name``): scrubbing
masks paths, and a traceback without them is of no use to anybody.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wakit.control.refusals import trace
from wakit.redact import scrub

LOG_NAME: Final = "_daemon.log"  # no session can be called so
LARGEST: Final = 5 << 20  # bytes
_PLACE: Final = re.compile(r"  (?:/[^\s:]*|<[^<>]+>|[^\s:]+\.py):[0-9]+ in \S+")


@contextmanager
def logging_to(handler: logging.Handler, level: int) -> Iterator[None]:
    """Send the log of the whole process to ``handler`` for a while, and nowhere else."""
    root = logging.getLogger()
    before, level_before = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(level)
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level_before)
        handler.close()


class LinesHandler(logging.Handler):
    """Gives each entry as text to ``say``, which must not block."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        self._say(f"{_stamp(record)} {record.levelname} {record.name}: {scrub_log(_text(record))}")


class FileHandler(logging.Handler):
    """Appends each entry as a JSON line ``{"ts", "level", "logger", "line", "trace"}``; rotates by size.

    The process's stdout and stderr go to the same file, for what Python or Go say when they die. They follow it over a
    rotation, so a file is never written to after it was renamed twice.

    Args:
        path: The log; the one before it gets the suffix ``.1``.
        largest: Bytes; it is rotated when it is larger.
        follows: Descriptors that are to point to the file, too.
    """

    def __init__(self, path: Path, *, largest: int = LARGEST, follows: tuple[int, ...] = ()) -> None:
        super().__init__()
        self._path = path
        self._largest = largest
        self._follows = follows
        self._file = open_log(path)

    def emit(self, record: logging.LogRecord) -> None:
        """Append it. A full disk loses lines of the log, not the daemon."""
        message, *places = scrub_log(_text(record)).split("\n")
        entry = {"ts": _stamp(record), "level": record.levelname.lower(), "logger": record.name, "line": message}
        if places:
            entry["trace"] = "\n".join(places)
        try:
            os.write(self._file, json.dumps(entry, ensure_ascii=False).encode(errors="replace") + b"\n")
            if os.fstat(self._file).st_size > self._largest:
                self._rotate()
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        super().close()
        os.close(self._file)

    def _rotate(self) -> None:
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        fresh = open_log(self._path)
        os.close(self._file)
        self._file = fresh
        for descriptor in self._follows:
            os.dup2(fresh, descriptor)


def open_log(path: Path) -> int:
    """Open a log for appending; the descriptor is the caller's."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def scrub_log(text: str) -> str:
    r"""Scrub every line that is not a place in a traceback.

    Example:
        >>> print(scrub_log("ValueError: +34600000001\n  /opt/app/of/a/name/quite/long/1/wakit/x.py:12 in broken"))
        ValueError: [number]
          /opt/app/of/a/name/quite/long/1/wakit/x.py:12 in broken
    """
    return "\n".join(line if _PLACE.fullmatch(line) else scrub(line) for line in text.split("\n"))


def _text(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    try:
        said = record.getMessage()
    except (TypeError, ValueError, KeyError):  # its arguments do not fit; logging would print them all
        said = str(record.msg)
    return said + (f"\n{trace(error)}" if error is not None else "")


def _stamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
