"""Run by a test, to be killed: logs in bursts and prints each number once it is acknowledged.

Usage: crashing_journal.py PATH COUNT; after COUNT bursts it waits for its end.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from wakit.core.records import EventRecord
from wakit.journal import Journal


async def main(path: Path, bursts: int) -> None:
    journal = Journal.open(path)
    top = journal.health.durable_seq
    for burst in range(bursts):
        for _ in range(1 + burst * 7 % 50):
            top += 1
            record = EventRecord(ts=datetime.now(UTC), kind="dial", run_id="r", detail={"value": top})
            assert journal.log(record) == top
        await journal.acked(top)
        print(top, flush=True)
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
