"""Carries out faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from wakit.errors import ControlError, WakitError
from wakit.redact import PhoneNumber
from wakit.sim.scenarios import (
    Deaf,
    Drop,
    Failure,
    HangDial,
    OnlineScenario,
    ProxySays,
    RefuseDial,
    RefuseTls,
    Replaced,
    Scenario,
    SlowHandshake,
    StreamError,
    Target,
)

from .book import Line
from .owner import Owner
from .script import BAN_SECONDS, Fault
from .stage import Stage

_DIALS: dict[str, Scenario] = {
    "hanging dials": HangDial(),
    "refused dials": RefuseDial(),
    "refused tls": RefuseTls(),
    "proxy says no": ProxySays(502),
}
_ONLINE: dict[str, OnlineScenario] = {
    "drop": Drop(),
    "stream error": StreamError(503),
    "replaced": Replaced(),
    "deaf": Deaf(),
}
_HOG = "while True: pass"
_FILE_READ = 30.0  # seconds until the names of the last edit are known


class Trouble:
    """Strikes a fleet.

    Args:
        stage: The fleet.
        seed: Decides what the plan leaves open, such as new names.
        proxy: Port of a proxy on loopback.

    Attributes:
        owner: Starts the daemon again that was killed.
        replaced: How many connections were told by a scenario that they were replaced.
        done: How many faults of each kind met somebody.
    """

    def __init__(self, stage: Stage, seed: int, proxy: int) -> None:
        self._stage = stage
        self._sim = stage.whatsapp.sim
        self._client = stage.fleet.client()
        self._book = stage.book
        self._chance = Random(f"{seed} of trouble")
        self._proxy = proxy
        self._timers: list[threading.Timer] = []
        self._hogs: list[subprocess.Popen[bytes]] = []
        self._stopped_now: set[int] = set()
        self._new = 0
        self.owner = Owner(stage)
        self.replaced = 0
        self.done: Counter[str] = Counter()

    def strike(self, fault: Fault) -> None:
        """Carry one fault out; what it undoes later, a timer does."""
        if fault.kind == "edit":
            self._edit(fault)
            return
        if fault.kind == "daemon killed":
            self.done[fault.kind] += self.owner.strike(fault)
            return
        line = self._line(fault)
        if fault.kind in _ONLINE:
            met = self._sim.strike(_ONLINE[fault.kind], Target(number=PhoneNumber(line.number)))
            self.replaced += met if fault.kind == "replaced" else 0
            self.done[fault.kind] += bool(met)
        elif fault.kind in _DIALS or fault.kind == "slow handshakes":
            self._arm(fault)
        elif fault.kind in ("kill", "stop", "starve"):
            self._worker(fault, line)
        else:
            self._else(fault, line)

    def _else(self, fault: Fault, line: Line) -> None:
        number = PhoneNumber(line.number)
        if fault.kind == "drop everybody":
            self._sim.strike(Drop())
        elif fault.kind == "port closed":
            self._sim.listen(False)
            self._later(fault.seconds, lambda: self._sim.listen(True))
        elif fault.kind == "silence":  # of the network: what is there is dead, and what is new gets no answer
            armed = self._sim.arm(HangDial(), times=None)
            self._sim.strike(Deaf())
            self._later(fault.seconds, lambda: self._sim.disarm(armed))
        elif fault.kind == "refused login":
            reason = int(fault.how)
            self._sim.arm(Failure(reason, code=101 if reason == 402 else 0, expire=BAN_SECONDS), Target(number=number))
            self._sim.strike(Drop(), Target(number=number))
        elif fault.kind == "unlink":
            with suppress(WakitError):
                self._sim.unlink(number)
        self.done[fault.kind] += 1

    def _arm(self, fault: Fault) -> None:
        scenario = _DIALS.get(fault.kind) or SlowHandshake(fault.seconds)
        everybody = fault.whom % 3 == 0
        target = Target() if everybody else Target(dialer=self._line(fault).name)
        armed = self._sim.arm(scenario, target, times=None)
        self._sim.strike(Drop(), target)
        self._later(max(fault.seconds, 3.0), lambda: self._sim.disarm(armed))
        self.done[fault.kind] += 1

    def _worker(self, fault: Fault, line: Line) -> None:
        pid = self._pid_of(line)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            if fault.kind == "kill":
                os.kill(pid, signal.SIGKILL)
            elif fault.kind == "stop":
                os.kill(pid, signal.SIGSTOP)
                self._stopped_now.add(pid)
                self._later(fault.seconds, lambda: self._go_on(pid))
            else:
                self._starve(pid, fault.seconds)
            self.done[fault.kind] += 1

    def _starve(self, pid: int, seconds: float) -> None:
        """Leave it what two busy loops leave of one core."""
        os.setpriority(os.PRIO_PROCESS, pid, 19)
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                os.sched_setaffinity(int(task.name), {0})
        hogs = [subprocess.Popen([sys.executable, "-c", _HOG], stdin=subprocess.DEVNULL) for _ in range(2)]
        for hog in hogs:
            os.sched_setaffinity(hog.pid, {0})
        self._hogs += hogs
        self._later(seconds, lambda: [_end(hog) for hog in hogs] and None)

    def _go_on(self, pid: int) -> None:
        self._stopped_now.discard(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _pid_of(self, line: Line) -> int | None:
        with suppress(ControlError):
            return self._client.session(line.name).worker_pid
        return None

    def _line(self, fault: Fault) -> Line:
        return self._book.lines[fault.whom % len(self._book.lines)]

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        timer.start()
        self._timers.append(timer)

    # -- edits -------------------------------------------------------------------------------------------------------

    def _edit(self, fault: Fault) -> None:
        book, line = self._book, self._line(fault)
        with book.lock:
            self._change(fault, line)
            if fault.how in ("broken", "empty", "half", "most gone"):
                self._damage(fault.how)
            else:
                book.save()
        self.done[f"edit: {fault.how}"] += 1

    def _change(self, fault: Fault, line: Line) -> None:
        book = self._book
        match fault.how:
            case "add":
                self._new += 1
                book.add(f"new{self._new}", f"+99978{self._new:06d}", may_pair=True)
            case "remove":
                book.remove(line)
            case "bring back":
                for each in book.lines:
                    each.declared = True
            case "park":
                line.enabled = False
            case "unpark":
                for each in book.lines:
                    each.enabled = True
            case "rename" if line.declared and len(line.name) < 20:
                book.rename(line, f"{line.name}r")
            case "label":
                line.team = self._chance.choice("abc")
            case "device name":
                line.device = f"desk {self._chance.randrange(9)}"
            case "proxy":
                line.proxy = "" if line.proxy else f"http://127.0.0.1:{self._proxy}"
            case "ask to park" | "ask to resume" | "ask to restart":
                with suppress(WakitError):
                    self._ask(line, fault.how.split()[-1])

    def _ask(self, line: Line, verb: str) -> None:
        line.parked_at = None if verb == "resume" else line.parked_at
        getattr(self._client, verb)(line.name)
        if verb == "park":
            line.parked, line.parked_at = True, time.time()
        elif verb == "resume":
            line.parked = False

    def _damage(self, how: str) -> None:
        """Leave a file that must retire nobody; a later edit, or the end, writes a whole one."""
        text = self._book.text()
        if how == "broken":
            self._book.save(text + "\n[sessions.broken\n")
        elif how == "empty":
            self._book.scribble("")
        elif how == "half":
            self._book.scribble(text[: len(text) * 2 // 3] + '\n[sessions."')
        else:
            tables = [line.table() for line in self._book.lines if line.declared]
            self._book.save(self._book.head + "\n".join(tables[: max(1, len(tables) // 4)]))
        self._later(2.0, self._mend)

    def _mend(self) -> None:
        with self._book.lock:
            self._book.save()

    # -- the end of it -----------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Undo all that still lasts, and write a file in which everybody is to be in service."""
        for timer in self._timers:
            timer.cancel()
            timer.join()
        for pid in list(self._stopped_now):
            self._go_on(pid)
        for hog in self._hogs:
            _end(hog)
        self._sim.disarm()
        self._sim.listen(True)
        self.owner.close()
        book = self._book
        with book.lock:
            for line in book.lines:
                line.declared = line.enabled = True
            book.save()
        # Everybody: who was parked as the daemon was killed may be so although nobody was told that it is.
        parked, until = list(book.lines), time.monotonic() + _FILE_READ
        while parked and time.monotonic() < until:
            parked = [line for line in parked if not self._resumed(line)]
            time.sleep(0.2 if parked else 0.0)

    def _resumed(self, line: Line) -> bool:
        with suppress(ControlError):
            self._ask(line, "resume")
            return True
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
