"""Credentials given to the stock client one after the other, and what WhatsApp thinks of each."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.whatsapp import PATIENCE, LoopbackWhatsApp

_CLIENT = Path(__file__).parent.parent / "vault" / "serial_client.py"
_AT_MOST = 150  # the library never closes a database, so a process that saw too many of them is replaced


class Logins:
    """Logs in with one database at a time, as the only client of its account.

    Attributes:
        count: How often it did.
    """

    def __init__(self, whatsapp: LoopbackWhatsApp, log: Path) -> None:
        self.count = 0
        self._whatsapp = whatsapp
        endpoint = whatsapp.endpoint
        self._config = json.dumps(
            {
                "proxy": endpoint.proxy,
                "ca_file": str(endpoint.ca_file),
                "noise_root_key": endpoint.noise_root_key,
                "log": str(log),
            }
        )
        self._seen = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()

    def pair(self, number: str, database: Path) -> None:
        """Link a new database with a number, and kill its client, so that it is left as a killed worker leaves it."""
        self._order(enter=str(database))
        self._whatsapp.sim.scan(number, self._expect("qr")["payload"])
        self._expect("connected", passing=("qr",))
        self.end()
        self._whatsapp.sim.wait_until(lambda status: not status.connected(number))

    def crash(self, number: str, database: Path) -> None:
        """Log in with a database, and kill its client while it is connected."""
        self._order(enter=str(database))
        self._expect("connected")
        self.end()
        self._whatsapp.sim.wait_until(lambda status: not status.connected(number))

    def log_in(self, number: str, database: Path, where: str) -> None:
        """Log in with a database, as its device and without a QR code, and leave again."""
        before = self._device(number)
        self._order(enter=str(database))
        try:
            self._expect("connected")
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from None
        self._order(leave=str(database))
        self._expect("left")
        self._whatsapp.sim.wait_until(lambda status: not status.connected(number))
        logins, *troubles = (now - then for now, then in zip(self._device(number), before, strict=True))
        assert (logins, troubles) == (1, [0, 0, 0]), f"{where}: logins, and replaced, refused, linked: {troubles}"
        self.count += 1

    def end(self) -> None:
        """End the process the only safe way."""
        if self._process is None:
            return
        self._process.kill()
        if self._reader is not None:
            self._reader.join()
        self._process.communicate()
        self._process = None

    def _device(self, number: str) -> tuple[int, int, int, int]:
        status = self._whatsapp.sim.status()
        account = status.account(number)
        assert account is not None
        (device,) = account.devices
        return device.logins, device.replaced, device.failures, status.totals.get("pairing", 0)

    def _order(self, **order: str) -> None:
        if "enter" in order:
            self._seen += 1
            if self._seen % _AT_MOST == 0:
                self.end()
        process = self._process or self._start()
        assert process.stdin
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = process = subprocess.Popen(
            [sys.executable, str(_CLIENT), self._config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._reader = threading.Thread(target=self._read, args=(process,))
        self._reader.start()
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        for line in process.stdout:
            self._told.put(json.loads(line))

    def _expect(self, name: str, *, passing: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the next event, which has to be this one."""
        while True:
            try:
                told = self._told.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"no {name} within {PATIENCE:g} s") from None
            if told["event"] == name:
                return told
            assert told["event"] in passing, f"{told['event']} came instead of {name}"


@contextmanager
def logins(whatsapp: LoopbackWhatsApp, log: Path) -> Iterator[Logins]:
    """Log in for as long as the block runs."""
    made = Logins(whatsapp, log)
    try:
        yield made
    finally:
        made.end()
