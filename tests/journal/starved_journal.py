"""Run by a test: a journal whose files may not grow for a while, as on a full disk. Prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from wakit.core.records import EventRecord
from wakit.errors import JournalError
from wakit.journal import Journal, JournalOptions


class Noticed(logging.Handler):
    """Knows when the journal first complained."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.complained = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.complained.set()


def record(number: int) -> EventRecord:
    return EventRecord(ts=datetime.now(UTC), kind="dial", run_id="r", reason=f"dial no. {number} " + "x " * 200)


async def main(path: Path) -> None:
    noticed = Noticed()
    logging.getLogger("wakit.journal").addHandler(noticed)
    journal = Journal.open(path, options=JournalOptions(max_backlog_bytes=3_000_000, patience=20))
    for number in range(10):
        before = await journal.log_durably(record(number))
    wal = path.with_name(path.name + ".wal").stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 100, hard))
    last = journal.log(record(10))
    assert await asyncio.to_thread(noticed.complained.wait, 30)
    for number in range(11, 5000):
        last = journal.log(record(number))
    full = journal.health
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        await journal.acked(last)
        lost_waiter = "none"
    except JournalError as error:
        lost_waiter = type(error).__name__
    last = await journal.log_durably(record(5000))
    after = journal.health
    await journal.close()
    print(
        json.dumps(
            {
                "acked_before": before,
                "ok_while_full": full.ok,
                "error_while_full": full.error,
                "acked_while_full": full.durable_seq,
                "ok_afterwards": after.ok,
                "lost": after.lost,
                "lost_waiter": lost_waiter,
                "logged": last,
            }
        )
    )


asyncio.run(main(Path(sys.argv[1])))
