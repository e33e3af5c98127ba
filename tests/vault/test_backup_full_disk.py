"""Backups on a disk that is really full, and under a limit on the size of files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from backed import ACCOUNT, RECORD, backups, change, count, credential, set_aside, unfinished
from pyrage import x25519

from wakit.core.declaration import VaultPolicy
from wakit.vault import backups as backups_module
from wakit.vault import snapshot
from wakit.vault.disk import NoSpaceError, file_sha256, free_space
from wakit.vault.manifest import Why

_DISK = 8 << 20
_ROWS = 1000  # 856 KB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "false", "-t", "tmpfs", "-o", f"size={_DISK},mode=0700", "tmpfs", place]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def leave(disk: Path, room: int) -> Path:
    """Fill a disk but for some room."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(free_space(disk) - room))
    return ballast


def test_it_is_not_begun_without_room_for_all_of_it(disk: Path) -> None:
    folder = credential(disk, rows=_ROWS)
    leave(disk, 1_500_000)
    with pytest.raises(NoSpaceError, match="There is no room") as caught:
        backups(folder).take(Why.SCHEDULE, RECORD)
    assert 0 < caught.value.missing < 2_000_000
    assert unfinished(folder) == []


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("room", [0, 4096, 300_000, 800_000, 1_000_000, 1_400_000, 1_700_000])
def test_a_disk_that_fills_up_meanwhile_loses_nothing(
    disk: Path, room: int, sealed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = credential(disk, rows=_ROWS)
    recipients = (str(x25519.Identity.generate().to_public()),) if sealed else ()
    kept = backups(folder, VaultPolicy(recipients=recipients))
    first = kept.take(Why.PAIRED, RECORD).backup
    change(folder)
    before = file_sha256(folder / "creds.db")
    ballast = leave(disk, room)
    monkeypatch.setattr(snapshot, "require_space", lambda *_: None)  # somebody else takes the room after the look
    with pytest.raises(NoSpaceError, match="are missing") as caught:
        kept.take(Why.SCHEDULE, RECORD)
    assert caught.value.missing > 0
    assert caught.value.retryable
    assert unfinished(folder) == []
    assert file_sha256(folder / "creds.db") == before
    assert kept.listed() == [first]
    assert kept.verify(first).good
    ballast.unlink()
    change(folder)
    assert kept.take(Why.SCHEDULE, RECORD).new, "work goes on when there is room again"


def test_what_cannot_be_put_back_leaves_the_place_empty(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = credential(disk, rows=_ROWS)
    kept = backups(folder)
    taken = kept.take(Why.PAIRED, RECORD).backup
    set_aside(folder)
    ballast = leave(disk, 500_000)
    with pytest.raises(NoSpaceError, match="are missing"):
        kept.put_back(taken, folder / "creds.db")
    monkeypatch.setattr(backups_module, "require_space", lambda *_: None)
    with pytest.raises(NoSpaceError, match="are missing"):
        kept.put_back(taken, folder / "creds.db")
    assert not list(folder.glob("creds.db*"))
    assert unfinished(folder) == []
    ballast.unlink()
    kept.put_back(taken, folder / "creds.db")
    assert count(folder / "creds.db") == _ROWS


def test_room_can_be_made_on_a_full_disk(disk: Path) -> None:
    folder = credential(disk, rows=_ROWS)
    kept = backups(folder, VaultPolicy(keep=1))
    for _ in range(2):
        change(folder)
        kept.take(Why.SCHEDULE, RECORD)
    leave(disk, 0)
    assert len(kept.prune().deleted) == 1
    assert kept.newest_good(ACCOUNT) is not None


_LIMITED = """
import json, resource, sys
from pathlib import Path
import backed
from wakit.errors import WakitError
from wakit.vault.manifest import Why
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    backed.backups(Path(sys.argv[1])).take(Why.SCHEDULE, backed.RECORD)
except WakitError as error:
    print(json.dumps([str(error), error.hint, error.retryable]))
"""


@pytest.mark.parametrize("limit", [0, 5_000, 40_000, 200_000, 800_000])
def test_a_limit_on_the_size_of_files_is_told(tmp_path: Path, limit: int) -> None:
    folder = credential(tmp_path, rows=_ROWS)
    first = backups(folder).take(Why.PAIRED, RECORD).backup
    change(folder)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    limited = subprocess.run(
        [sys.executable, "-c", _LIMITED, folder, str(limit)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    told, hint, retryable = json.loads(limited.stdout)
    assert told
    assert hint
    assert retryable
    assert unfinished(folder) == []
    assert backups(folder).listed() == [first]
    assert backups(folder).take(Why.SCHEDULE, RECORD).new
