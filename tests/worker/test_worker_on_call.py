"""A worker on call: born with its list like any other, its sessions come over one at a time."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from crew import Crew, fresh_number

from wakit.errors import WorkerError
from wakit.sim.client import SimClient
from wakit.whatsapp.port import Connected, SessionReport, WorkerLaunch


async def come_over(crew: Crew, name: str, *, old: str, new: str) -> float:
    """Move one session; return how long it was out of service."""
    began = time.monotonic()
    assert await crew.host.stop_session(old, name, 5.0)
    seen = len(crew.reports)
    await crew.host.call(new, crew.order(name))
    crew.rewind(seen)
    await crew.expect(Connected, name)
    return time.monotonic() - began


async def launch_on_call(crew: Crew, worker: str, *names: str) -> None:
    sessions = tuple(msgspec.structs.replace(crew.order(name), epoch=0) for name in names)
    await crew.host.launch(WorkerLaunch(worker_id=worker, sessions=sessions, endpoint=crew.endpoint, on_call=True))


async def test_sessions_come_over_one_at_a_time(crew: Crew, sim: SimClient) -> None:
    names = [f"s{index}" for index in range(6)]
    await crew.pair(sim, {name: fresh_number() for name in names})
    replaced = (await sim.status()).totals.get("replaced", 0)
    await crew.launch("old", *(crew.order(name) for name in names))
    await crew.until(
        lambda: sum(isinstance(r, SessionReport) and isinstance(r.event, Connected) for r in crew.reports) >= 12
    )
    await launch_on_call(crew, "new", *names)
    for name in names:
        before = len(crew.reports)
        out = await come_over(crew, name, old="old", new="new")
        assert out < 10
        moved = [r for r in crew.reports[before:] if isinstance(r, SessionReport) and r.session != name]
        assert not moved, "the others notice nothing"
    await crew.host.seal("new")
    await crew.host.stop("old", grace=1)

    # Sealed, it is a worker like any other.
    assert await crew.host.stop_session("new", names[0], 5.0)
    assert (await sim.status()).totals.get("replaced", 0) == replaced
    assert all(exited.asked for exited in crew.exits())


async def test_until_it_is_sealed_nobody_is_asked_to_leave(crew: Crew, sim: SimClient) -> None:
    await crew.pair(sim, {"a": fresh_number(), "b": fresh_number()})
    await launch_on_call(crew, "new", "a", "b")
    await crew.host.call("new", crew.order("a"))
    await crew.expect(Connected, "a")
    assert not await crew.host.stop_session("new", "a", 0.2), "a call may come, and the library must not be read then"
    await crew.host.seal("new")
    assert await crew.host.stop_session("new", "a", 5.0)


async def test_only_who_is_on_the_list_can_be_called(crew: Crew, tmp_path: Path) -> None:
    await launch_on_call(crew, "new", "a")
    with pytest.raises(WorkerError, match="not aboard"):
        await crew.host.call("new", crew.order("stranger"))
    with pytest.raises(WorkerError, match="not aboard"):
        await crew.host.call("nobody", crew.order("a"))
