"""The start gate: starts clients one after the other, so that the library's maps are never touched by two threads.

goneonize keeps its clients in Go maps without a lock, and Go aborts the process when a map is written while another
thread reads or writes it. A client writes them before it dials, and reads them once more when its dial is through
(``CallbackFunction``, ``FetchMe``). So clients are started in waves:

- *writing*: one client after the other is started, the next as soon as the CONNECT of the one before reached the relay
  (or it ended). Every CONNECT is held, so nobody reads meanwhile.
- *reading*: the wave's CONNECTs are let through. The next wave waits until each of them has settled: told its identity,
  shown a QR, or ended; or until a deadline, so that one that hangs in a handshake does not hold up the others.

A wave holds those sessions whose turn in the fleet's pacing has come: at 5 dials a second that is one each, without
pacing it is nearly all of them. The turn is taken *before* the client starts, because the library waits only a minute
for the relay's answer and a first dial that fails is final; redials take theirs at the relay (:class:`Permits`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

CALL_DEADLINE: Final = 30.0
"""Seconds a started client has to dial; opening a database takes milliseconds, a busy one up to ten seconds."""

SETTLE_DEADLINE: Final = 2.0
"""Seconds the next wave waits for a handshake that takes long."""


@dataclass(slots=True)
class Start:
    """One client's start.

    Attributes:
        session: Whose.
        run: Starts it, on a thread of its own.
        called: Set once its first CONNECT reached the relay, or it ended.
        settled: Set once it reads the library's maps no more by itself, or it ended.
    """

    session: str
    run: Callable[[], None]
    called: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class Permits:
    """Turns in the fleet's pacing, asked of the host and kept until they are used.

    A session has at most one question open. A dial that is given up while it waits leaves its permit to the next one,
    so that redials in a crowd get through in the end.

    Args:
        ask: Sends the question to the host.
    """

    def __init__(self, ask: Callable[[str], None]) -> None:
        self._ask = ask
        self._open: set[str] = set()
        self._tickets: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def grant(self, session: str) -> None:
        """The session may dial once."""
        self._open.discard(session)
        self._tickets[session].set()

    async def ready(self, session: str) -> None:
        """Wait until the session has a permit, without using it."""
        ticket = self._tickets[session]
        if not ticket.is_set() and session not in self._open:
            self._open.add(session)
            self._ask(session)
        await ticket.wait()

    async def use(self, session: str) -> None:
        """Wait for a permit and use it up."""
        ticket = self._tickets[session]
        while not ticket.is_set():
            await self.ready(session)
        ticket.clear()


class StartGate:
    """Starts a worker's clients in waves, and holds their CONNECTs while one is being started."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._open = asyncio.Event()
        self._open.set()

    async def passed(self) -> None:
        """Wait until no client is being started."""
        await self._open.wait()

    async def start_all(self, starts: Sequence[Start]) -> None:
        """Start every client; returns when the last one has settled, or had its time to."""
        waiting = {asyncio.create_task(self._permits.ready(start.session)): start for start in starts}
        try:
            while waiting:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                wave = [waiting.pop(turn) for turn in list(waiting) if turn.done()]
                await self._start_wave(wave)
        finally:
            for turn in waiting:
                turn.cancel()

    async def _start_wave(self, wave: Sequence[Start]) -> None:
        self._open.clear()
        try:
            for start in wave:
                start.run()
                await _within(CALL_DEADLINE, start.called.wait())
        finally:
            self._open.set()
        await _within(SETTLE_DEADLINE, _all_settled(wave))


async def _all_settled(wave: Sequence[Start]) -> None:
    for start in wave:
        await start.settled.wait()


async def _within(seconds: float, waiting: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        pass
