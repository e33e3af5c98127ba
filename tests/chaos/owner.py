"""Kills the daemon itself, and starts it again as its user does."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
from e2e.harness import gone

from wakit.runtime import locate

from .script import Fault
from .stage import Stage

# The kernel kills the workers in the same moment; until the last of their threads has ended takes CPU that hogs have.
_DEAD_WITHIN = 30.0
_SERVES_WITHIN = 120.0


@dataclass
class Owner:
    """Whose fleet it is.

    Attributes:
        killed: How often a serving daemon was killed.
        broken: What did not hold, in words.
        served_after: Seconds from the user's first try to start it until it served, for each kill.
    """

    stage: Stage
    killed: int = 0
    broken: list[str] = field(default_factory=list)
    served_after: list[float] = field(default_factory=list)
    _starting: threading.Thread | None = None

    def strike(self, fault: Fault) -> bool:
        """Kill the daemon, and start it again in the background; False if it is down already."""
        if self._starting is not None and self._starting.is_alive():
            return False
        self._starting = threading.Thread(target=self._lapse, args=(fault,), name="owner")
        self._starting.start()
        return True

    def close(self) -> None:
        """Wait until the daemon serves."""
        if self._starting is not None:
            self._starting.join()

    def _lapse(self, fault: Fault) -> None:
        try:
            self._kill()
            time.sleep(fault.seconds)  # the seed's: so long nobody notices
            self._start()
            if fault.how:
                time.sleep(float(fault.how))  # the seed's: while everybody is starting
                self._kill()
                self._start()
        except BaseException as error:  # noqa: BLE001 - told where the run is judged
            self.broken.append(f"{type(error).__name__}: {error}")

    def _kill(self) -> None:
        record = locate(self.stage.fleet.config).daemon
        assert record is not None, "no daemon serves"
        os.kill(record.pid, signal.SIGKILL)
        self.killed += 1
        with suppress(psutil.NoSuchProcess):
            psutil.Process(record.pid).wait(_DEAD_WITHIN)
        if not gone(orphans_of(record.pid), timeout=_DEAD_WITHIN):
            self.broken.append(f"a worker outlived its killed daemon by {_DEAD_WITHIN:g} s")

    def _start(self) -> None:
        """Type ``wakit up -d`` until it serves; what is wrong with the file is the only excuse."""
        began = time.monotonic()
        while True:
            up = self.stage.fleet.run("up", "-d", timeout=_SERVES_WITHIN)
            if up.returncode == 0:
                break
            if "sessions.toml" not in up.stderr:
                self.broken.append(f"the daemon did not start: {up.stderr.strip()}")
            assert time.monotonic() - began < _SERVES_WITHIN, up.stderr
            time.sleep(1.0)  # a person reads the error, and the file is whole again soon
        self.served_after.append(time.monotonic() - began)


def orphans_of(daemon: int) -> list[psutil.Process]:
    """Return a daemon's workers; each was told its number, and keeps it when it has another parent."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "wakit.worker" in command and command[-1] == str(daemon):
            found.append(process)
    return found
