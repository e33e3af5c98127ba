"""The fleet's one token bucket, in a time of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from wakit.errors import WorkerError
from wakit.runtime import staffing
from wakit.runtime.staffing import Pace, Staff
from wakit.whatsapp.port import SessionStart, WorkerLaunch


class Time:
    """A clock, and the sleepers who wait for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        awake = asyncio.Event()
        self._sleepers.append((self.now + seconds, awake))
        await awake.wait()

    async def advance(self, seconds: float) -> None:
        end = self.now + seconds
        await idle()
        while self._sleepers and min(due for due, _ in self._sleepers) <= end:
            due, awake = min(self._sleepers, key=lambda sleeper: sleeper[0])
            self._sleepers.remove((due, awake))
            self.now = due
            awake.set()
            await idle()
        self.now = end


async def idle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


class Dials:
    """Asks for permits and notes when they come."""

    def __init__(self, pace: Pace, time: Time) -> None:
        self._pace, self._time = pace, time
        self.given: list[tuple[str, float]] = []

    def ask(self, *names: str) -> list[asyncio.Task[None]]:
        return [asyncio.ensure_future(self._one(name)) for name in names]

    async def _one(self, name: str) -> None:
        await self._pace.permit(name)
        self.given.append((name, round(self._time.now, 6)))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    real = asyncio.sleep

    def sleep(seconds: float) -> Awaitable[None]:
        return made.sleep(seconds) if seconds else real(0)

    monkeypatch.setattr(staffing.asyncio, "sleep", sleep)
    return made


def dials(time: Time, rate: Callable[[], float]) -> Dials:
    return Dials(Pace(rate, lambda: time.now), time)


async def test_a_burst_of_one_second_then_the_declared_rate_in_order(time: Time) -> None:
    asked = dials(time, lambda: 2.0)
    names = [f"s{number}" for number in range(6)]
    asked.ask(*names)
    await time.advance(10)
    assert asked.given == [("s0", 0.0), ("s1", 0.0), ("s2", 0.5), ("s3", 1.0), ("s4", 1.5), ("s5", 2.0)]


async def test_a_changed_rate_holds_for_those_who_wait_and_nobody_is_overtaken(time: Time) -> None:
    rate = [1.0]
    asked = dials(time, lambda: rate[0])
    asked.ask(*(f"old{number}" for number in range(5)))
    await time.advance(0.1)
    rate[0] = 10.0
    asked.ask("new")
    await time.advance(5)
    assert [name for name, _ in asked.given] == ["old0", "old1", "old2", "old3", "old4", "new"]
    assert asked.given[-1][1] == pytest.approx(1.4), "the first in the queue keeps its pause, the others do not"


async def test_a_slower_rate_holds_at_once(time: Time) -> None:
    rate = [10.0]
    asked = dials(time, lambda: rate[0])
    asked.ask(*(f"s{number}" for number in range(10)))
    await time.advance(0.0)
    rate[0] = 0.5
    asked.ask("late", "later")
    await time.advance(20)
    times = dict(asked.given)
    assert times["later"] - times["late"] == pytest.approx(2.0)


async def test_who_gives_up_takes_no_token_along(time: Time) -> None:
    asked = dials(time, lambda: 1.0)
    tasks = asked.ask("first", "gone", "gone too", "last")
    await idle()
    tasks[2].cancel()
    await time.advance(0.5)
    tasks[1].cancel()
    await time.advance(5)
    assert [name for name, _ in asked.given] == ["first", "last"]
    assert asked.given[-1][1] <= 2.5


async def test_a_quiet_time_saves_up_one_second_and_no_more(time: Time) -> None:
    asked = dials(time, lambda: 3.0)
    await time.advance(3600)
    asked.ask(*(f"s{number}" for number in range(5)))
    await time.advance(10)
    assert [round(moment - 3600, 3) for _, moment in asked.given] == [0.0, 0.0, 0.0, 0.333, 0.667]


class Host:
    """A worker host that notes what it is asked."""

    def __init__(self) -> None:
        self.running: dict[str, object] = {}
        self.ended: list[tuple[str, str]] = []
        self.left: list[tuple[str, str]] = []
        self.called: list[tuple[str, str]] = []
        self.sealed: list[str] = []
        self.lets_go = True
        self.error: Exception | None = None

    async def launch(self, launch: WorkerLaunch) -> int:
        self.running[launch.worker_id] = launch
        return 7

    def workers(self) -> dict[str, object]:
        return self.running

    async def stop(self, worker_id: str, *, grace: float, why: str) -> None:
        assert grace > 0
        self.ended.append((worker_id, why))

    async def stop_session(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        if self.error is not None:
            raise self.error
        self.left.append((worker_id, session))
        return self.lets_go

    async def call(self, worker_id: str, start: SessionStart) -> None:
        self.called.append((worker_id, start.name))

    async def seal(self, worker_id: str) -> None:
        self.sealed.append(worker_id)

    async def logout(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        if self.error is not None:
            raise self.error
        return True


def launch(worker_id: str, *names: str) -> WorkerLaunch:
    starts = tuple(SessionStart(name=name, directory="/x", epoch=1) for name in names)
    return WorkerLaunch(worker_id=worker_id, sessions=starts)


async def test_a_session_leaves_its_worker_and_the_last_one_out_ends_it() -> None:
    host = Host()
    staff = Staff(host)  # type: ignore[arg-type]
    assert await staff.launch(launch("w1", "a", "b")) == 7
    await staff.release("w1", "a", why="parked")
    assert (host.left, host.ended) == ([("w1", "a")], [])
    await staff.release("w1", "b", why="a person asked")
    assert host.ended == [("w1", "a person asked")]


@pytest.mark.parametrize("error", [None, WorkerError("Session a is not aboard worker w1")])
async def test_a_worker_that_does_not_let_one_go_is_ended(error: Exception | None) -> None:
    host = Host()
    host.lets_go, host.error = False, error
    staff = Staff(host)  # type: ignore[arg-type]
    await staff.launch(launch("w1", "a", "b"))
    await staff.release("w1", "a", why="parked")
    assert host.ended == [("w1", "parked")]


async def test_who_is_on_call_is_aboard_once_it_was_called() -> None:
    host = Host()
    staff = Staff(host)  # type: ignore[arg-type]
    on_call = launch("w2", "a", "b")
    await staff.launch(msgspec.structs.replace(on_call, on_call=True))
    await staff.call("w2", on_call.sessions[0])
    await staff.seal("w2")
    assert (host.called, host.sealed, host.ended) == ([("w2", "a")], ["w2"], [])
    await staff.release("w2", "a", why="parked")
    assert host.ended == [("w2", "parked")], "it was alone: the other one never came"


async def test_a_worker_that_nobody_came_aboard_of_is_ended() -> None:
    host = Host()
    staff = Staff(host)  # type: ignore[arg-type]
    await staff.launch(msgspec.structs.replace(launch("w2", "a"), on_call=True))
    await staff.seal("w2")
    assert host.ended == [("w2", "nobody came aboard")]


async def test_a_worker_that_is_gone_cannot_unlink_and_that_is_no_error() -> None:
    host = Host()
    staff = Staff(host)  # type: ignore[arg-type]
    assert await staff.logout("w1", "sales", 1.0)
    host.error = WorkerError("Session sales is not aboard worker w1")
    assert not await staff.logout("w1", "sales", 1.0)
