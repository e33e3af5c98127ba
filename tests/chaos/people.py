"""The people of the fleet: whoever is asked for answers, as the hints say."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from wakit.control.schemas import SessionInfo
from wakit.errors import ControlError, NoDaemonError, WakitError

from .patience import Clock, read_clock
from .stage import Stage

_OTHERS_HAD_IT = 0.5


class People(threading.Thread):
    """Answers every second: scans what is shown, links what was unlinked, restarts what waits for it.

    Attributes:
        unanswered: For each question that was not answered in time, which share of it the daemon waited for a CPU.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__(name="people")
        self._stage = stage
        self._client = stage.fleet.client()
        self._over = threading.Event()
        self._since: dict[str, float] = {}
        self.unanswered: list[float] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(1.0):
                before = read_clock(self._stage.fleet.config)
                try:
                    self._look()
                except NoDaemonError:
                    pass
                except ControlError as error:
                    self._unanswered(error, before)
        except BaseException as error:  # noqa: BLE001 - told where the run is judged
            self.failure = error

    def close(self) -> None:
        self._over.set()
        self.join()

    def _unanswered(self, error: ControlError, before: Clock | None) -> None:
        """People ask again; it is the daemon's fault only if it had a CPU."""
        after = read_clock(self._stage.fleet.config)
        share = before.share_waited(after) if before and after else 1.0
        self.unanswered.append(round(share, 2))
        if share < _OTHERS_HAD_IT:
            self.failure = error

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
