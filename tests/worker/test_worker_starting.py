"""The start gate: one client at a time writes, nobody reads meanwhile, and pacing decides who is next."""

from __future__ import annotations

import asyncio

import pytest

import wakit.worker.starting
from wakit.worker.messages import PermitAsked, PermitReturned, PermitUsed
from wakit.worker.starting import SHELF_LIFE, Permits, Start, StartGate


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


class Host:
    """The other end: notes every word, and grants when told to."""

    def __init__(self, *, generous: bool = False) -> None:
        self.heard: list[PermitAsked | PermitReturned | PermitUsed] = []
        self.open: dict[str, int] = {}
        self.asked = asyncio.Event()
        self.now = 0.0
        self.permits = Permits(self._hear, lambda: self.now)
        self._generous = generous

    def _hear(self, message: PermitAsked | PermitReturned | PermitUsed) -> None:
        self.heard.append(message)
        if isinstance(message, PermitAsked):
            self.open[message.session] = message.number
            self.asked.set()
            if self._generous:
                self.grant(message.session)

    def grant(self, session: str) -> None:
        self.permits.grant(session, self.open.pop(session))

    def words(self) -> list[str]:
        return [type(message).__name__ for message in self.heard]


async def idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_without_pacing_all_start_and_nobody_clashes():
    gate = StartGate(Host(generous=True).permits)
    library = Library(gate)
    names = [f"s{number}" for number in range(50)]
    await gate.start_all([library.start(name) for name in names])
    assert sorted(library.order) == sorted(names)
    assert library.clashes == []


async def test_with_pacing_clients_start_in_the_order_of_their_permits():
    host = Host()
    gate = StartGate(host.permits)
    library = Library(gate)
    starting = asyncio.create_task(gate.start_all([library.start(name) for name in ("a", "b", "c")]))
    await idle()
    assert set(host.open) == {"a", "b", "c"}
    for name in ("c", "a", "b"):
        host.grant(name)
        await idle()
    await starting
    assert library.order == ["c", "a", "b"]
    assert library.clashes == []


async def test_a_permit_taken_before_the_start_is_used_by_the_first_dial():
    host = Host()
    gate = StartGate(host.permits)
    ready = asyncio.create_task(host.permits.ready("a"))
    await idle()
    host.grant("a")
    await ready
    assert host.words() == ["PermitAsked"]
    await gate.cleared("a")
    assert host.words() == ["PermitAsked", "PermitUsed"]
    assert len({message.number for message in host.heard}) == 1
    second = asyncio.create_task(gate.cleared("a"))
    await idle()
    assert not second.done()
    host.grant("a")
    await second
    assert host.words() == ["PermitAsked", "PermitUsed"] * 2


async def test_a_dial_that_is_given_up_takes_its_question_back_and_a_late_answer_says_nothing():
    host = Host()
    gate = StartGate(host.permits)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await gate.cleared("a")
    assert host.words() == ["PermitAsked", "PermitReturned"]
    host.grant("a")
    assert not host.permits.holds("a")
    assert host.words() == ["PermitAsked", "PermitReturned"]


async def test_a_permit_that_lies_unused_goes_back_and_is_asked_for_again():
    host = Host()
    first, second = (asyncio.create_task(host.permits.ready("a")) for _ in range(2))
    await idle()
    host.grant("a")
    await asyncio.gather(first, second)
    host.now += SHELF_LIFE
    dialling = asyncio.create_task(StartGate(host.permits).cleared("a"))
    await idle()
    assert host.words() == ["PermitAsked", "PermitReturned", "PermitAsked"]
    assert not dialling.done()
    host.grant("a")
    await dialling
    assert host.words()[3:] == ["PermitUsed"]


async def test_a_permit_that_nobody_uses_goes_back_by_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wakit.worker.starting, "SHELF_LIFE", 0.01)
    host = Host(generous=True)
    returned = asyncio.Event()
    tell = host._hear

    def hear(message: PermitAsked | PermitReturned | PermitUsed) -> None:
        tell(message)
        if isinstance(message, PermitReturned):
            returned.set()

    host.permits._tell = hear
    await host.permits.ready("a")
    async with asyncio.timeout(5):
        await returned.wait()
    assert host.words() == ["PermitAsked", "PermitReturned"]


async def test_no_dial_goes_through_while_a_client_is_being_started():
    host = Host()
    gate = StartGate(host.permits)
    mute = Start(session="mute", run=lambda: None)
    starting = asyncio.create_task(gate.start_all([mute]))
    redial = asyncio.create_task(gate.cleared("a"))
    await idle()
    host.grant("mute")
    await idle()
    host.grant("a")
    await idle()
    assert not redial.done()
    mute.called.set()
    mute.settled.set()
    await asyncio.gather(starting, redial)


async def test_who_lost_its_permit_while_others_took_their_time_waits_for_another():
    host = Host()
    gate = StartGate(host.permits)
    library = Library(gate)
    slow = Start(session="slow", run=lambda: None)
    starting = asyncio.create_task(gate.start_all([slow, library.start("a")]))
    await idle()
    host.grant("slow")
    host.grant("a")
    await idle()
    host.now += SHELF_LIFE
    slow.called.set()
    slow.settled.set()
    await idle()
    assert library.order == []
    host.grant("a")
    await starting
    assert library.order == ["a"]


async def test_a_client_that_never_dials_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(wakit.worker.starting, "CALL_DEADLINE", 0.05)
    monkeypatch.setattr(wakit.worker.starting, "SETTLE_DEADLINE", 0.05)
    gate = StartGate(Host(generous=True).permits)
    library = Library(gate)
    mute = Start(session="mute", run=lambda: None)
    async with asyncio.timeout(5):
        await gate.start_all([mute, library.start("a")])
    assert library.order == ["a"]
