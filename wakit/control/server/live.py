"""One live connection: the fleet's stream goes through an outbox to the reader.

Three things run side by side, and the first that ends ends the others: *gather* takes from the fleet and does not wait
for the reader, but for what lies in the past, which does not run away (meanwhile the fleet's own bounded stream keeps
what is new); *send* waits for the reader and for nobody else; *listen* notices that the reader has gone. The daemon's
end is the fourth. So a reader that sleeps costs its outbox, and holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from fastapi import WebSocket, WebSocketDisconnect

from wakit.control.schemas import EventLogged, Hello, LiveFrame
from wakit.control.server.outbox import Outbox
from wakit.errors import WakitError

GOING_AWAY: Final = 1001
INTERNAL_ERROR: Final = 1011
_LONGEST_REASON: Final = 120  # a close frame's reason has at most 123 bytes (RFC 6455, 5.5)


async def stream(websocket: WebSocket, frames: AsyncIterator[LiveFrame], stopping: asyncio.Event) -> None:
    """Serve an accepted live connection until the reader, the fleet's stream or the daemon ends it."""
    outbox = Outbox()
    gather = asyncio.create_task(_gather(frames, outbox))
    others = [
        asyncio.create_task(_send(websocket, outbox)),
        asyncio.create_task(_listen(websocket)),
        asyncio.create_task(stopping.wait()),
    ]
    try:
        await asyncio.wait([gather, *others], return_when=asyncio.FIRST_COMPLETED)
        refusal = gather.exception() if gather.done() else None
    finally:
        for task in (gather, *others):
            task.cancel()
        await asyncio.gather(gather, *others, return_exceptions=True)
    if refusal is not None and not isinstance(refusal, WakitError):
        raise refusal
    with suppress(WebSocketDisconnect, RuntimeError):  # the reader may be gone already
        if refusal is not None:
            await websocket.close(INTERNAL_ERROR, _cut(str(refusal)))
        else:
            await websocket.close(GOING_AWAY, "it ended in order" if stopping.is_set() else "the stream ended")


async def _gather(frames: AsyncIterator[LiveFrame], outbox: Outbox) -> None:
    try:
        past = 0
        async for frame in frames:
            if isinstance(frame, Hello):
                past = frame.seq
            elif isinstance(frame, EventLogged) and frame.event.seq <= past:
                await outbox.room()
            outbox.put(frame)
    finally:
        # A generator would otherwise be closed whenever the garbage collector comes by.
        close = getattr(frames, "aclose", None)
        if close is not None:
            await close()


async def _send(websocket: WebSocket, outbox: Outbox) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            frame = await outbox.take()
            await websocket.send_text(frame.model_dump_json())
            await asyncio.sleep(0)  # sending suspends only when the socket is full, and others have work to do


async def _listen(websocket: WebSocket) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:  # A reader has nothing to say; what it says is dropped.
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return


def _cut(text: str) -> str:
    return text.encode()[:_LONGEST_REASON].decode(errors="ignore")
