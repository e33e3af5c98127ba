"""What a backup of a large, busy credential costs: ``python tests/bench backup``.

Two processes write as a client does (WAL, one commit a message), each into a database of its own on one disk: the one
that is backed up, 54 MB, and another session's. Their worst commits with and without backups in the same run tell the
added latency; every commit must be there at the end. Target: no message lost, and no more than 50 ms for the others.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from credentials import NUMBER, store

from wakit.core.declaration import VaultPolicy
from wakit.redact import account_hash
from wakit.vault.backups import Backups
from wakit.vault.manifest import Why
from wakit.vault.record import SessionRecord

KEY = b"k" * 32
_ROWS = 13_000
_WRITER = """
import json, os, sqlite3, sys, time
database, stop = sys.argv[1], sys.argv[2]
connection = sqlite3.connect(database, timeout=10, isolation_level=None)
connection.execute("PRAGMA synchronous=FULL")
times, count = [], 0
print("ready", flush=True)
while True:

    if os.path.exists(stop):
        break
    began = time.monotonic()
    connection.execute("INSERT INTO whatsmeow_messages (body) VALUES (randomblob(300))")
    times.append((began, time.monotonic() - began))
    count += 1
    time.sleep(0.005)
print(json.dumps({"count": count, "times": times}))
"""


def large(folder: Path, rows: int) -> Path:
    """Make a credential with so many rows of 4 kB."""
    folder.mkdir(parents=True)
    database = folder / "creds.db"
    store(database, NUMBER)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE whatsmeow_messages (id INTEGER PRIMARY KEY, body BLOB)")
        connection.executemany("INSERT INTO whatsmeow_messages (body) VALUES (randomblob(4000))", [()] * rows)
    return database


def worst(times: list[list[float]], since: float, until: float) -> float:
    """Return the longest commit that began in a span, in ms."""
    return max((1e3 * took for began, took in times if since <= began <= until), default=0.0)


def run(rounds: int = 12) -> dict[str, Any]:
    """Return worst commits in ms, during a backup and during as long without one, and what a backup takes."""
    with tempfile.TemporaryDirectory(prefix="wk", dir="/tmp") as place:
        root = Path(place)
        busy, other = large(root / "a" / "shared", _ROWS), large(root / "b" / "shared", 10)
        before = {database: rows_in(database) for database in (busy, other)}
        stop = root / "stop"
        writers = [
            subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(stop)], stdout=subprocess.PIPE, text=True)
            for path in (busy, other)
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        backups = Backups(busy.parent, VaultPolicy(), lambda: datetime.now(UTC), KEY)
        record = SessionRecord(paired_at=datetime.now(UTC), account=account_hash(NUMBER, KEY))
        spans: list[tuple[float, float, float]] = []
        thinning: list[float] = []
        for _ in range(rounds):
            quiet = time.monotonic()
            time.sleep(0.6)  # the baseline: as long as a backup, without one
            began = time.monotonic()
            taken = backups.take(Why.MANUAL, record)
            assert taken.new
            spans.append((quiet, began, time.monotonic()))
            backups.prune(made=taken.backup)
            thinning.append(time.monotonic() - spans[-1][2])
        stop.touch()
        told = [json.loads(writer.communicate()[0]) for writer in writers]
        lost = sum(before[path] + said["count"] - rows_in(path) for path, said in zip((busy, other), told, strict=True))
        size = busy.stat().st_size / 1e6
    found: dict[str, Any] = {"size_mb": size, "commits_lost": lost, "backup_s_p50": median(e - b for _, b, e in spans)}
    found["thinning_out_s_p50"] = median(thinning[rounds // 2 :])  # once there are as many as are kept
    for who, said in zip(("the_session", "another"), told, strict=True):
        quiet_ms = [worst(said["times"], quiet, began) for quiet, began, _ in spans]
        during_ms = [worst(said["times"], began, end) for _, began, end in spans]
        found[f"{who}_worst_commit_ms_quiet_p50"] = median(quiet_ms)
        found[f"{who}_worst_commit_ms_during_p50"] = median(during_ms)
        found[f"{who}_added_ms_p50"] = median(during_ms) - median(quiet_ms)
        found[f"{who}_added_ms_p95"] = quantiles(during_ms, n=20)[-1] - quantiles(quiet_ms, n=20)[-1]
    return found


def rows_in(database: Path) -> int:
    """Return how many messages there are."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM whatsmeow_messages").fetchone()[0])
