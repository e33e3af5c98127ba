"""Backups, cut off: by SIGKILL before each system call that changes the disk, SQLite's included, and by a full disk.

Whatever the moment: what is listed as good is good, the live credential is what it was, what was there before is still
offered, and the next step clears up and succeeds.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import killing
import pytest
from backed import ACCOUNT, backups, change, count, credential, set_aside, spoil, takes, unfinished
from pyrage import x25519

from wakit.errors import WakitError
from wakit.vault.disk import file_sha256

_ROWS = 180


def with_two_backups(folder: Path) -> None:
    takes(backups(folder), folder, 2)
    change(folder)
    (folder / "key.pub").write_text(str(x25519.Identity.generate().to_public()))
    leftover = folder / "backups" / ".new.00000000.tmp"
    leftover.mkdir()
    (leftover / "creds.db").write_bytes(b"half")


def with_one_like_it(folder: Path) -> None:
    takes(backups(folder), folder, 2)


def with_many(folder: Path) -> None:
    taken = takes(backups(folder), folder, 5)
    spoil(taken[1])
    spoil(taken[4])


def without_a_credential(folder: Path) -> None:
    takes(backups(folder), folder, 1)
    set_aside(folder)
    for old in folder.glob("old-*"):
        old.unlink()


@dataclass(frozen=True)
class Case:
    """What is there before, and how many backups are good at the end."""

    before: Callable[[Path], None]
    good: int


CASES = {
    "take": Case(with_two_backups, 3),
    "take the same": Case(with_one_like_it, 2),
    "take sealed": Case(with_two_backups, 3),
    "prune": Case(with_many, 1),
    "put back": Case(without_a_credential, 1),
}
by_case = pytest.mark.parametrize("operation", CASES)


@pytest.fixture
def template(tmp_path: Path, operation: str) -> Path:
    folder = credential(tmp_path / "template", rows=_ROWS)
    CASES[operation].before(folder)
    return folder


@pytest.mark.skipif(not killing.CALLS, reason="the numbers of this machine's system calls are not known")
@by_case
def test_it_may_be_killed_at_any_step(operation: str, template: Path, tmp_path: Path) -> None:
    command = [sys.executable, killing.__file__, operation, template, tmp_path / "killed"]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    traced = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    calls = json.loads(traced.stdout)
    points = sorted((tmp_path / "killed").iterdir(), key=lambda path: int(path.name))
    for point, call in zip(points, [*calls, "nothing"], strict=True):
        check(operation, point / "sales" / "shared", template, f"killed at {point.name} of {len(calls)}, before {call}")
    nothing_is_renamed_before_it_is_durable(calls)


_STEPS = ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir", "rmdir", "ftruncate")


@by_case
def test_the_disk_may_be_full_at_any_step(operation: str, template: Path, tmp_path: Path) -> None:
    for step in range(1, 100):
        folder = tmp_path / str(step) / "sales" / "shared"
        shutil.copytree(template, folder)
        told: WakitError | None = None
        with full_disk(step) as steps:
            try:
                killing.OPERATIONS[operation](folder)
            except WakitError as error:
                told = error
        check(operation, folder, template, f"full at step {step}")
        if steps[0] < step:
            assert told is None
            assert step > 3
            return
        assert told is None or (told.retryable and told.hint)
    pytest.fail("the operation has no end")


@contextmanager
def full_disk(fails_at: int) -> Iterator[list[int]]:
    """Let one step that changes the disk fail, and count them."""
    steps = [0]

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if name != "open" or args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                steps[0] += 1
                if steps[0] == fails_at:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in _STEPS:
            patch.setattr(os, name, wrapped(name, getattr(os, name)))
        yield steps


def good(folder: Path) -> set[str]:
    kept = backups(folder)
    return {backup.name for backup in kept.listed() if kept.verify(backup).good}


def check(operation: str, folder: Path, template: Path, where: str) -> None:
    """Look at what an interrupted operation left, and do it again."""
    kept = backups(folder)
    before = good(template)
    spoiled = {backup.name for backup in backups(template).listed()} - before
    listed = {backup.name for backup in kept.listed()}
    assert listed - spoiled == good(folder), f"{where}: half of one is listed"
    kept_for_sure = {max(before)} if operation == "prune" else before
    assert kept_for_sure <= good(folder), f"{where}: a good one is gone"
    database = folder / "creds.db"
    if operation == "put back":
        if database.exists():
            assert count(database) == _ROWS + 1, f"{where}: half of it was put back"
            database.unlink()
    else:
        assert file_sha256(database) == file_sha256(template / "creds.db"), f"{where}: the credential was changed"
    killing.OPERATIONS[operation](folder)
    assert unfinished(folder) == [], where
    assert len(good(folder)) == CASES[operation].good, where
    newest = kept.newest_good(ACCOUNT)
    assert newest is not None
    assert newest.name == max(good(folder)), where
    if operation == "put back":
        assert file_sha256(database) == file_sha256(newest.folder / "creds.db"), where


def nothing_is_renamed_before_it_is_durable(calls: list[list[str]]) -> None:
    """A kill leaves what was written to the system; a power cut does not, so the order of the calls is checked."""
    dirty: set[str] = set()
    for name, path in calls:
        if ".draft." in path or path.endswith(("-shm", "-wal", "/lock")):
            continue
        folder = str(Path(path).parent)
        if name in ("write", "pwrite64", "ftruncate"):
            dirty.add(path)
        elif name == "fsync":
            dirty.discard(path)
        elif name == "rename":
            assert not [entry for entry in dirty if entry == path or entry.startswith(f"{path}/")], (path, dirty)
            dirty.add(folder)
    assert not [entry for entry in dirty if ".gone." not in entry], dirty
