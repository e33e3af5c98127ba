"""The loopback WhatsApp for tests: a sim process, phone numbers, and the stock client in a process of its own.

Fixtures (import them into a ``conftest.py``):

- ``whatsapp``: one sim for the whole run of a test process; isolate tests by :func:`fresh_number`.
- ``sim``: a sim of its own for one test, for scenarios that meet everybody.
- ``stock``: starts stock neonize clients against a sim; every one is killed when the test ends.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from wakit.sim.client import SyncSimClient
from wakit.sim.endpoint import SimEndpoint, sim_process

STOCK_CLIENT = Path(__file__).parent.parent / "sim" / "stock_client.py"
_numbers = count(1)
PATIENCE = 30.0


def fresh_number() -> str:
    """Return a phone number that no other test of this process uses."""
    return f"+3460{os.getpid() % 10**4:04d}{next(_numbers):03d}"


@dataclass(frozen=True)
class LoopbackWhatsApp:
    """A running sim: where to dial it, and its commands."""

    state: Path
    endpoint: SimEndpoint
    sim: SyncSimClient


@contextmanager
def loopback_whatsapp(state: Path | None = None, *, refs: int = 6) -> Iterator[LoopbackWhatsApp]:
    """Run a sim on ``state`` (a short temporary folder if not given) while the block lasts."""
    folder = state or Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    try:
        with sim_process(folder, refs=refs) as sim:
            yield LoopbackWhatsApp(folder, sim.endpoint(), sim)
    finally:
        if state is None:
            shutil.rmtree(folder)


class StockClient:
    """The stock neonize client in a process of its own; its events in order."""

    def __init__(self, whatsapp: LoopbackWhatsApp, database: Path, *, phone: str = "", dialer: str = "stock") -> None:
        self.database = database
        self.log = database.with_suffix(".log")
        config = {
            "proxy": whatsapp.endpoint.proxy,
            "ca_file": str(whatsapp.endpoint.ca_file),
            "noise_root_key": whatsapp.endpoint.noise_root_key,
            "database": str(database),
            "log": str(self.log),
            "dialer": dialer,
            "phone": phone.removeprefix("+"),
        }
        self.events: list[dict[str, Any]] = []
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, str(STOCK_CLIENT), json.dumps(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._queue.put(json.loads(line))
        self._queue.put(None)

    def expect(self, event: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next event of that name; others before it are kept in ``events``."""
        return self.expect_any(event, timeout=timeout)

    def expect_any(self, *names: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next event that has one of the names."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                found = self._queue.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                found = None
            if found is None:
                seen = [each["event"] for each in self.events]
                raise AssertionError(f"no {names} within {timeout:g} s; seen {seen}; log:\n{self.read_log()}")
            self.events.append(found)
            if found["event"] in names:
                return found

    def seen(self) -> list[str]:
        """Return the names of all events so far, the unread ones too."""
        while True:
            try:
                found = self._queue.get_nowait()
            except queue.Empty:
                return [each["event"] for each in self.events]
            if found is not None:
                self.events.append(found)

    def read_log(self) -> str:
        """Return what the library printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        """End the process the only safe way."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()


@dataclass
class StockClients:
    """Starts stock clients, and kills them."""

    folder: Path
    started: list[StockClient] = field(default_factory=list)

    def start(self, whatsapp: LoopbackWhatsApp, name: str, *, phone: str = "", dialer: str = "") -> StockClient:
        """Start a client on the database ``name``: it pairs if that is new, else it logs in."""
        client = StockClient(whatsapp, self.folder / f"{name}.db", phone=phone, dialer=dialer or name)
        self.started.append(client)
        return client

    def paired(self, whatsapp: LoopbackWhatsApp, name: str, number: str) -> StockClient:
        """Start a client, pair it with ``number`` by QR and return it once it is connected."""
        client = self.start(whatsapp, name)
        whatsapp.sim.scan(number, client.expect("qr")["payload"])
        client.expect("connected")
        return client

    def kill_all(self) -> None:
        """Kill every client that was started."""
        for client in self.started:
            client.kill()


@pytest.fixture(scope="session")
def whatsapp() -> Iterator[LoopbackWhatsApp]:
    """One sim for the whole run of this test process."""
    with loopback_whatsapp() as running:
        yield running


@pytest.fixture
def sim() -> Iterator[LoopbackWhatsApp]:
    """A sim of its own for one test."""
    with loopback_whatsapp() as running:
        yield running


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[StockClients]:
    """Stock clients that are killed when the test ends."""
    clients = StockClients(tmp_path)
    yield clients
    clients.kill_all()
