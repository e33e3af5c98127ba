"""A real daemon that can also be asked about itself, for the search for leaks.

``watched_daemon.py SESSIONS_TOML`` serves as ``wakit up`` does, until SIGTERM. Besides, it reads orders from standard
input, one JSON object a line, and answers each with one line:

- ``{"op": "count"}``: how many asyncio tasks and objects there are, after the garbage was collected, and how many rows
  the journal has been given, and how much memory DuckDB keeps them in; what the C allocator has given out, and what it
  holds free in its arenas;
- ``{"op": "fill"}``: have DuckDB's queue of blocks it might evict as long as it gets (:func:`fill`);
- ``{"op": "edit", "texts": [...]}``: put these declarations into force, one after the other, and let the loop look,
  plan and act on each. What the watch on the file does, without the pauses in which it waits for an editor to finish;
- ``{"op": "forgive"}``: forget earlier failures, as if every session had been connected for a minute since.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from wakit.core.restarts import Failures
from wakit.declare.loading import Source, parse
from wakit.reconciler import Reconciler
from wakit.reconciler.desk import Desk
from wakit.runtime import DaemonOptions, locate, serve

_FILLING = 12_000


class MallInfo(ctypes.Structure):
    """What mallinfo2(3) of glibc tells."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


_libc = ctypes.CDLL(None)
_libc.mallinfo2.restype = MallInfo


async def main(config: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    obeying: list[asyncio.Task[None]] = []

    def ready(desk: Desk) -> None:
        obeying.append(loop.create_task(obey(desk._reconciler, config, stop)))

    await serve(locate(config), stop=stop, options=DaemonOptions(on_ready=ready))
    for task in obeying:
        task.cancel()


async def obey(reconciler: Reconciler, config: Path, stop: asyncio.Event) -> None:
    orders = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        try:
            print(json.dumps(await answer(reconciler, config, json.loads(line))), flush=True)
        except BaseException:
            stop.set()  # whoever asked must not wait for ever
            raise


async def answer(reconciler: Reconciler, config: Path, order: dict[str, Any]) -> dict[str, int]:
    match order["op"]:
        case "count":
            gc.collect()
            return {
                "tasks": len(asyncio.all_tasks()),
                "objects": len(gc.get_objects()),
                "rows": sum(reconciler.roster.logged.values()),
                "cached_bytes": cached_bytes(reconciler),
                **allocated(),
            }
        case "fill":
            await asyncio.to_thread(fill, reconciler)
        case "edit":
            for text in order["texts"]:
                await reconciler.accept(parse(Source(config, str(config), text.encode()), environ=os.environ))
                await settled(reconciler)
        case "forgive":
            for tracked in reconciler.roster.sessions.values():
                tracked.attempt, tracked.quarantine, tracked.failures = 0, None, Failures()
    return {}


def cached_bytes(reconciler: Reconciler) -> int:
    """Return what DuckDB keeps of the journal in memory; it may, up to the limit that the journal sets."""
    (found,) = reader(reconciler).execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchone()
    return int(found)


def fill(reconciler: Reconciler) -> None:
    """Make the commits after which DuckDB's memory no longer grows; a fleet makes them in its first days.

    DuckDB notes every block that it unpins in a queue, and a note keeps the block's handle. It throws the notes of dead
    blocks out only once there are 32,768 (``PurgeQueue`` in its ``src/storage/buffer/buffer_pool.cpp``). A lone commit
    leaves four or more notes, half a kilobyte, so some megabytes come up in the first thousands of commits and stay.
    """
    connection = reader(reconciler)
    connection.execute("CREATE TEMP TABLE filling (number INTEGER)")
    appender = connection.appender("filling")
    for number in range(_FILLING):
        appender.append_rows([(number,)])
        appender.flush()
    del appender
    connection.execute("DROP TABLE filling")


def reader(reconciler: Reconciler) -> Any:
    """Return a connection of the journal's that nobody uses."""
    return reconciler.roster.ports.ledger._journal._writer.readers._free[0]  # type: ignore[attr-defined]


def allocated() -> dict[str, int]:
    """Return the bytes that the C allocator has given out, and those it holds free: the gaps, in all its arenas."""
    told = _libc.mallinfo2()
    return {"used_bytes": told.uordblks + told.hblkhd, "gap_bytes": told.fordblks}


async def settled(reconciler: Reconciler) -> None:
    """Wait until the loop has looked and everything it began is done."""
    while reconciler._wake.is_set() or not reconciler.executor.jobs.idle():
        await reconciler.executor.jobs.drain()
        await asyncio.sleep(0)


asyncio.run(main(Path(sys.argv[1])))
