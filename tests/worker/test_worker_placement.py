"""What a worker's process is given when it is spawned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from wakit.worker.placement import LocalPlacer


@pytest.mark.parametrize(
    ("own", "seen"), [({}, b"1 single\n"), ({"GOMAXPROCS": "4", "GOTRACEBACK": "all"}, b"4 all\n")]
)
async def test_go_gets_one_processor_and_tells_one_goroutine_unless_the_user_wants_more(
    tmp_path: Path, own: Mapping[str, str], seen: bytes
) -> None:
    script = tmp_path / "worker"
    script.write_text('#!/bin/sh\necho "$GOMAXPROCS $GOTRACEBACK"\n')
    script.chmod(0o700)
    placed = await LocalPlacer(environment=own, interpreter=str(script)).place("w1")
    assert await placed.output.read() == seen
    assert await placed.exited() == 0
    await placed.close()
