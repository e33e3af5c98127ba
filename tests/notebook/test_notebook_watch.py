"""``fleet.watch()``: changes for ``for`` and ``async for``, and nothing left behind when the loop is left."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import aclosing
from pathlib import Path

from served_fleet import ServedFleet

from wakit.control.schemas import Disconnected, EventLogged, Hello, SessionChanged
from wakit.notebook.fleet import Fleet


def sockets() -> set[str]:
    """The sockets this process has open, the fake daemon's ends of them included."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:  # the listing's own
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_for_loop_sees_the_changes_and_leaves_nothing(fleet: Fleet, served: ServedFleet) -> None:
    before, running = sockets(), threads()
    for number, frame in enumerate(fleet.watch()):
        if number == 0:
            assert isinstance(frame, Hello)
            assert [session.name for session in frame.sessions] == ["sales", "support"]
            assert len(sockets() - before) >= 1  # that the test can fail
            served.do(lambda fake: fake.change("sales", "reconnecting", reason="dropped"))
        else:
            assert isinstance(frame, SessionChanged)
            assert (frame.session.name, frame.session.state) == ("sales", "reconnecting")
            break
    served.readers(1)  # the fleet's own is left
    assert threads() == running
    assert sockets() - before == set()


async def test_an_async_for_loop_sees_the_changes_and_leaves_nothing(fleet: Fleet, served: ServedFleet) -> None:
    before, running, tasks = sockets(), threads(), asyncio.all_tasks()
    number = 0
    async for frame in fleet.watch():
        number += 1
        if number == 1:
            assert isinstance(frame, Hello)
            served.do(lambda fake: fake.change("sales", "reconnecting"))
        else:
            assert isinstance(frame, SessionChanged)
            break
    gc.collect()
    await asyncio.to_thread(served.readers, 1)
    await asyncio.get_running_loop().shutdown_default_executor()  # the thread that has just waited
    async with asyncio.timeout(10):
        # Python closes a generator that was left in a task of its own.
        left = asyncio.all_tasks() - tasks
        await asyncio.gather(*left, return_exceptions=True)  # some end by being cancelled
    assert threads() == running
    assert sockets() - before == set()


async def test_it_ends_where_it_is_told_to(fleet: Fleet, served: ServedFleet) -> None:
    async with aclosing(fleet.watch()) as frames:
        assert (await anext(frames)).type == "hello"
        await asyncio.to_thread(served.readers, 2)
    await asyncio.to_thread(served.readers, 1)
    async with fleet.watch() as frames:
        assert (await anext(frames)).type == "hello"
    await asyncio.to_thread(served.readers, 1)
    with fleet.watch() as frames:
        assert next(frames).type == "hello"
    await asyncio.to_thread(served.readers, 1)
    with fleet.watch() as frames:
        assert "async for" in repr(frames)


def test_it_outlives_the_daemon_and_catches_up(folder: Path) -> None:
    served = ServedFleet(folder, "sales")
    served.fake.log(session="sales", state_to="starting")
    with served.up():
        fleet = Fleet(folder / "sessions.toml", folder)
        with fleet, fleet.watch(since=0) as frames:
            assert isinstance(next(frames), Hello)
            told = next(frames)
            assert isinstance(told, EventLogged)
            assert told.event.seq == 1
    with fleet.watch(since=1) as frames:  # no daemon: it is said, and tried again
        assert isinstance(next(frames), Disconnected)
        served.fake.log(session="sales", state_to="connected")
        with served.up():
            assert isinstance(next(frames), Hello)
            told = next(frames)
            assert isinstance(told, EventLogged)
            assert told.event.seq == 2
