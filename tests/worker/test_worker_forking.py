"""The fork server: real processes, forked, lost and found again."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import selectors
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from crew import PATIENCE, Crew, fresh_number

from wakit.errors import WorkerError
from wakit.sim.client import SimClient
from wakit.whatsapp.port import Connected
from wakit.worker import children, forking
from wakit.worker.children import Child
from wakit.worker.forking import ForkServer, started_ahead
from wakit.worker.forkserver import NAME, WORKER_NAME
from wakit.worker.placement import LocalPlacer

_PR_GET_CHILD_SUBREAPER = 37  # linux/prctl.h


def adopts_orphans() -> bool:
    answer = ctypes.c_int(-1)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def libraries(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text("utf-8")


@pytest.fixture
async def server() -> AsyncIterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
async def placer(server: ForkServer) -> AsyncIterator[LocalPlacer]:
    placer = LocalPlacer(server)
    yield placer
    await placer.close()


async def ended(child: Child) -> int:
    child.kill()
    return await asyncio.wait_for(child.exited(), PATIENCE)


async def forked(server: ForkServer) -> Child:
    newborn = server.fork()
    child = await newborn.child()
    newborn.channel.close()
    return child


async def test_a_worker_is_a_child_of_the_host_and_the_leader_of_its_session(server: ForkServer) -> None:
    newborn = server.fork()
    child = await newborn.child()
    process = psutil.Process(child.pid)
    assert process.ppid() == psutil.Process().pid
    assert process.name() == WORKER_NAME
    assert server.pid is not None
    assert psutil.Process(server.pid).name() == NAME
    assert os.getsid(child.pid) == child.pid
    newborn.end()
    assert await asyncio.wait_for(child.exited(), PATIENCE) == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid), "it is reaped"


async def test_one_that_somebody_else_has_reaped_counts_as_killed(server: ForkServer) -> None:
    child = await forked(server)
    os.kill(child.pid, signal.SIGTERM)
    os.waitpid(child.pid, 0)  # noqa: ASYNC222 - it is dying
    assert await asyncio.wait_for(child.exited(), PATIENCE) == -signal.SIGKILL


async def test_orphans_are_adopted_only_while_a_worker_is_awaited(server: ForkServer) -> None:
    assert not adopts_orphans()
    newborn = server.fork()
    assert adopts_orphans()
    child = await newborn.child()
    assert not adopts_orphans()
    newborn.end()
    await ended(child)


async def test_the_server_has_one_thread_and_never_the_go_library(crew: Crew, sim: SimClient) -> None:
    await crew.pair(sim, {"sales": fresh_number()})
    worker = await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected, "sales")
    (server,) = [child for child in psutil.Process().children() if child.name() == NAME]
    assert server.num_threads() == 1
    assert "neonize" in libraries(worker)
    assert "neonize" not in libraries(server.pid)


async def test_the_end_of_the_server_is_felt_by_no_worker(crew: Crew, sim: SimClient) -> None:
    await crew.pair(sim, {"sales": fresh_number(), "support": fresh_number()})
    worker = await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected, "sales")
    (server,) = [child for child in psutil.Process().children() if child.name() == NAME]
    server.kill()
    assert await crew.launch("w2", crew.order("support")) != worker
    await crew.expect(Connected, "support")
    assert crew.exits()[1:] == [], "only the one that paired has ended"
    assert psutil.Process(worker).is_running()


async def test_after_an_upgrade_workers_are_of_what_is_installed_then(server: ForkServer, placer: LocalPlacer) -> None:
    before = await placer.place("w1")
    old = server.pid
    placer.renew()
    after = await placer.place("w2")
    assert server.pid not in {old, None}
    for placed in (before, after):
        placed.kill()
        assert await placed.exited() == -signal.SIGKILL, "the one before was not touched"
        await placed.close()


def zombies() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


async def test_workers_that_were_forked_and_not_heard_of_are_reaped_when_the_server_ends(server: ForkServer) -> None:
    await ended(await forked(server))  # it has loaded its modules
    newborns = [server.fork() for _ in range(3)]
    assert server.pid is not None
    with selectors.DefaultSelector() as answers:
        answers.register(server._channel, selectors.EVENT_READ)  # type: ignore[arg-type]
        assert answers.select(PATIENCE), "an answer has come; this loop does not turn, so nobody has read it"
    server.close()
    for newborn in newborns:
        with contextlib.suppress(WorkerError):
            await ended(await newborn.child())
        newborn.end()
    await ended(await forked(server))
    assert zombies() == []
    assert not adopts_orphans()


async def test_births_that_a_kill_cut_off_leave_no_zombie(server: ForkServer) -> None:
    for _ in range(5):
        await ended(await forked(server))
        newborns = [server.fork() for _ in range(4)]
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        for newborn in newborns:
            with contextlib.suppress(WorkerError):
                await ended(await newborn.child())
            newborn.end()
    await ended(await forked(server))
    async with asyncio.timeout(PATIENCE):
        while zombies():  # who was born without being heard of ends by itself, and is reaped with the next birth
            await ended(await forked(server))


async def test_a_worker_for_which_there_is_no_descriptor_is_ended_and_told(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_pid: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(children.os, "pidfd_open", refused)
    newborn = server.fork()
    with pytest.raises(WorkerError, match="Too many open files"):
        await newborn.child()
    monkeypatch.undo()
    assert [child for child in psutil.Process().children() if child.name() == WORKER_NAME] == []
    assert not adopts_orphans()
    newborn.end()
    await ended(await forked(server))


def test_it_can_be_closed_after_the_loop_that_heard_it() -> None:
    async def one() -> None:
        await ended(await forked(server))

    with started_ahead() as server:
        asyncio.run(one())
        process = psutil.Process(server.pid)
    assert not process.is_running()


async def test_who_is_placed_when_all_is_closed_starts_no_server(server: ForkServer, placer: LocalPlacer) -> None:
    server.start()
    assert server.pid is not None
    psutil.Process(server.pid).suspend()
    placing = asyncio.create_task(placer.place("w1"))
    await asyncio.sleep(0)
    await placer.close()
    with pytest.raises(WorkerError, match="ended with code -9"):
        await placing
    assert server.pid is None


async def test_one_whose_starter_ignores_the_ends_of_children_waits_for_its_own() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = ForkServer()
    try:
        server.start()
    finally:
        signal.signal(signal.SIGCHLD, before)
    await ended(await forked(server))
    server.close()


async def test_whoever_waited_when_the_server_ended_is_told(server: ForkServer) -> None:
    server.start()
    assert server.pid is not None
    psutil.Process(server.pid).suspend()
    newborn = server.fork()
    psutil.Process(server.pid).kill()
    with pytest.raises(WorkerError, match="the server that forks workers ended with code -9"):
        await newborn.child()
    newborn.end()
    await ended(await forked(server))


async def test_a_server_that_hangs_is_replaced(
    server: ForkServer, placer: LocalPlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    assert server.pid is not None
    psutil.Process(server.pid).suspend()
    monkeypatch.setattr(forking, "_BORN_WITHIN", 0.01)
    with pytest.raises(WorkerError, match="does not answer"):
        await placer.place("w1")
    monkeypatch.undo()
    placed = await placer.place("w1")
    placed.kill()
    assert await placed.exited() == -signal.SIGKILL
    await placed.close()


async def test_what_a_server_that_cannot_start_said_last_is_told(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\nraise SystemExit('no module named +34600000001')\n")
    script.chmod(0o700)
    placer = LocalPlacer(ForkServer(interpreter=str(script)))
    with pytest.raises(WorkerError) as caught:
        await placer.place("w1")
    assert "ended with code 1: no module named" in str(caught.value)
    assert "600000001" not in str(caught.value)
    await placer.close()


async def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path) -> None:
    placer = LocalPlacer(ForkServer(interpreter=str(tmp_path / "python")))
    with pytest.raises(WorkerError, match="No such file"):
        await placer.place("w1")
    await placer.close()


async def test_a_server_without_a_place_for_a_process_says_so(server: ForkServer) -> None:
    await ended(await forked(server))
    assert server.pid is not None
    psutil.Process(server.pid).rlimit(psutil.RLIMIT_NOFILE, (3, 3))  # not one descriptor more
    newborn = server.fork()
    with pytest.raises(WorkerError):
        await newborn.child()
    newborn.end()


def test_one_that_was_started_ahead_ends_with_its_block() -> None:
    with started_ahead() as server:
        assert server.pid is not None
        process = psutil.Process(server.pid)
    assert not process.is_running()
    assert server.pid is None
