"""The fleet's one pace: who may dial next, and when.

The rate is :class:`~wakit.core.pacing.TokenBucket`'s, the order is :class:`~wakit.core.turns.Line`'s; here are the
clock, the chance and whoever waits. A permit that was given is accounted for exactly once, as a dial or as given back.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from wakit.core.pacing import TokenBucket
from wakit.core.turns import Line, Standing

KEPT: Final = 10.0
"""Seconds a place is kept for a session whose worker is being spawned; loading the library takes 0.5 s when idle."""

_LOOK_AGAIN: Final = 1.0  # seconds, while somebody waits: the declared rate may have changed
_SOON: Final = 0.001


def _ignore(_session: str, _waits: bool) -> None:
    return


@dataclass(frozen=True, slots=True)
class Outside:
    """What the pace depends on.

    Attributes:
        rate: The declared rate (dials a second).
        place: The standing of a session.
        clock: Monotonic seconds.
        chance: A number drawn evenly from [0, 1).
        waits: Told whenever a session begins to wait (True), and when it waits no more (False).
    """

    rate: Callable[[], float]
    place: Callable[[str], Standing]
    clock: Callable[[], float]
    chance: Callable[[], float]
    waits: Callable[[str, bool], None] = _ignore


class Pace:
    """Gives permits to dial at the declared rate, to whoever comes first in the fleet's order.

    Args:
        outside: Rate, order, clock and chance.
    """

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._bucket: TokenBucket | None = None
        self._line = Line()
        self._asking: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._timer: asyncio.TimerHandle | None = None

    async def permit(self, session: str) -> None:
        """Return when the session may dial; :meth:`dialled` or :meth:`unused` has to follow. Cancelled, it is over."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking[session].append(turn)
        self._line.ask(session)
        self._move()
        if turn.done():
            return
        self._outside.waits(session, True)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.unused(session)  # it was served in the moment it gave up
            else:
                self._give_up(session, turn)
            raise
        finally:
            self._outside.waits(session, False)

    def dialled(self, _session: str) -> None:
        """Note that a session used its permit."""
        assert self._bucket is not None
        self._bucket = self._bucket.dial(self._outside.clock())
        self._move()

    def unused(self, session: str) -> None:
        """Note that a session will not use its permit."""
        assert self._bucket is not None
        self._bucket = self._bucket.give_back()
        self._line.take_back(session)
        self._move()

    def expect(self, sessions: Iterable[str]) -> None:
        """Keep a place for sessions that are about to ask: a worker that came up sooner must not be let past them."""
        self._line.expect(sessions, self._outside.clock() + KEPT)

    def forget(self, sessions: Iterable[str]) -> None:
        """Keep no place for sessions that will not ask."""
        if [session for session in sessions if self._line.forget(session)]:
            self._move()

    def _give_up(self, session: str, turn: asyncio.Future[None]) -> None:
        asking = self._asking[session]
        asking.remove(turn)
        if not asking:
            del self._asking[session]
            self._line.leave(session)
        self._move()

    def _move(self) -> None:
        """Serve whoever can be served now, and look again when somebody else can."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._line.waiting:
            return
        now, rate = self._outside.clock(), self._outside.rate()
        bucket = (self._bucket or TokenBucket.full(rate, now)).at_rate(rate, now)
        for session in self._line.due(self._outside.place, bucket.free(now), now):
            if bucket.next_at(now) > now:
                break
            if self._asking[session][0].cancelled():
                continue  # it gives up in this very turn of the loop
            bucket = bucket.permit(now, self._outside.chance())
            self._serve(session)
        self._bucket = bucket
        if self._line.waiting:
            at = bucket.next_at(now)
            if at <= now:  # there are permits, and they are kept for those who are about to ask
                at = min(self._line.coming.values(), default=inf)
            pause = min(_LOOK_AGAIN, max(_SOON, at - now))
            self._timer = asyncio.get_running_loop().call_later(pause, self._move)

    def _serve(self, session: str) -> None:
        self._line.serve(session)
        asking = self._asking[session]
        asking.popleft().set_result(None)
        if asking:
            self._line.ask(session)
        else:
            del self._asking[session]
