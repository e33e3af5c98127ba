"""The fleet's one pace, in a time of its own."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wakit.core.turns import Standing, standing
from wakit.runtime.pace import KEPT, Outside, Pace

sys.path.append(str(Path(__file__).parents[1] / "reconciler"))
from virtual_time import VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.cancel_everything()
    assert not made.faults
    made.close()


def by_number(name: str) -> Standing:
    return standing(0, None, int(name[1:]))


class Dials:
    """Asks for permits, dials as soon as they come, and notes when."""

    def __init__(self, loop: VirtualLoop, rate: Callable[[], float], chance: Callable[[], float] = lambda: 0.0) -> None:
        self.loop = loop
        self.waiting: set[str] = set()
        self.pace = Pace(Outside(rate=rate, place=by_number, clock=loop.time, chance=chance, waits=self._waits))
        self.given: list[tuple[str, float]] = []

    def _waits(self, session: str, waits: bool) -> None:
        (self.waiting.add if waits else self.waiting.discard)(session)

    def ask(self, *numbers: int) -> list[asyncio.Task[None]]:
        return [self.loop.create_task(self._one(f"s{number}")) for number in numbers]

    async def _one(self, name: str) -> None:
        await self.pace.permit(name)
        self.given.append((name, round(self.loop.time(), 2)))
        self.pace.dialled(name)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.given]


def test_a_burst_of_one_second_then_the_declared_rate_in_the_fleets_order(loop: VirtualLoop) -> None:
    dials = Dials(loop, lambda: 2.0)
    dials.ask(5, 3, 1, 4, 2, 0)
    loop.advance(10)
    # The first two came when nobody else had asked yet.
    assert dials.given == [("s5", 0.0), ("s3", 0.0), ("s0", 0.5), ("s1", 1.0), ("s2", 1.5), ("s4", 2.0)]
    assert not dials.waiting


def test_a_place_is_kept_for_those_who_are_about_to_ask(loop: VirtualLoop) -> None:
    dials = Dials(loop, lambda: 1.0)
    dials.pace.expect(["s0", "s1", "s2", "s3"])
    dials.ask(3)
    loop.advance(1)
    assert dials.names == []
    assert dials.waiting == {"s3"}
    dials.ask(0)
    loop.call_soon(dials.pace.forget, ["s1"])
    loop.advance(KEPT)
    assert dials.names == ["s0", "s3"], "s2 did not come in time"
    assert dials.given[1][1] == pytest.approx(KEPT, abs=0.1)


def test_where_permits_abound_nobody_waits_for_anybody(loop: VirtualLoop) -> None:
    dials = Dials(loop, lambda: 1000.0)
    dials.pace.expect([f"s{number}" for number in range(100)])
    dials.ask(*range(50, 100))
    loop.advance(0.1)
    assert len(dials.given) == 50


def test_a_changed_rate_holds_for_those_who_wait(loop: VirtualLoop) -> None:
    rate = [0.01]
    dials = Dials(loop, lambda: rate[0])
    dials.ask(0, 1, 2, 3)
    loop.advance(10)
    assert dials.names == ["s0"]
    rate[0] = 10.0
    loop.advance(1.5)
    assert dials.names == ["s0", "s1", "s2", "s3"]


def test_who_gives_up_takes_no_token_along_and_keeps_the_place(loop: VirtualLoop) -> None:
    dials = Dials(loop, lambda: 1.0)
    _, gone, _ = dials.ask(0, 1, 2)
    loop.advance(0.5)
    gone.cancel()
    loop.advance(0.01)
    dials.ask(1)
    loop.advance(5)
    assert dials.names == ["s0", "s1", "s2"]
    assert dials.given[-1][1] == pytest.approx(2.0, abs=0.1)


def test_who_gives_up_in_the_moment_of_its_turn_gives_the_permit_back(loop: VirtualLoop) -> None:
    asked: list[asyncio.Task[None]] = []

    def chance() -> float:  # drawn when the permit is about to be given
        if asked:
            loop.call_soon(asked.pop().cancel)
        return 0.0

    dials = Dials(loop, lambda: 1.0, chance)
    dials.ask(0)
    loop.advance(0.01)
    asked += dials.ask(1)
    loop.advance(1.1)
    assert not asked
    dials.ask(2)
    loop.advance(0.2)
    assert dials.names == ["s0", "s2"]


def test_a_permit_that_is_not_used_is_nobodys_dial(loop: VirtualLoop) -> None:
    dials = Dials(loop, lambda: 1.0)

    async def hold() -> None:
        await dials.pace.permit("s0")

    loop.run_until_complete(hold())
    dials.ask(1)
    loop.advance(60)
    assert dials.names == [], "the only permit there is is out"
    dials.pace.unused("s0")
    loop.advance(0)
    assert dials.names == ["s1"]


def test_five_hundred_that_come_back_at_once_get_in_at_the_rate_although_they_give_up_and_come_again(
    loop: VirtualLoop,
) -> None:
    """As the library does: its dial is refused after a while, it pauses for long, and dials again."""
    chance = random.Random(7)
    dials = Dials(loop, lambda: 5.0, chance.random)
    refused = 0

    async def session(number: int) -> None:
        nonlocal refused
        await asyncio.sleep(chance.random())
        while True:
            try:
                async with asyncio.timeout(chance.uniform(25, 50)):
                    return await dials._one(f"s{number}")
            except TimeoutError:
                refused += 1
                await asyncio.sleep(16)  # eight dials that failed before

    tasks = [loop.create_task(session(number)) for number in range(500)]
    loop.run_until_complete(asyncio.wait_for(asyncio.gather(*tasks), 3600))
    assert refused > 100
    assert loop.time() <= 500 / 5 + 20
    moments = [moment for _, moment in dials.given]
    for first in range(len(moments)):
        for last in range(first, len(moments), 7):
            assert last - first + 1 <= 5 + 5 * (moments[last] - moments[first] + 0.02)
