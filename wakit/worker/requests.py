"""What the host asks of a worker and waits for: numbered requests, and the answers that come or do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import TypeAlias

from wakit.worker.messages import AskSession, Done, LogoutSession, StopSession

Request: TypeAlias = StopSession | LogoutSession | AskSession


class Requests:
    """The requests to one worker.

    Args:
        send: Sends to it.
    """

    def __init__(self, send: Callable[[Request], None]) -> None:
        self._send = send
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Done]] = {}
        self._ended = False

    async def ask(self, kind: type[Request], session: str, within: float) -> Done:
        """Ask, and wait for the answer; a worker that does not answer within so many seconds counts as no."""
        number = next(self._numbers)
        if self._ended:
            return _ended(number)
        waiting: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._send(kind(request=number, session=session))
        try:
            async with asyncio.timeout(within):
                return await waiting
        except TimeoutError:
            return Done(request=number, ok=False, why=f"no answer within {within:g} s")
        finally:
            self._waiting.pop(number, None)

    def answered(self, done: Done) -> None:
        """Hand an answer on; one that nobody waits for any more is no news."""
        waiting = self._waiting.pop(done.request, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(done)

    def end(self) -> None:
        """Answer whoever waits, and whoever asks later: the worker has ended."""
        self._ended = True
        for number in list(self._waiting):
            self.answered(_ended(number))


def _ended(number: int) -> Done:
    return Done(request=number, ok=False, why="the worker ended")
