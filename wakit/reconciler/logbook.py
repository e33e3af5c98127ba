"""``logs/<name>.log``: what a session's client said, as JSON lines, rotated by size.

Lines come scrubbed from the worker host and are scrubbed again here: the last fence before the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from wakit.core.declaration import SESSION_NAME
from wakit.redact import scrub

_MAX_BYTES: Final = 1 << 20
_LONGEST_LINE: Final = 2_000
_WORKERS: Final = "_workers"  # no session can have this name


class Logbook:
    """The logs of one state directory.

    A file is opened for each line: a fleet of hundreds would otherwise hold hundreds of descriptors for lines that come
    once a minute.

    Args:
        folder: ``<state_dir>/logs``.
        now: The clock (UTC).
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now

    def write(self, source: str, line: str, *, worker: bool = False) -> None:
        """Append one line of a session, or of a worker as a whole. A full disk loses log lines, not sessions."""
        name = _WORKERS if worker else source
        if not worker and not SESSION_NAME.fullmatch(source):
            return
        path = self._folder / f"{name}.log"
        stamp = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        said = {"worker": source} if worker else {}
        # Scrubbed before it is cut: half a secret no longer has its shape.
        entry = msgspec.json.encode({"ts": stamp, **said, "line": scrub(line)[:_LONGEST_LINE]}) + b"\n"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(descriptor, entry)
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
            if size > _MAX_BYTES:
                path.replace(path.with_name(f"{name}.log.1"))
        except OSError:
            return

    def tail(self, name: str, lines: int) -> list[str]:
        """Return the last lines, oldest first."""
        found: list[str] = []
        # Not splitlines(): a line may hold characters that it takes for ends, as U+2028.
        for path in (self._folder / f"{name}.log.1", self._folder / f"{name}.log"):
            if path.exists():
                found += path.read_text("utf-8", errors="replace").split("\n")[:-1]
        return found[-lines:] if lines > 0 else []
