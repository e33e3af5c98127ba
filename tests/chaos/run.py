"""One chaos run, from a seed to a verdict."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wakit.core.retry import AFTER_DIAL
from wakit.errors import ControlError
from wakit.reconciler.loop import RESYNC
from wakit.worker.bounds import Limits

from .forwarder import forwarder
from .people import People
from .script import BAN_SECONDS, Fault, draw
from .stage import DIALS_PER_SECOND, STALE_AFTER, Stage, staged
from .trouble import Trouble
from .watching import Watch

# whatsmeow gives a server that answers nothing up after three minutes (docs/design/sim.md).
_DEAF = 180.0
_SETUP = 600.0


def deadline(sessions: int) -> float:
    """Return how long after the last fault the last session may be missing, from the settings.

    One after the other: a deaf server is noticed, or a stopped worker counts as stuck, or a ban ends; the longest pause
    between tries goes by; a worker is born; everybody waits for a permit to dial; the loop looks again.
    """
    noticed = max(_DEAF, STALE_AFTER, BAN_SECONDS)
    return noticed + AFTER_DIAL.cap + Limits().hello_within + sessions / DIALS_PER_SECOND + RESYNC.total_seconds()


@dataclass
class Verdict:
    """What came of a run."""

    seed: int
    faults: list[Fault]
    broken: list[str]
    figures: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = [f"seed {self.seed}: {'broken' if self.broken else 'held'}", *(f"  - {what}" for what in self.broken)]
        told += [f"  {name}: {value}" for name, value in self.figures.items()]
        if self.broken:
            told += ["the faults:", *(f"  {fault}" for fault in self.faults)]
        return "\n".join(told)


def chaos(seed: int, *, sessions: int, seconds: float, say: Callable[[str], None] = lambda _text: None) -> Verdict:
    """Run it: set up, strike for so many seconds, let everybody come back, judge."""
    faults = draw(seed, sessions, seconds)
    began = time.monotonic()
    with staged(sessions) as stage, forwarder() as port:
        say(f"{sessions} sessions are paired; the daemon serves ({time.monotonic() - began:.0f} s)")
        trouble = Trouble(stage, seed, port)
        people, watch = People(stage), Watch(stage, trouble, paired={line.number for line in stage.book.lines})
        people.start()
        watch.start()
        try:
            ready = _all_in_service(stage, _SETUP)
            say(f"all are in service ({time.monotonic() - began:.0f} s); {len(faults)} faults follow")
            if ready is None:
                return Verdict(seed, faults, [f"not in service before the first fault: {_missing(stage)}"])
            _strike(trouble, faults, seconds)
            trouble.end()
            bound = deadline(len(stage.book.lines))
            say(f"the faults are over; everybody has to be back within {bound:.0f} s")
            back = _all_in_service(stage, bound)
            broken = [] if back is not None else [f"not in service {bound:.0f} s after the end: {_missing(stage)}"]
        finally:
            trouble.end()
            people.close()
            watch.close()
        watch.look()
        watch.compare_logins()
        broken += (
            _at_rest(stage)
            + watch.broken
            + trouble.owner.broken
            + [f"{type(e).__name__}: {e}" for e in (people.failure, watch.failure) if e]
        )
    figures = {"back_after_seconds": round(back, 1) if back is not None else None, "bound": round(bound)}
    figures |= {"daemon_served_after": [round(seconds, 1) for seconds in trouble.owner.served_after]}
    figures |= {"unanswered_of_which_waited_for_cpu": people.unanswered}
    figures |= watch.figures() | {"load": os.getloadavg(), "seconds": round(time.monotonic() - began)}
    return Verdict(seed, faults, broken, figures | {"faults": dict(sorted(trouble.done.items()))})


def _strike(trouble: Trouble, faults: list[Fault], seconds: float) -> None:
    began = time.monotonic()
    for fault in faults:
        # The moments are the seed's; nothing here waits for something to happen.
        time.sleep(max(0.0, began + fault.at - time.monotonic()))
        trouble.strike(fault)
    time.sleep(max(0.0, began + seconds - time.monotonic()))


def _all_in_service(stage: Stage, patience: float) -> float | None:
    """Wait until everybody is connected and the plan is empty; return how long it took, or None."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        try:
            if stage.fleet.client().status().daemon.converged and not _missing(stage):
                return time.monotonic() - began
        except ControlError:
            pass
        time.sleep(0.5)
    return None


def _missing(stage: Stage) -> list[str]:
    states = {info.name: info for info in stage.fleet.client().status().sessions}
    missing = []
    for line in stage.book.healthy():
        info = states.get(line.name)
        if info is None or info.state != "connected":
            missing.append(f"{line.name} {f'{info.state}: {info.reason}' if info else 'is not known'}")
    return missing


def _at_rest(stage: Stage) -> list[str]:
    """Say what is left to do, and where daemon and sim do not agree on who is logged in."""
    plan = stage.fleet.client().plan()
    said = [f"the plan is not empty: {action.text}" for action in plan.actions]
    said += [f"{name} is held: {why}" for name, why in plan.held.items()]
    online = {
        account.number.reveal(): sum(device.connected for device in account.devices)
        for account in stage.whatsapp.sim.status().accounts
    }
    healthy = {line.number: line.name for line in stage.book.healthy()}
    said += [
        f"{name} has {online.get(number, 0)} logins in the sim"
        for number, name in healthy.items()
        if online.get(number, 0) != 1
    ]
    said += [
        "somebody is logged in who should not be" for number, count in online.items() if count and number not in healthy
    ]
    return said
