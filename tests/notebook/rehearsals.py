"""The end of fleets that a notebook started in its temporary folder."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def end_of_rehearsal(folder: Path, seconds: float = 60) -> Iterator[None]:
    """Afterwards nothing may be left in ``folder`` of a rehearsal whose kernel has ended; what is, is killed."""
    try:
        yield
        give_up = time.monotonic() + seconds
        while left := list(folder.glob("wakit-*")):
            assert time.monotonic() < give_up, f"the rehearsal does not end: {left}"
            time.sleep(0.1)  # its folder goes last, in a process that nobody here is the parent of
    finally:
        for record in folder.glob("wakit-*/.wakit-sim/daemon.json"):
            with suppress(ProcessLookupError):
                os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)
