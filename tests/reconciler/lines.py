"""Connections that fall silent, in virtual time: pings as whatsmeow sends them, and heartbeats as workers do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from fakes import Fleet

from wakit.reconciler.roster import ONLINE
from wakit.whatsapp.port import Connected, HearsAgain, Pulse, WentDeaf, WorkerBeat

_STEP = 1.0
_BEAT = 5.0


@dataclass
class Line:
    """One connection."""

    worker: str
    heard: float
    pings: float
    dead: bool = False
    answer_by: float | None = None
    errors: int = 0
    told: float = -1.0


class Lines:
    """The connections of a fleet's sessions.

    Attributes:
        up: Whether the network carries anything. While it does not, nothing is lost for good: what was asked is
            answered once it does.
        answers_after: Seconds until a ping is answered.
    """

    def __init__(self, fleet: Fleet, names: Collection[str], seed: int = 1) -> None:
        self.fleet = fleet
        self.up = True
        self.answers_after = 0.1
        self._chance = Random(seed)
        self._lines: dict[str, Line] = {}
        self._owed: dict[str, float] = {}
        self._beats = self._now() + 1.0
        self.names = names

    def cut(self, *names: str) -> None:
        """These connections carry nothing any more, whatever becomes of the network."""
        for name in names:
            self._lines[name].dead = True

    def lose(self) -> None:
        """Nothing is carried any more; nobody is told, and a client that is started gets no answer."""
        self.up, self.fleet.workers.silent = False, True

    def find(self) -> None:
        """The network carries everything again, what was asked meanwhile included."""
        self.up, self.fleet.workers.silent = True, False
        for line in self._lines.values():
            if not line.dead:
                line.heard = self._now()
        for name in self.names:
            if name not in self._lines and self.fleet.workers.client(name) is not None:
                self.fleet.workers.tell(name, Connected())  # its dial was under way

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / _STEP)):
            for name in self.names:
                self._step(name)
            if self._now() >= self._beats:
                self._beats += _BEAT
                self._beat()
            self.fleet.loop.advance(_STEP)
        self.fleet.check()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return round(self.fleet.loop.time(), 3)

    def _step(self, name: str) -> None:
        tracked, now = self.fleet.tracked(name), self._now()
        if tracked.state not in ONLINE or tracked.worker_id is None:
            self._lines.pop(name, None)
            return
        line = self._lines.get(name)
        if line is None or line.worker != tracked.worker_id:
            line = self._lines[name] = Line(tracked.worker_id, now, now + self._chance.uniform(0.0, 30.0))
        if line.answer_by is not None and now >= line.answer_by:
            line.errors += 1
            self.fleet.workers.tell(name, WentDeaf(errors=line.errors))
            line.answer_by = None
        if name in self._owed and now >= self._owed[name]:
            del self._owed[name]
            line.heard = now
            if line.answer_by is not None:
                line.answer_by = None
                if line.errors:
                    line.errors = 0
                    self.fleet.workers.tell(name, HearsAgain())
        if now >= line.pings:
            line.pings, line.answer_by = now + self._chance.uniform(20.0, 30.0), now + 10.0
            if self.up and not line.dead:
                self._owed[name] = now + self.answers_after

    def _beat(self) -> None:
        now, pulses = self._now(), defaultdict[str, dict[str, Pulse]](dict)
        for name, line in self._lines.items():
            fresh, line.told = line.heard != line.told, line.heard
            pulses[line.worker][name] = Pulse(unheard_for=now - line.heard, unsent_for=1.0, fresh=fresh)

        async def tell() -> None:
            for worker, found in pulses.items():
                self.fleet.reconciler.watch.beat(WorkerBeat(worker_id=worker, pulses=found))

        self.fleet.run(tell())
