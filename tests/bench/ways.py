"""The ways to run the same sessions, side by side: wakit's daemon, the bare library, Baileys. Each as one process tree.

All are judged by one watch, the loopback WhatsApp's: a way is up when the server has seen the last of the sessions log
in. None of them is asked, so none is slowed down or flattered by how it reports.

The bare library starts all its clients at once, which is what its documentation shows, and which sometimes kills it
(Go's maps have no lock). That is told as :class:`DiedError`, and whoever measures counts it and tries again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gauges import family
from harness import Fleet, fleet_in
from paired import Paired, node_modules, start_baileys

from wakit.sim.requests import What

BARE = Path(__file__).with_name("bare_neonize.py")
PATIENCE = 300.0


class DiedError(Exception):
    """The process tree's root ended by itself."""


@dataclass
class Running:
    """A way that was started.

    Attributes:
        pid: The root of its process tree.
        began: When, in Unix seconds.
        seq: The last entry of the server's journal before that.
        alive: Whether the root still runs.
    """

    pid: int
    began: float
    seq: int
    alive: Callable[[], bool]

    def pids(self) -> list[int]:
        return family(self.pid)


@dataclass
class Watch:
    """Times logins as the server sees them; or, with ``What.ACTIVE``, when a client has said that it is ready."""

    paired: Paired
    what: What = What.LOGIN

    def seq(self) -> int:
        return self.paired.whatsapp.sim.status().seq

    def all_in(self, running: Running, count: int, *, since: int | None = None) -> float:
        """Return when the last of so many devices had logged in, in Unix seconds.

        Raises:
            DiedError: The process ended before.
            TimeoutError: It took too long.
        """
        return self.moments(running, count, since=since)[-1]

    def moments(self, running: Running, count: int, *, since: int | None = None) -> list[float]:
        """Return when each of so many devices had logged in for the first time, in order."""
        seen: dict[object, float] = {}
        seq = running.seq if since is None else since
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                for entry in self.paired.whatsapp.sim.watch(seq, timeout=1.0):
                    seq = entry.seq
                    if entry.what is self.what:
                        assert entry.number is not None
                        seen.setdefault((entry.number.digits, entry.device), entry.at)
                        if len(seen) == count:
                            return sorted(seen.values())
            except TimeoutError:
                if not running.alive():
                    raise DiedError from None
        raise TimeoutError(f"{len(seen)} of {count} logged in within {PATIENCE:g} s")


def declaration(paired: Paired, settings: str = "") -> str:
    """Return a ``sessions.toml`` without its sessions; its pacing holds nobody up."""
    at = paired.whatsapp.endpoint
    return (
        f'[wakit]\n{settings}\n[endpoint]\nproxy = "{at.proxy}"\nca_file = "{at.ca_file}"\n'
        f'noise_root_key = "{at.noise_root_key}"\n[pacing]\ndials = "1000/s"\n'
    )


@contextmanager
def wakit_fleet(paired: Paired, names: Sequence[str], settings: str = "") -> Iterator[Fleet]:
    """Give a fleet of linked sessions; nothing runs yet."""
    folder = paired.fleet(names)
    with fleet_in(folder, head=declaration(paired, settings)) as fleet:
        # Each fleet has copies of the same credentials, and what a user's home knows of accounts would tell.
        fleet.environ["XDG_STATE_HOME"] = str(folder / "home")
        declare(fleet, names)
        yield fleet


def declare(fleet: Fleet, enabled: Sequence[str], parked: Sequence[str] = ()) -> None:
    """Write the declaration of these sessions."""
    body = "".join(f"[sessions.{name}]\n" for name in enabled)
    fleet.write(body + "".join(f"[sessions.{name}]\nenabled = false\n" for name in parked))


@contextmanager
def wakit(fleet: Fleet, watch: Watch) -> Iterator[Running]:
    """Run wakit's daemon on a fleet. Like the other ways it is asked nothing; ``fleet.served()`` waits for that."""
    seq, began = watch.seq(), time.time()
    fleet.start()
    daemon = fleet.daemon
    assert daemon is not None
    try:
        yield Running(daemon.pid, began, seq, lambda: daemon.poll() is None)
    finally:
        fleet.end()


@contextmanager
def bare(watch: Watch, names: Sequence[str]) -> Iterator[Running]:
    """Run the bare library, all clients in one process."""
    paired = watch.paired
    at = paired.whatsapp.endpoint
    order = {
        "proxy": at.proxy,
        "ca_file": str(at.ca_file),
        "noise_root_key": at.noise_root_key,
        "databases": [str(paired.bare(name)) for name in names],
    }
    seq, began = watch.seq(), time.time()
    with subprocess.Popen(
        [sys.executable, str(BARE)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        process.stdin.write(json.dumps(order).encode())
        process.stdin.close()
        try:
            yield Running(process.pid, began, seq, lambda: process.poll() is None)
        finally:
            process.kill()


@contextmanager
def baileys(watch: Watch, names: Sequence[str]) -> Iterator[Running]:
    """Run Baileys, all sockets in one Node process."""
    paired = watch.paired
    node_modules()
    seq, began = watch.seq(), time.time()
    config = paired.folder / "baileys.json"
    process = start_baileys(paired.whatsapp, config, [paired.baileys(name) for name in names])
    try:
        yield Running(process.pid, began, seq, lambda: process.poll() is None)
    finally:
        process.kill()
        process.communicate()
