"""Many sessions that are linked already, for benchmarks that restore them.

Linking hundreds takes a minute, and every benchmark wants the same. So it is done once: a folder under ``/tmp`` keeps
a loopback WhatsApp with its accounts, a credential of each session as wakit's own worker made it, and, where asked for,
as many sessions of Baileys. A benchmark gets a copy of its own and may do with it what it likes.

A name's number is always the same; the sessions of Baileys are devices of their own, of other numbers.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from support.linking import Unlinked, link
from support.npm import install
from support.whatsapp import LoopbackWhatsApp, loopback_whatsapp

STORE = Path(f"/tmp/wakit-bench-{os.getuid()}-neonize-{version('neonize')}")
BAILEYS = ("baileys@7.0.0-rc14", "https-proxy-agent@7.0.6")
FLEET_SCRIPT = Path(__file__).with_name("baileys_fleet.mjs")
_AT_ONCE = 25


@dataclass(frozen=True)
class Paired:
    """Linked sessions, and the WhatsApp that knows them; a copy that is gone after the block."""

    folder: Path
    whatsapp: LoopbackWhatsApp
    names: tuple[str, ...]

    def fleet(self, names: Sequence[str]) -> Path:
        """Make a folder for a ``sessions.toml``, with the credentials of these sessions in its state directory."""
        folder = Path(tempfile.mkdtemp(prefix="f", dir=self.folder))
        for name in names:
            place = folder / ".wakit" / "sessions" / name / "shared"
            place.mkdir(parents=True)
            shutil.copy(STORE / "sessions" / name / "creds.db", place)
        for made in (folder / ".wakit", *(folder / ".wakit").rglob("*")):
            made.chmod(0o700 if made.is_dir() else 0o600)
        return folder

    def bare(self, name: str) -> Path:
        """A credential for the library without wakit."""
        return self.folder / "bare" / f"{name}.db"

    def baileys(self, name: str) -> Path:
        """A folder of Baileys."""
        return self.folder / "baileys" / name


def name_of(number: int) -> str:
    return f"s{number:03d}"


@contextmanager
def paired(count: int, *, baileys: bool = False) -> Iterator[Paired]:
    """Give so many linked sessions."""
    names = tuple(map(name_of, range(count)))
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    try:
        with _store():
            _complete(names, baileys=baileys)
            shutil.copytree(STORE / "whatsapp", folder / "whatsapp")
            (folder / "bare").mkdir()
            for name in names:
                shutil.copy(STORE / "sessions" / name / "creds.db", folder / "bare" / f"{name}.db")
                if baileys:
                    shutil.copytree(STORE / "baileys" / name, folder / "baileys" / name)
        # Of its last port the sim makes its next. One that the kernel gives to nobody who dials: while it is closed,
        # a client that goes on dialling it would sooner or later be given it as its own end.
        (folder / "whatsapp" / "port").write_text(f"{_quiet_port()}\n")
        with loopback_whatsapp(folder / "whatsapp") as whatsapp:
            yield Paired(folder, whatsapp, names)
    finally:
        shutil.rmtree(folder)


def _quiet_port() -> int:
    """Return a free port below those that outgoing connections get."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port


@contextmanager
def _store() -> Iterator[None]:
    """Hold the store: two benchmarks may want it at once."""
    for folder in (STORE, STORE / "sessions", STORE / "baileys"):
        folder.mkdir(mode=0o700, exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _complete(names: Sequence[str], *, baileys: bool) -> None:
    """Link those that are missing."""
    ours = [name for name in names if not (STORE / "sessions" / name).exists()]
    theirs = [name for name in names if baileys and not (STORE / "baileys" / name).exists()]
    if not ours and not theirs:
        return
    print(f"linking {len(ours)} + {len(theirs)} sessions once, into {STORE} …", file=sys.stderr, flush=True)
    with loopback_whatsapp(STORE / "whatsapp") as whatsapp, tempfile.TemporaryDirectory(dir=STORE) as making:
        for start in range(0, len(ours), _AT_ONCE):
            some = ours[start : start + _AT_ONCE]
            _pair(whatsapp, Path(making), some)
            _keep(Path(making), some, STORE / "sessions")
        for start in range(0, len(theirs), _AT_ONCE):
            some = theirs[start : start + _AT_ONCE]
            _pair_baileys(whatsapp, Path(making), some)
            _keep(Path(making), some, STORE / "baileys")


def _keep(making: Path, names: Sequence[str], place: Path) -> None:
    for name in names:
        (making / name).rename(place / name)


def _number(name: str, kind: int) -> str:
    return f"+3461{kind}{int(name[1:]):05d}"


def _pair(whatsapp: LoopbackWhatsApp, folder: Path, names: Sequence[str]) -> None:
    link(whatsapp.endpoint, [Unlinked(name, _number(name, 0), folder / name) for name in names])
    for name in names:  # what a closed client left in its log belongs into the file that is copied
        _checkpoint(folder / name / "creds.db")


def _checkpoint(database: Path) -> None:
    """Fold the write-ahead log in, in a process of its own; the library runs nowhere any more."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA wal_checkpoint(TRUNCATE)'); c.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=True)


def node_modules() -> Path:
    """Return the folder with Baileys and the script that runs many of it, installed once."""
    folder = STORE / "node"
    if not (folder / "ready").exists():
        folder.mkdir(exist_ok=True)
        install(folder, BAILEYS)
        (folder / "ready").touch()
    shutil.copy(FLEET_SCRIPT, folder)
    return folder


def start_baileys(whatsapp: LoopbackWhatsApp, config: Path, folders: Sequence[Path]) -> subprocess.Popen[bytes]:
    """Start one Node process with a session of Baileys for each folder."""
    at = whatsapp.endpoint
    order = {"proxy": at.proxy, "noise_root_key": at.noise_root_key, "folders": [str(each) for each in folders]}
    config.write_text(json.dumps(order))
    return subprocess.Popen(
        ["node", str(STORE / "node" / FLEET_SCRIPT.name), str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(at.ca_file)},
    )


def _pair_baileys(whatsapp: LoopbackWhatsApp, folder: Path, names: Sequence[str]) -> None:
    node_modules()
    process = start_baileys(whatsapp, folder / "config.json", [folder / name for name in names])
    left, scanned = set(names), set[str]()
    try:
        assert process.stdout
        for line in process.stdout:
            told = json.loads(line)
            name = Path(told["folder"]).name
            if told["event"] == "qr" and name not in scanned:
                scanned.add(name)
                whatsapp.sim.scan(_number(name, 1), told["payload"])
            elif told["event"] == "connected":
                left.discard(name)
            if not left:
                return
        raise RuntimeError(f"Baileys ended; {len(left)} were not linked")
    finally:
        process.kill()
        process.wait()
