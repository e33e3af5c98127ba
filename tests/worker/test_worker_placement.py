"""What a worker's process is given at its birth."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from wakit.worker.forking import ForkServer
from wakit.worker.placement import LocalPlacer

_TELLS = """\
#!{interpreter}
import os, sys
from wakit.worker import forkserver

def work(_channel, _parent):
    print(os.environ["GOMAXPROCS"], os.environ["GOTRACEBACK"], flush=True)

forkserver.serve(int(sys.argv[4]), int(sys.argv[5]), work)
"""


@pytest.mark.parametrize(
    ("own", "seen"), [({}, b"1 single\n"), ({"GOMAXPROCS": "4", "GOTRACEBACK": "all"}, b"4 all\n")]
)
async def test_go_gets_one_processor_and_tells_one_goroutine_unless_the_user_wants_more(
    tmp_path: Path, own: Mapping[str, str], seen: bytes
) -> None:
    script = tmp_path / "worker"
    script.write_text(_TELLS.format(interpreter=sys.executable))
    script.chmod(0o700)
    placer = LocalPlacer(ForkServer(environment=own, interpreter=str(script)))
    placed = await placer.place("w1")
    assert await placed.output.read() == seen
    await placed.exited()
    await placed.close()
    await placer.close()
