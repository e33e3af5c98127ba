"""The start gate: one client at a time writes, nobody reads meanwhile, and pacing decides who is next."""

from __future__ import annotations

import asyncio

import pytest

import wakit.worker.starting
from wakit.worker.starting import Permits, Start, StartGate


class Library:
    """Stands for the Go library: records who touches its maps when, and objects to two at once."""

    def __init__(self, gate: StartGate) -> None:
        self.gate = gate
        self.writing: str | None = None
        self.reading: set[str] = set()
        self.order: list[str] = []
        self.clashes: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str) -> Start:
        start = Start(session=name, run=lambda: self._begin(start))
        return start

    def _begin(self, start: Start) -> None:
        self.order.append(start.session)
        if self.writing or self.reading:
            self.clashes.append(f"{start.session} starts while {self.writing or self.reading}")
        self.writing = start.session
        task = asyncio.create_task(self._run(start))
        self.tasks.add(task)

    async def _run(self, start: Start) -> None:
        await asyncio.sleep(0)
        self.writing = None
        start.called.set()
        await self.gate.passed()
        if self.writing:
            self.clashes.append(f"{start.session} reads while {self.writing} writes")
        self.reading.add(start.session)
        for _ in range(3):
            await asyncio.sleep(0)
        self.reading.discard(start.session)
        start.settled.set()


def self_granting() -> Permits:
    """Permits that grant every question at once."""

    def grant(session: str) -> None:
        permits.grant(session)

    permits = Permits(grant)
    return permits


async def test_without_pacing_all_start_and_nobody_clashes():
    permits = self_granting()
    gate = StartGate(permits)
    library = Library(gate)
    names = [f"s{number}" for number in range(50)]
    await gate.start_all([library.start(name) for name in names])
    assert sorted(library.order) == sorted(names)
    assert library.clashes == []


async def test_with_pacing_clients_start_in_the_order_of_their_permits():
    asked: asyncio.Queue[str] = asyncio.Queue()
    permits = Permits(asked.put_nowait)
    gate = StartGate(permits)
    library = Library(gate)
    starting = asyncio.create_task(gate.start_all([library.start(name) for name in ("a", "b", "c")]))
    assert {await asked.get() for _ in range(3)} == {"a", "b", "c"}
    for name in ("c", "a", "b"):
        permits.grant(name)
        for _ in range(20):
            await asyncio.sleep(0)
    await starting
    assert library.order == ["c", "a", "b"]
    assert library.clashes == []


async def test_a_permit_taken_before_the_start_pays_for_the_first_dial_only():
    asked: list[str] = []
    permits = Permits(asked.append)
    ready = asyncio.create_task(permits.ready("a"))
    await asyncio.sleep(0)
    permits.grant("a")
    await ready
    await permits.use("a")
    assert asked == ["a"]
    second = asyncio.create_task(permits.use("a"))
    await asyncio.sleep(0)
    assert asked == ["a", "a"]
    assert not second.done()
    permits.grant("a")
    await second


async def test_a_permit_that_came_too_late_is_kept_for_the_next_dial():
    asked: list[str] = []
    permits = Permits(asked.append)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await permits.use("a")
    permits.grant("a")
    await permits.use("a")
    assert len(asked) <= 1


async def test_a_client_that_never_dials_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(wakit.worker.starting, "CALL_DEADLINE", 0.05)
    monkeypatch.setattr(wakit.worker.starting, "SETTLE_DEADLINE", 0.05)
    permits = self_granting()
    gate = StartGate(permits)
    library = Library(gate)
    mute = Start(session="mute", run=lambda: None)
    async with asyncio.timeout(5):
        await gate.start_all([mute, library.start("a")])
    assert library.order == ["a"]
