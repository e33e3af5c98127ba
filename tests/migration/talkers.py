"""Clients with somebody at the keyboard, and a sim in which what they write to each other arrives."""

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
from pathlib import Path
from typing import Any

from support.whatsapp import LoopbackWhatsApp

from wakit.sim.client import SyncSimClient
from wakit.sim.requests import Ready, from_line

HERE = Path(__file__).parent
PATIENCE = 30.0
GROUP = "34600000000-1700000000@g.us"  # the id of a group from the days when they were made of a number and a time


class Talker:
    """A client process that tells events and takes orders, one line of JSON each."""

    def __init__(self, command: list[str], config: dict[str, Any], environ: dict[str, str] | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            [*command, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(environ or {})},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._queue.put(json.loads(line))

    def expect(self, name: str, **fields: object) -> dict[str, Any]:
        """Return the next event of that name with those fields."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                found = self._queue.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"no {name} {fields}; seen {self.events}") from None
            self.events.append(found)
            if found["event"] == name and fields.items() <= found.items():
                return found

    def write(self, to: str, text: str, **more: object) -> None:
        """Send a message; returns when it was handed in."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"to": to, "text": text, **more}).encode() + b"\n")
        self._process.stdin.flush()
        self.expect("sent", text=text)

    def kill(self) -> None:
        self._process.kill()
        self._reader.join()
        self._process.communicate()


def baileys(whatsapp: LoopbackWhatsApp, installed: Path, folder: Path) -> Talker:
    """Baileys, on a folder of its own."""
    config = {
        "proxy": whatsapp.endpoint.proxy,
        "noise_root_key": whatsapp.endpoint.noise_root_key,
        "folder": str(folder),
        "members": [],
    }
    environ = {"NODE_EXTRA_CA_CERTS": str(whatsapp.endpoint.ca_file)}
    return Talker(["node", str(installed / "baileys_talker.mjs")], config, environ)


def neonize(whatsapp: LoopbackWhatsApp, database: Path) -> Talker:
    """The stock neonize client, on a database."""
    config = {
        "proxy": whatsapp.endpoint.proxy,
        "ca_file": str(whatsapp.endpoint.ca_file),
        "noise_root_key": whatsapp.endpoint.noise_root_key,
        "database": str(database),
        "log": str(database.with_suffix(".log")),
    }
    return Talker([sys.executable, str(HERE / "neonize_talker.py")], config)


@contextmanager
def relaying_whatsapp() -> Iterator[LoopbackWhatsApp]:
    """A sim that delivers messages."""
    state = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    command = [sys.executable, str(HERE / "relaying_sim.py"), "--state", str(state), "--json", "--die-with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            ready = from_line(process.stdout.readline(), Ready)
            sim = SyncSimClient(ready.admin)
            yield LoopbackWhatsApp(state, sim.endpoint(), sim)
        finally:
            process.terminate()
    shutil.rmtree(state)


def relayed(whatsapp: LoopbackWhatsApp) -> list[dict[str, Any]]:
    """What the sim delivered so far, and the receipts it was given."""
    log = whatsapp.state / "relayed.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
