"""What can be asked of a session that is aboard, when the library does what it should not: raise, or never return."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wakit.errors import HeldError
from wakit.whatsapp.port import SessionStart
from wakit.worker.aboard import Aboard
from wakit.worker.commands import Commands
from wakit.worker.custody import take
from wakit.worker.dialing import Streams
from wakit.worker.messages import Done
from wakit.worker.relay import Relay
from wakit.worker.tasks import Tasks


class Scripted:
    """A client that raises what it is given, or hangs until it is let on."""

    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.error = error
        self.may_return = threading.Event()
        if not hangs:
            self.may_return.set()

    def run(self) -> None:
        raise AssertionError

    def disconnect(self) -> None:
        self.ask()

    def logout(self) -> str:
        return self.ask()

    def ask(self) -> str:
        self.may_return.wait()
        if self.error is not None:
            raise self.error
        return ""


class Nowhere:
    """A route that nobody takes."""

    async def dial(self, session: str, host: str, port: int) -> Streams:
        raise AssertionError


async def clear(_session: str, _host: str) -> None:
    raise AssertionError


class Ship:
    """Commands over one session whose client is scripted and whose credential is locked."""

    def __init__(self, folder: Path) -> None:
        self.order = SessionStart(name="sales", directory=str(folder), epoch=1)
        self.answers: list[Done] = []
        self.aboard = Aboard()
        self.aboard.custody["sales"] = take(self.order)
        self.aboard.started.set()
        self.relay = Relay({"sales": Nowhere()}, clearance=clear, on_failure=lambda *_: None, clock=lambda: 0.0)
        self.commands = Commands(
            self.aboard,
            self.relay,
            on_thread=Tasks().on_thread,
            tell=lambda *_: None,
            answer=self.answers.append,
        )

    def carry(self, client: Scripted) -> None:
        self.aboard.clients["sales"] = client

    @property
    def is_locked(self) -> bool:
        try:
            take(self.order).release()
        except HeldError:
            return True
        return False


@pytest.fixture
async def ship(tmp_path: Path) -> AsyncIterator[Ship]:
    ship = Ship(tmp_path)
    yield ship
    for custody in ship.aboard.custody.values():
        custody.release()


@pytest.mark.parametrize("command", ["ask", "log_out"])
async def test_what_the_library_raises_is_an_answer_and_the_next_question_is_asked(ship: Ship, command: str) -> None:
    ship.carry(Scripted(KeyError("34600000001")))
    async with asyncio.timeout(10):
        await getattr(ship.commands, command)(1, "sales")
    ship.carry(Scripted())
    async with asyncio.timeout(10):
        await getattr(ship.commands, command)(2, "sales")
    assert ship.answers == [
        Done(request=1, ok=False, why="the library failed (KeyError); see the worker's log"),
        Done(request=2, ok=True),
    ]


async def test_a_question_is_not_asked_twice_at_once(ship: Ship) -> None:
    client = Scripted(hangs=True)
    ship.carry(client)
    asking = asyncio.create_task(ship.commands.ask(1, "sales"))
    await asyncio.sleep(0)
    await ship.commands.ask(2, "sales")
    client.may_return.set()
    await asking
    assert ship.answers == [
        Done(request=2, ok=False, why="an earlier question is not answered yet"),
        Done(request=1, ok=True),
    ]


async def test_who_leaves_frees_its_credential(ship: Ship) -> None:
    ship.carry(Scripted())
    await ship.commands.let_go(1, "sales")
    assert ship.answers == [Done(request=1, ok=True)]
    assert not ship.is_locked


async def test_who_cannot_be_disconnected_keeps_its_credential_and_it_is_said(ship: Ship) -> None:
    """The client may still be using it; the host ends the worker instead, and at once."""
    ship.carry(Scripted(KeyError("34600000001")))
    async with asyncio.timeout(10):
        await ship.commands.let_go(1, "sales")
        await ship.commands.let_go(2, "sales")
    why = "the library failed (KeyError); see the worker's log"
    assert ship.answers == [Done(request=1, ok=False, why=why), Done(request=2, ok=False, why=why)]
    assert ship.is_locked


async def test_who_is_told_to_leave_twice_keeps_its_credential_until_its_client_is_off(ship: Ship) -> None:
    client = Scripted(hangs=True)
    ship.carry(client)
    both = [asyncio.create_task(ship.commands.let_go(request, "sales")) for request in (1, 2)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert ship.answers == [], "the second has no answer before the first"
    assert ship.is_locked
    client.may_return.set()
    await asyncio.gather(*both)
    assert not ship.is_locked
    await ship.commands.let_go(3, "sales")
    assert [(answer.request, answer.ok) for answer in ship.answers] == [(1, True), (2, True), (3, True)]


async def test_who_has_no_client_is_a_no(ship: Ship) -> None:
    await ship.commands.log_out(1, "sales")
    assert ship.answers == [Done(request=1, ok=False, why="it has no client here")]


async def test_an_end_waits_for_no_client_that_hangs(ship: Ship) -> None:
    client = Scripted(hangs=True)
    ship.carry(client)
    ship.relay.called("sales").set()
    async with asyncio.timeout(10):
        await ship.commands.shut_down(0.0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left, "it hangs still"
    client.may_return.set()
    await asyncio.gather(*left)
