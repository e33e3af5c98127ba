"""The people of the fleet: whoever is asked for answers, as the hints say."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from wakit.control.schemas import SessionInfo
from wakit.errors import ControlError, NoDaemonError, WakitError

from .stage import Stage


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
                try:
                    self._look()
                except NoDaemonError:
                    pass
                except ControlError as error:  # it listens, and is too slow: told, and people go on
                    self.failure = error
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
