"""A tunnel: two connections, of which each is told what the other says, until either is closed.

Hundreds of tunnels carry a ping and its answer every half minute and nothing else, so what counts is what a few bytes
cost. They are passed on by the callback that read them, through a buffer that all tunnels share: no task is woken, and
the loop turns once. (With streams it turns twice, for a task on either side, and each read makes room for 256 KiB.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from wakit.worker.dialing import Streams

_BUFFER: Final = memoryview(bytearray(1 << 16))  # read into and copied out of in one step of the one event loop
_MORE_THAN_HELD: Final = 1 << 20  # bytes; a stream stops reading long before it holds as many


async def tunnel(
    near: Streams,
    far: Streams,
    first: asyncio.Task[bytes],
    *,
    sent: Callable[[int], None],
    received: Callable[[int], None],
) -> None:
    """Pass bytes on both ways; returns when one side is closed, leaving both for the caller to close.

    Args:
        near: One side.
        far: The other.
        first: The read of the near side that is under way, or was.
        sent: Told how many bytes were passed from near to far.
        received: Told how many were passed from far to near.
    """
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outward = _End(near, far, sent, over)
    first.cancel()
    await asyncio.wait({first})
    _take_from(first, outward)
    await _attach(near, outward)
    await _attach(far, _End(far, near, received, over))
    await over


class _End(asyncio.BufferedProtocol):
    """One side: what it says goes out on the other."""

    def __init__(self, here: Streams, there: Streams, note: Callable[[int], None], over: asyncio.Future[None]) -> None:
        self._here, self._there = here[1].transport, there[1].transport
        self._note = note
        self._over = over

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self.take(bytes(_BUFFER[:nbytes]))

    def take(self, data: bytes) -> None:
        self._note(len(data))
        self._there.write(data)

    def eof_received(self) -> bool:
        self.end()
        return True  # what goes out here is still flushed

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.end()

    def end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    # Called when this side takes no more, or takes more again: who reads for it is the other.

    def pause_writing(self) -> None:
        _reading(self._there).pause_reading()

    def resume_writing(self) -> None:
        _reading(self._there).resume_reading()


async def _attach(streams: Streams, end: _End) -> None:
    """Put an end in the place of a stream, after what the stream holds already."""
    reader, writer = streams
    held = asyncio.create_task(reader.read(_MORE_THAN_HELD))
    await asyncio.sleep(0)  # it has begun before this is over, so it is done unless there is nothing to read
    _take_from(held, end)
    writer.transport.set_protocol(end)
    if reader.at_eof() or reader.exception() is not None or writer.transport.is_closing():
        end.end()  # which nobody tells twice


def _take_from(reading: asyncio.Task[bytes], end: _End) -> None:
    if not reading.done():
        reading.cancel()
    elif not reading.cancelled() and reading.exception() is None and reading.result():
        end.take(reading.result())


def _reading(transport: asyncio.WriteTransport) -> asyncio.Transport:
    assert isinstance(transport, asyncio.Transport)
    return transport
