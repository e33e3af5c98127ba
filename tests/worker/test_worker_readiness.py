"""Workers that were made ready beforehand: real processes that have loaded the library and wait for their orders."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest
from crew import PATIENCE, Crew, fresh_number

from wakit.core.declaration import Endpoint
from wakit.errors import EndpointError, WorkerError
from wakit.sim.client import SimClient
from wakit.whatsapp.port import Connected, WorkerExited, WorkerLaunch
from wakit.worker.forkserver import WORKER_NAME


def waiting() -> list[psutil.Process]:
    """The workers of this process, oldest first."""
    return sorted((child for child in psutil.Process().children() if child.name() == WORKER_NAME), key=lambda p: p.pid)


async def all_waiting(count: int) -> list[psutil.Process]:
    """The workers, once so many are there."""
    async with asyncio.timeout(PATIENCE):
        while len(found := waiting()) != count:  # noqa: ASYNC110 - processes of another process: nobody tells
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
async def ready(crew: Crew) -> Crew:
    """A crew whose host has two workers ready."""
    crew.placer.make_ready(2, crew.endpoint)
    await all_waiting(2)
    return crew


async def test_a_worker_that_was_ready_takes_the_order(ready: Crew, sim: SimClient) -> None:
    first, second = (process.pid for process in waiting())
    await ready.pair(sim, {"sales": fresh_number()})
    assert {report.pid for report in ready.reports if isinstance(report, WorkerExited)} == {first}
    assert await ready.launch("w2", ready.order("sales")) == second
    await ready.expect(Connected, "sales")
    third = await ready.launch("w3", ready.order("other"))
    assert third not in (first, second), "nobody was ready any more"


async def test_one_that_died_meanwhile_is_replaced(ready: Crew) -> None:
    first, second = waiting()
    first.kill()
    first.wait(10)
    assert await ready.launch("w1", ready.order("sales")) == second.pid
    assert await ready.launch("w2", ready.order("other")) not in (first.pid, second.pid)


async def test_those_that_nobody_needs_are_ended(ready: Crew) -> None:
    assert len(waiting()) == 2
    ready.host.dismiss()
    assert await all_waiting(0) == []


async def test_one_is_not_used_for_another_endpoint(ready: Crew) -> None:
    order = ready.order("sales")
    with pytest.raises(WorkerError, match="prepared for another endpoint"):
        await ready.host.launch(WorkerLaunch(worker_id="w1", sessions=(order,), endpoint=None))


async def test_an_endpoint_that_cannot_be_used_is_told_when_it_is_needed(crew: Crew, tmp_path: Path) -> None:
    far = Endpoint("http://192.0.2.1:80", str(tmp_path / "ca.pem"), "00" * 32)
    crew.placer.make_ready(1, far)
    with pytest.raises(EndpointError):
        await crew.host.launch(WorkerLaunch(worker_id="w1", sessions=(crew.order("sales"),), endpoint=far))


async def test_they_end_with_whoever_made_them_ready(crew: Crew) -> None:
    crew.placer.make_ready(1, crew.endpoint)
    (process,) = await all_waiting(1)
    placed = await crew.placer.place("w1")
    placed.writer.close()  # as the end of the host would
    await asyncio.wait_for(placed.exited(), 20)
    await placed.close()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
