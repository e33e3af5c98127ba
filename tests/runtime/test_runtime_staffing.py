"""The worker host as the reconciler's workers."""

from __future__ import annotations

import msgspec
import pytest

from wakit.core.turns import LAST
from wakit.errors import WorkerError
from wakit.runtime.pace import Outside, Pace
from wakit.runtime.staffing import Staff
from wakit.whatsapp.port import SessionStart, WorkerLaunch


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


def staffed(host: Host) -> Staff:
    pace = Pace(Outside(rate=lambda: 1.0, place=lambda _name: LAST, clock=lambda: 0.0, chance=lambda: 0.0))
    return Staff(host, pace)  # type: ignore[arg-type]


def launch(worker_id: str, *names: str) -> WorkerLaunch:
    starts = tuple(SessionStart(name=name, directory="/x", epoch=1) for name in names)
    return WorkerLaunch(worker_id=worker_id, sessions=starts)


async def test_a_session_leaves_its_worker_and_the_last_one_out_ends_it() -> None:
    host = Host()
    staff = staffed(host)
    assert await staff.launch(launch("w1", "a", "b")) == 7
    await staff.release("w1", "a", why="parked")
    assert (host.left, host.ended) == ([("w1", "a")], [])
    await staff.release("w1", "b", why="a person asked")
    assert host.ended == [("w1", "a person asked")]


@pytest.mark.parametrize("error", [None, WorkerError("Session a is not aboard worker w1")])
async def test_a_worker_that_does_not_let_one_go_is_ended(error: Exception | None) -> None:
    host = Host()
    host.lets_go, host.error = False, error
    staff = staffed(host)
    await staff.launch(launch("w1", "a", "b"))
    await staff.release("w1", "a", why="parked")
    told = "parked" if error else "the worker was ended for all aboard, because a could not leave it (parked)"
    assert host.ended == [("w1", told)]


async def test_a_worker_that_is_gone_cannot_unlink_and_that_is_no_error() -> None:
    host = Host()
    staff = staffed(host)
    assert await staff.logout("w1", "sales", 1.0)
    host.error = WorkerError("Session sales is not aboard worker w1")
    assert not await staff.logout("w1", "sales", 1.0)


async def test_who_is_on_call_is_aboard_once_it_was_called() -> None:
    host = Host()
    staff = staffed(host)
    on_call = launch("w2", "a", "b")
    await staff.launch(msgspec.structs.replace(on_call, on_call=True))
    await staff.call("w2", on_call.sessions[0])
    await staff.seal("w2")
    assert (host.called, host.sealed, host.ended) == ([("w2", "a")], ["w2"], [])
    await staff.release("w2", "a", why="parked")
    assert host.ended == [("w2", "parked")], "it was alone: the other one never came"


async def test_a_worker_that_nobody_came_aboard_of_is_ended() -> None:
    host = Host()
    staff = staffed(host)
    await staff.launch(msgspec.structs.replace(launch("w2", "a"), on_call=True))
    await staff.seal("w2")
    assert host.ended == [("w2", "nobody came aboard")]
