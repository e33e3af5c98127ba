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
for the relay's answer and a first dial that fails is final. It is used at the relay, when the CONNECT is let through,
as every redial's is (:class:`Permits`).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from wakit.worker.dialing import LOGIN_HOST, NotYetError
from wakit.worker.messages import PermitAsked, PermitReturned, PermitUsed

CALL_DEADLINE: Final = 30.0
"""Seconds a started client has to dial; opening a database takes milliseconds, a busy one up to ten seconds."""

SETTLE_DEADLINE: Final = 2.0
"""Seconds the next wave waits for a handshake that takes long."""

HELD: Final = (25.0, 50.0)
"""Seconds a dial is held for its turn, drawn between these. The library gives up on a proxy that is silent for a minute
(net/http), and hundreds that were refused together would pause and come back together."""

SHELF_LIFE: Final = 3.0
"""Seconds a permit is kept that was not used: time to start a wave of clients, no time for one that hangs."""


@dataclass(slots=True, eq=False)
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
    """Turns in the fleet's pacing, asked of the host and used at the very moment of the dial.

    A session has at most one question open. One that nobody waits for any more is taken back, and so is a permit that
    lies unused: it would hold up the fleet, and used later it would be one dial too many. Nobody loses a place by that:
    who asks again stands where it stood (:mod:`wakit.core.turns`).

    Args:
        tell: Sends to the host.
        clock: Monotonic seconds.
    """

    def __init__(
        self, tell: Callable[[PermitAsked | PermitReturned | PermitUsed], None], clock: Callable[[], float]
    ) -> None:
        self._tell, self._clock = tell, clock
        self._numbers = count(1)
        self._asked: dict[str, int] = {}  # questions without an answer
        self._held: dict[str, tuple[int, float]] = {}  # answers, until when they are good
        self._wanted: Counter[str] = Counter()
        self._granted: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def grant(self, session: str, number: int) -> None:
        """The session may dial once. An answer to a question that was taken back says nothing."""
        if self._asked.get(session) != number:
            return
        del self._asked[session]
        self._held[session] = (number, self._clock() + SHELF_LIFE)
        self._granted[session].set()
        asyncio.get_running_loop().call_later(SHELF_LIFE, self._let_go, session, number)

    def holds(self, session: str) -> bool:
        """Return whether the session has a permit that is good now."""
        number, until = self._held.get(session, (0, 0.0))
        if number and self._clock() >= until:  # also after a time in which this process stood still
            self._let_go(session, number)
        return session in self._held

    async def ready(self, session: str) -> None:
        """Wait until the session has a permit, without using it."""
        self._wanted[session] += 1
        try:
            while not self.holds(session):
                self._ask(session)
                await self._granted[session].wait()
        finally:
            self._wanted[session] -= 1
            if not self._wanted[session] and session in self._asked:
                self._tell(PermitReturned(session=session, number=self._asked.pop(session)))

    def use(self, session: str) -> None:
        """Use the permit that the session holds; the dial has to go out now."""
        number, _ = self._held.pop(session)
        self._granted[session].clear()
        self._tell(PermitUsed(session=session, number=number))

    def _ask(self, session: str) -> None:
        if session not in self._asked:
            number = self._asked[session] = next(self._numbers)
            self._tell(PermitAsked(session=session, number=number))

    def _let_go(self, session: str, number: int) -> None:
        if self._held.get(session, (0,))[0] != number:
            return  # it was used
        del self._held[session]
        self._granted[session].clear()
        self._tell(PermitReturned(session=session, number=number))


class StartGate:
    """Starts a worker's clients in waves, and holds their CONNECTs while one is being started."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._open = asyncio.Event()
        self._open.set()

    async def clear(self, session: str, host: str) -> None:
        """Hold a dial until it may go out: the relay's clearance.

        Raises:
            NotYetError: Its turn did not come in time.
        """
        if host != LOGIN_HOST:  # pacing is about logins; who fetches a picture does not wait in line
            return await self.passed()
        held = random.uniform(*HELD)  # noqa: S311 - it spreads, it hides nothing
        try:
            async with asyncio.timeout(held):
                await self.cleared(session)
        except TimeoutError:
            raise NotYetError(f"it waited {held:.0f} s for its turn to dial; too many wait") from None

    async def passed(self) -> None:
        """Wait until no client is being started."""
        await self._open.wait()

    async def cleared(self, session: str) -> None:
        """Wait for the session's turn to dial, and use it: the dial has to go out now."""
        while True:
            await self.passed()
            await self._permits.ready(session)
            if self._open.is_set():
                return self._permits.use(session)

    async def start_all(self, starts: Sequence[Start]) -> None:
        """Start every client; returns when the last one has settled, or had its time to."""
        waiting = {asyncio.create_task(self._permits.ready(start.session)): start for start in starts}
        try:
            while waiting:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                turns = [turn for turn in waiting if turn.done()]
                for late in await self._start_wave([waiting.pop(turn) for turn in turns]):
                    waiting[asyncio.create_task(self._permits.ready(late.session))] = late
        finally:
            for turn in waiting:
                turn.cancel()

    async def _start_wave(self, wave: Sequence[Start]) -> Sequence[Start]:
        """Start the clients of one wave; return those whose permit was lost while others took their time."""
        begun: list[Start] = []
        self._open.clear()
        try:
            for start in wave:
                if self._permits.holds(start.session):
                    begun.append(start)
                    start.run()
                    await _within(CALL_DEADLINE, start.called.wait())
        finally:
            self._open.set()
        await _within(SETTLE_DEADLINE, _all_settled(begun))
        return [start for start in wave if start not in begun]


async def _all_settled(wave: Sequence[Start]) -> None:
    for start in wave:
        await start.settled.wait()


async def _within(seconds: float, waiting: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        pass
