"""One live client a credential, by a lock that dies with its holder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from wakit.errors import HeldError
from wakit.whatsapp.port import SessionStart
from wakit.worker.custody import take

HOLD = """
import sys
from wakit.whatsapp.port import SessionStart
from wakit.worker.custody import take
lock = take(SessionStart(name="a", directory=sys.argv[1], epoch=3))
print("held", flush=True)
sys.stdin.read()
"""


def order(folder) -> SessionStart:
    return SessionStart(name="a", directory=str(folder), epoch=4)


def test_the_holder_is_named_and_its_death_frees_the_lock(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HeldError, match=f"process {holder.pid} on"):
            take(order(tmp_path))
        holder.kill()
    lock = take(order(tmp_path))
    lock.release()


def test_the_owner_is_written_beside_the_lock(tmp_path):
    lock = take(order(tmp_path))
    owner = json.loads((tmp_path / "owner.json").read_text())
    assert owner["pid"] == os.getpid()
    assert owner["epoch"] == 4
    assert owner["boot_id"]
    assert owner["started"] > 0
    assert not any(os.get_inheritable(held._context.lock_file_fd) for held in lock._locks)
    for name in ("lock", "owner.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    lock.release()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["lock", "owner.json"]


def test_a_torn_owner_file_still_gives_an_answer(tmp_path):
    lock = take(order(tmp_path))
    (tmp_path / "owner.json").write_text("{")
    with pytest.raises(HeldError, match="another process"):
        take(order(tmp_path))
    lock.release()
