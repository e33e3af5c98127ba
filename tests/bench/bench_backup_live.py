"""What backups of a large credential in use cost real sessions: ``python tests/bench backup_live``.

The whole product (``wakit up``) runs sessions against the loopback WhatsApp, each in a worker of its own, with the real
client. One of them has a database of 50 MB: rows in tables of the library's own, put there while no worker has it open.
A correspondent writes to each of them at a steady pace, and is told when a message was opened: the way there and back
through the server, with the client's commit in between. In turns, for some seconds nothing happens, and for some
seconds the large one is backed up over and over.

Every message must have been opened. At the end everything is killed, and each conversation's ratchet is read from what
is on the disk: it counts the messages it has opened, so a commit that was lost would be missing there.
"""

from __future__ import annotations

import json
import queue
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "migration"))

from harness import Fleet, endpoint_table, fleet_in  # noqa: E402
from support.whatsapp import LoopbackWhatsApp, fresh_number  # noqa: E402
from talkers import relayed, relaying_whatsapp  # noqa: E402

LARGE = "large"
OTHERS = ("other1", "other2", "other3")
PATIENCE = 60.0
_FILL = "fill"

Moments = list[tuple[float, float | None]]


@dataclass
class Writer:
    """The correspondent's process; its own database is in memory, so that only the sessions' commits are measured."""

    process: subprocess.Popen[str]
    told: queue.Queue[dict[str, Any]]

    def order(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def expect(self, event: str) -> dict[str, Any]:
        while (told := self.told.get(timeout=PATIENCE))["event"] != event:
            pass
        return told


def started(whatsapp: LoopbackWhatsApp, folder: Path, numbers: dict[str, str], pace: float) -> Writer:
    """Start the correspondent and link it with a phone of its own."""
    config = {
        "proxy": whatsapp.endpoint.proxy,
        "ca_file": str(whatsapp.endpoint.ca_file),
        "noise_root_key": whatsapp.endpoint.noise_root_key,
        "database": str(folder / "writer.db"),
        "log": str(folder / "writer.log"),
        "pace": pace,
        "recipients": {name: number.removeprefix("+") for name, number in numbers.items()},
    }
    command = [sys.executable, str(HERE / "writer.py"), json.dumps(config)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    told: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            told.put(json.loads(line))

    threading.Thread(target=read, daemon=True).start()
    writer = Writer(process, told)
    whatsapp.sim.scan(fresh_number(), writer.expect("qr")["payload"])
    writer.expect("connected")
    return writer


def paired(fleet: Fleet, whatsapp: LoopbackWhatsApp, names: tuple[str, ...]) -> dict[str, str]:
    """Link every session with a phone of its own, and end everything as a crash does."""
    numbers = {name: fresh_number() for name in names}
    fleet.write("".join(f"[sessions.{name}]\n" for name in names))
    fleet.up()
    for name, number in numbers.items():
        fleet.wait_states(**{name: "pairing"})
        whatsapp.sim.scan(number, str(fleet.client().qr(name).payload))
    fleet.wait_connected(*names)
    crash(fleet)
    return numbers


def crash(fleet: Fleet) -> None:
    """Kill the daemon; its workers end with it."""
    workers = fleet.workers()
    fleet.end(by=signal.SIGKILL)
    for worker in workers:
        worker.wait(PATIENCE)


def database(fleet: Fleet, name: str) -> Path:
    return fleet.state / "sessions" / name / "shared" / "creds.db"


def grow(path: Path, megabytes: float) -> None:
    """Put correspondents and groups into a database that nobody has open, until it is so large."""
    rows = int(megabytes * 1e6 / 4100 / 2)  # each takes a page
    with closing(sqlite3.connect(path)) as connection, connection:
        (device,) = connection.execute("SELECT jid FROM whatsmeow_device").fetchone()
        people = ((device, f"{_FILL}{number}:0") for number in range(rows))
        groups = ((device, f"{_FILL}{number}@g.us", f"{number}:0") for number in range(rows))
        connection.executemany("INSERT INTO whatsmeow_sessions VALUES (?, ?, randomblob(4000))", people)
        connection.executemany("INSERT INTO whatsmeow_sender_keys VALUES (?, ?, ?, randomblob(4000))", groups)


def opened_by_the_disk(path: Path) -> int:
    """Count the messages that the ratchets on the disk have opened."""
    with closing(sqlite3.connect(path)) as connection:
        records = connection.execute(f"SELECT session FROM whatsmeow_sessions WHERE their_id NOT LIKE '{_FILL}%'")
        states = [json.loads(record)["SessionState"] for (record,) in records]
    return sum(chain["ChainKey"]["Index"] for state in states for chain in state["ReceiverChains"])


def in_turns(fleet: Fleet, rounds: int, seconds: float) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Let quiet times and times of backups take turns; return the quiet spans, and each backup's."""
    quiet: list[tuple[float, float]] = []
    taken: list[tuple[float, float]] = []
    client = fleet.client()
    for _ in range(rounds):
        began = time.monotonic()
        time.sleep(seconds)
        quiet.append((began, time.monotonic()))
        while (start := time.monotonic()) < quiet[-1][1] + seconds:
            assert client.backup(LARGE).new, "it is written to all the time"
            taken.append((start, time.monotonic()))
    return quiet, taken


def figures(moments: Moments, spans: list[tuple[float, float]]) -> dict[str, float]:
    """Return the way there and back, in ms, of the messages that were due in some spans of time."""
    ms = [1e3 * (opened - due) for due, opened in moments if opened and any(a <= due < b for a, b in spans)]
    cuts = quantiles(ms, n=100)
    return {"messages": len(ms), "p50_ms": median(ms), "p95_ms": cuts[94], "p99_ms": cuts[98], "max_ms": max(ms)}


def run(rounds: int = 10, seconds: float = 6.0, pace: float = 0.2, megabytes: float = 50.0) -> dict[str, Any]:
    """Return latencies with and without backups, and what was lost."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(prefix="wk", dir=memory if memory.is_dir() else "/tmp") as folder,
        relaying_whatsapp() as whatsapp,
        fleet_in(head="[vault]\nkeep = 2\n" + endpoint_table(whatsapp)) as fleet,
    ):
        numbers = paired(fleet, whatsapp, (LARGE, *OTHERS))
        grow(database(fleet, LARGE), megabytes)
        fleet.up()
        fleet.wait_connected(*numbers)
        logins = whatsapp.sim.status().totals["login"]
        writer = started(whatsapp, Path(folder), numbers, pace)
        try:
            writer.order("go")
            time.sleep(2.0)  # the first messages begin conversations, which is another thing
            quiet, taken = in_turns(fleet, rounds, seconds)
            writer.order("stop")
            messages: dict[str, Moments] = writer.expect("written")["messages"]
        finally:
            writer.process.kill()
            writer.process.communicate()
        size = database(fleet, LARGE).stat().st_size / 1e6
        again = whatsapp.sim.status().totals["login"] - logins - 1  # the writer's own
        crash(fleet)
        on_disk = {name: opened_by_the_disk(database(fleet, name)) for name in numbers}
        asked_again = sum(each.get("type") == "retry" for each in relayed(whatsapp))
        replaced = whatsapp.sim.status().totals.get("replaced", 0)
    others = [each for name in OTHERS for each in messages[name]]
    found: dict[str, Any] = {
        "size_mb": size,
        "backups": len(taken),
        "backup_s_p50": median(end - start for start, end in taken),
        "messages": sum(map(len, messages.values())),
        "messages_lost": sum(opened is None for each in messages.values() for _, opened in each),
        "commits_lost": sum(len(messages[name]) - on_disk[name] for name in numbers),
        "asked_for_again": asked_again,
        "reconnects": again,
        "replaced": replaced,
    }
    for who, moments in (("the_session", messages[LARGE]), ("the_others", others)):
        found[f"{who}_quiet"] = without = figures(moments, quiet)
        found[f"{who}_during_backups"] = within = figures(moments, taken)
        found[f"{who}_added"] = {key: within[key] - without[key] for key in without if key != "messages"}
    return found
