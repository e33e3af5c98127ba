"""Kills a process at every call by which it changes the disk: found by strace, not by hand.

``strace`` counts each kind of system call by itself, so a point is a kind and an ordinal. It is Debian's package
``strace``; where it is missing, tests that need it are skipped, and fail in CI.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

CHANGES = (
    "write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
    "rmdir,chmod,fchmod,fchmodat"
)
_CALL = re.compile(r"^(?:\d+ +)?([a-z0-9_]+)\(")


def strace() -> str:
    """The tool's path; a test without it is skipped, and fails in CI."""
    found = shutil.which("strace")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("strace is missing, and CI must not skip this test")
        pytest.skip("needs strace (Debian's package of that name)")
    return found


def _run(command: Sequence[str], *options: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [strace(), "-f", "-qq", *options, sys.executable, *command], env=environment, check=False, capture_output=True
    )


def points(command: Sequence[str], log: Path) -> list[tuple[str, int]]:
    """Run a Python command to its end; return every call by which it changed the disk."""
    done = _run(command, "-e", f"trace={CHANGES}", "-o", str(log))
    assert done.returncode == 0, done.stderr.decode()
    counted: Counter[str] = Counter()
    found: list[tuple[str, int]] = []
    for line in log.read_text(errors="replace").splitlines():
        if (call := _CALL.match(line)) is not None:
            counted[call[1]] += 1
            found.append((call[1], counted[call[1]]))
    return found


def kill_at(command: Sequence[str], call: str, ordinal: int) -> None:
    """Run the command again and kill it when it is about to make that call."""
    done = _run(command, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={ordinal}", "-o", os.devnull)
    assert done.returncode in (-9, 137), f"it was not killed at {call} {ordinal}: {done.stderr.decode()}"
