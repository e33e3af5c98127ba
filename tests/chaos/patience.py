"""Whether the daemon was slow, or waited for a CPU that others had: the kernel counts both (proc(5), schedstat)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from wakit.runtime import locate


@dataclass(frozen=True)
class Clock:
    """A moment in the life of a daemon's main thread.

    Attributes:
        pid: The daemon.
        at: Monotonic seconds.
        waited: Seconds for which it could have run, and others did.
    """

    pid: int
    at: float
    waited: float

    def share_waited(self, later: Clock) -> float:
        """Return which share of the time until a later moment it waited for a CPU; 1 if another daemon came."""
        if later.pid != self.pid or later.at <= self.at:
            return 1.0
        return (later.waited - self.waited) / (later.at - self.at)


def read_clock(config: Path) -> Clock | None:
    """Look at the daemon of a sessions.toml; None if there is none."""
    record = locate(config).daemon
    if record is None:
        return None
    try:
        waited = int(Path(f"/proc/{record.pid}/task/{record.pid}/schedstat").read_text("ascii").split()[1])
    except OSError:
        return None
    return Clock(record.pid, time.monotonic(), waited / 1e9)
