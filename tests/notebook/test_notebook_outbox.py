from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from wakit.notebook.outbox import Outbox


async def test_ten_thousand_posts_from_threads_are_few_deliveries() -> None:
    news = 0
    heard: list[int] = []
    told = asyncio.Event()

    def deliver() -> None:
        heard.append(news)
        if news == 10_000:
            told.set()

    outbox = Outbox(asyncio.get_running_loop(), deliver, spacing=0.02)

    def burst() -> None:
        nonlocal news
        for _ in range(10_000):
            news += 1
            outbox.post()

    thread = threading.Thread(target=burst)
    thread.start()
    async with asyncio.timeout(10):
        await told.wait()
    thread.join()
    assert heard[-1] == 10_000  # the last word is never lost
    assert len(heard) <= 10


async def test_a_flood_is_delivered_four_times_a_second_and_its_end_is_not_lost() -> None:
    news = 0
    heard: list[tuple[float, int]] = []
    clock = Clock(asyncio.get_running_loop())
    outbox = Outbox(clock, lambda: heard.append((clock.now, news)), spacing=0.03)  # type: ignore[arg-type]
    for _ in range(200):
        for _ in range(100):
            news += 1
            outbox.post()
        await clock.turn(0.01)
    for _ in range(10):
        await clock.turn(0.01)
    assert [moment for moment, _ in heard] == pytest.approx([0.01 + 0.25 * each for each in range(9)])
    assert heard[-1][1] == news


async def test_a_burst_is_delivered_as_soon_as_it_is_over() -> None:
    """What a daemon that was held up for a moment tells at once must not wait as long as a flood."""
    loop = asyncio.get_running_loop()
    at: list[float] = []
    both = asyncio.Event()

    def deliver() -> None:
        at.append(clock.now)
        if len(at) == 2:
            both.set()

    clock = Clock(loop)
    outbox = Outbox(clock, deliver, spacing=0.03)  # type: ignore[arg-type]
    outbox.post()
    await clock.turn(0.0)
    for _ in range(500):
        outbox.post()
    for _ in range(20):
        await clock.turn(0.01)
    assert both.is_set()
    assert at == pytest.approx([0.0, 0.06])


class Clock:
    """An event loop's timers in a time of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = 0.0
        self._loop = loop
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_soon_threadsafe(self, act: Callable[..., None], *given: Any) -> None:
        self._loop.call_soon_threadsafe(act, *given)

    def call_later(self, seconds: float, act: Callable[..., None], *given: Any) -> None:
        self._timers.append((self.now + seconds, partial(act, *given)))

    async def turn(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that is due."""
        self.now += seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        due = [timer for timer in self._timers if timer[0] <= self.now + 1e-9]
        self._timers = [timer for timer in self._timers if timer not in due]
        for _, act in due:
            act()


async def test_a_busy_loop_gets_one_delivery_when_it_is_free() -> None:
    heard: list[None] = []
    outbox = Outbox(asyncio.get_running_loop(), lambda: heard.append(None), spacing=0)
    thread = threading.Thread(target=lambda: [outbox.post() for _ in range(1000)])
    thread.start()
    thread.join()  # the loop stands still, as while a cell computes
    assert heard == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(heard) == 1


async def test_what_changes_during_a_delivery_is_delivered_again() -> None:
    again = asyncio.Event()
    deliveries = 0

    def deliver() -> None:
        nonlocal deliveries
        deliveries += 1
        if deliveries == 1:
            outbox.post()
        else:
            again.set()

    outbox = Outbox(asyncio.get_running_loop(), deliver, spacing=0.001)
    outbox.post()
    async with asyncio.timeout(10):
        await again.wait()


async def test_spacing_holds_between_deliveries() -> None:
    loop = asyncio.get_running_loop()
    at: list[float] = []
    thrice = asyncio.Event()

    def deliver() -> None:
        at.append(loop.time())
        outbox.post()
        if len(at) == 3:
            outbox.close()
            thrice.set()

    outbox = Outbox(loop, deliver, spacing=0.02)
    outbox.post()
    async with asyncio.timeout(10):
        await thrice.wait()
    assert all(later - earlier >= 0.0199 for earlier, later in pairwise(at))


async def test_closed_and_kernelless_outboxes_deliver_nothing() -> None:
    heard: list[None] = []
    nowhere = Outbox(None, lambda: heard.append(None))
    nowhere.post()
    closed = Outbox(asyncio.get_running_loop(), lambda: heard.append(None))
    closed.post()
    closed.close()
    closed.post()
    await asyncio.sleep(0)
    assert heard == []


def test_a_loop_that_has_ended_is_no_error() -> None:
    loop = asyncio.new_event_loop()
    outbox = Outbox(loop, lambda: None)
    loop.close()
    outbox.post()
    outbox.post()
