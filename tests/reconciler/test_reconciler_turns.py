"""Whose turn it is: one at a time for each session, and who waits for it holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from fakes import Fleet
from virtual_time import VirtualLoop

from wakit.core.lifecycle import State
from wakit.reconciler.turns import Turns


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    loop.work_takes = lambda: 1.0
    yield loop
    loop.cancel_everything()
    loop.close()


def test_places_are_for_those_whose_turn_it_is_in_the_order_in_which_they_asked(loop: VirtualLoop) -> None:
    done: list[tuple[str, float]] = []

    def note(what: str) -> None:
        done.append((what, loop.time()))

    async def all_of_them() -> None:
        turns, places = Turns(), asyncio.Semaphore(1)
        long = turns.together("a", partial(note, "long"))
        held_up = turns.together("ab", partial(note, "held up"), places)
        others = (turns.together(name, partial(note, name), places) for name in "cde")
        await asyncio.gather(long, held_up, *others)

    loop.run_until_complete(all_of_them())
    begun = [what for what, _ in done if what not in ("long", "held up")]
    assert begun == ["c", "d", "e"]
    assert dict(done)["c"] == 1.0
    assert [at for what, at in done if what != "long"] == [1.0, 2.0, 3.0, 4.0]


def test_starts_that_wait_for_their_turn_hold_up_no_other(fleet: Fleet) -> None:
    names = "abcd"
    fleet.paired(*names)
    fleet.chance = 0.99
    for name in names:
        fleet.workers.crash(name)
    fleet.advance(0.05)
    for after, name in enumerate(names, 1):
        fleet.tracked(name).next_try_at = fleet.now() + timedelta(seconds=after)
    fleet.loop.work_takes = lambda: 60.0
    held = [fleet.loop.create_task(fleet.executor.in_turn(name, lambda: None)) for name in "abc"]
    fleet.advance(0.01)
    fleet.loop.work_takes = lambda: 0.002
    fleet.advance(10)
    assert [fleet.state(name) for name in names] == [State.RECONNECTING] * 3 + [State.CONNECTED]
    fleet.advance(60)
    assert {fleet.state(name) for name in names} == {State.CONNECTED}
    assert all(task.done() for task in held)
