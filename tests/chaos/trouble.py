"""Carries out faults, and plays the people of the fleet: whoever is asked for answers, as the hints say."""

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

from wakit.control.schemas import SessionInfo
from wakit.errors import ControlError, NoDaemonError, WakitError
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


class Trouble:
    """Strikes a fleet.

    Args:
        stage: The fleet.
        seed: Decides what the plan leaves open, such as new names.
        proxy: Port of a proxy on loopback.

    Attributes:
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
        self.replaced = 0
        self.done: Counter[str] = Counter()

    def strike(self, fault: Fault) -> None:
        """Carry one fault out; what it undoes later, a timer does."""
        if fault.kind == "edit":
            self._edit(fault)
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
                    verb = fault.how.split()[-1]
                    getattr(self._client, verb)(line.name)
                    line.parked = {"park": True, "resume": False}.get(verb, line.parked)

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
        book = self._book
        with book.lock:
            for line in book.lines:
                line.declared = line.enabled = True
            book.save()
        for line in book.lines:
            if line.parked:
                with suppress(ControlError):
                    self._client.resume(line.name)
                    line.parked = False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


class People(threading.Thread):
    """Answers every second: scans what is shown, links what was unlinked, restarts what waits for it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(name="people")
        self._stage = stage
        self._client = stage.fleet.client()
        self._over = threading.Event()
        self._since: dict[str, float] = {}
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(1.0):
                with suppress(NoDaemonError):
                    self._look()
        except BaseException as error:  # noqa: BLE001 - told where the run is judged
            self.failure = error

    def close(self) -> None:
        self._over.set()
        self.join()

    def _look(self) -> None:
        waiting = [info for info in self._client.status().sessions if info.needs_person]
        names = {info.name for info in waiting}
        self._since = {name: since for name, since in self._since.items() if name in names}
        for info in waiting:
            # A person takes a while; what is shown is scanned at once.
            since = self._since.setdefault(info.name, time.monotonic())
            if info.state == "pairing" or time.monotonic() - since > 2:
                with suppress(WakitError):
                    self._answer(info)

    def _answer(self, info: SessionInfo) -> None:
        line = self._stage.book.past.get(info.name)
        if line is None or line.name != info.name or info.held:
            return
        if info.state == "pairing":
            shown = self._client.qr(info.name)
            if shown.payload:
                self._stage.whatsapp.sim.scan(line.number, shown.payload)
        elif info.paired:
            self._client.restart(info.name)
        else:
            line.may_pair = True
            self._client.pair(info.name)
