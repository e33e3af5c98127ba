"""The host's side of permits: each question of a worker, from the asking to the dial.

A permit is out from the moment it is sent until the worker says that it was used, or will not be. A worker that is
stopped, or died, says neither: after :data:`LAPSES` seconds, or with its end, its permits count as unused. It will not
use them later, because it has long let them go itself (:data:`wakit.worker.starting.SHELF_LIFE`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wakit.whatsapp.port import Dial
from wakit.worker.bounds import Outlets
from wakit.worker.messages import Permit

LAPSES: Final = 8.0
"""Seconds; well above what a worker keeps a permit for, so that a busy host does not take back what is being used."""


@dataclass(slots=True)
class _Question:
    """One question, open or answered."""

    number: int
    asked_at: float
    task: asyncio.Task[None]
    lapse: asyncio.TimerHandle | None = None
    waited: float = 0.0


class Granting:
    """The permits of one worker's sessions.

    Args:
        outlets: Where permits come from, and who is told what became of them.
        send: Sends to the worker.
        pid: The worker's.
    """

    def __init__(self, outlets: Outlets, send: Callable[[Permit], None], pid: int) -> None:
        self._outlets, self._send, self._pid = outlets, send, pid
        self._questions: dict[str, _Question] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def asked(self, session: str, number: int) -> None:
        """Ask for a permit; an older question of the session is void."""
        known = self._questions.get(session)
        if known is not None and known.number == number:
            return
        self._drop(session)
        task = asyncio.create_task(self._grant(session))
        self._questions[session] = _Question(number, self._outlets.clock(), task)

    def returned(self, session: str, number: int) -> None:
        """The worker will not dial."""
        if self._is_open(session, number):
            self._drop(session)

    def used(self, session: str, number: int) -> None:
        """The worker dials now."""
        question = self._questions.get(session)
        if question is None or question.number != number or question.lapse is None:
            return
        question.lapse.cancel()
        del self._questions[session]
        self._outlets.on_dial(Dial(session=session, pid=self._pid, waited=question.waited))

    async def close(self) -> None:
        """The worker is gone: no question is open any more, and no permit out."""
        for session in list(self._questions):
            self._drop(session)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _is_open(self, session: str, number: int) -> bool:
        question = self._questions.get(session)
        return question is not None and question.number == number

    def _drop(self, session: str) -> None:
        question = self._questions.pop(session, None)
        if question is None:
            return
        if question.lapse is not None:
            question.lapse.cancel()
            self._outlets.on_unused(session)
        elif not question.task.done():
            question.task.cancel()
            self._ending.add(question.task)
            question.task.add_done_callback(self._ending.discard)

    async def _grant(self, session: str) -> None:
        await self._outlets.permit(session)
        question = self._questions[session]
        question.waited = self._outlets.clock() - question.asked_at
        question.lapse = asyncio.get_running_loop().call_later(LAPSES, self.returned, session, question.number)
        self._send(Permit(session=session, number=question.number))
