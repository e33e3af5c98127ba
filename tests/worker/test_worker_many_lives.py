"""A worker that was launched and is gone leaves nothing in the daemon, whatever it costs while it lives.

The workers are the lightest there can be: they say hello and wait. So hundreds of lives take seconds, and
what grows is the host's. Real workers are crashed in ``tests/e2e/test_leaks.py``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import pytest

from wakit.whatsapp.port import WorkerExited, WorkerLaunch, WorkerReport
from wakit.worker.forking import ForkServer
from wakit.worker.host import WorkerHost
from wakit.worker.messages import PROTOCOL, Hello, encode
from wakit.worker.placement import LocalPlacer

_AT_ONCE = 4
_WARM = 8
_LIVES = 50
# Called as Python is: -P -m wakit.worker DESCRIPTOR PARENT.
_LIGHT = """\
#!{interpreter}
import sys
from wakit.worker import forkserver

def work(channel, _parent):
    channel.sendall({hello})
    while channel.recv(1 << 16):
        pass

forkserver.serve(int(sys.argv[4]), int(sys.argv[5]), work)
"""


@pytest.fixture
def light(tmp_path: Path) -> LocalPlacer:
    """Place workers that say hello and then only read: forked as all are, with no library in them."""
    script = tmp_path / "light"
    script.write_text(_LIGHT.format(interpreter=sys.executable, hello=encode(Hello(protocol=PROTOCOL, pid=1))))
    script.chmod(0o700)
    return LocalPlacer(ForkServer(interpreter=str(script)))


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_lives_of_workers_leave_nothing_behind(light: LocalPlacer) -> None:
    ended: list[WorkerReport] = []

    async def unpaced(_session: str) -> None:
        return

    host = WorkerHost(on_report=ended.append, permit=unpaced, on_log=lambda _source, _line: None, placer=light)

    async def live(times: int) -> tuple[int, int, int]:
        """Launch and kill so many times; return descriptors, tasks and objects afterwards."""
        for number in range(times):
            names = [f"w{number}-{each}" for each in range(_AT_ONCE)]
            await asyncio.gather(*(host.launch(WorkerLaunch(worker_id=name, sessions=())) for name in names))
            await asyncio.gather(*(host.kill(name, why="its life is over") for name in names))
        assert len(ended) == times * _AT_ONCE
        assert all(isinstance(each, WorkerExited) for each in ended)
        ended.clear()
        gc.collect()
        return _descriptors(), len(asyncio.all_tasks()), len(gc.get_objects())

    descriptors, tasks, objects = await live(_WARM)
    after = await live(_LIVES)
    assert after[:2] == (descriptors, tasks)
    assert after[2] - objects < _LIVES  # a quarter of an object a life
    assert not host.workers()
    await host.close()
