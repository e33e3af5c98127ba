"""What backups ask of a disk: room, and that nobody else has to wait for them.

One fsync of 50 MB delays every other fsync on the disk, and so every session of the fleet, by as long as the 50 MB
take; deleting them at once does the same on a disk that discards blocks. So both go in small steps. The figures are in
docs/design/backups.md.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from wakit.durable import sync_folder
from wakit.errors import WakitError

FREE_SPACE_FLOOR: Final = 64 << 20
_STEP: Final = 2 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class BackupError(WakitError):
    """A backup could not be written, or cannot be used; the credential itself is as it was."""

    retryable = True


class NoSpaceError(BackupError):
    """The disk has no room.

    Attributes:
        missing: How many bytes would have to be freed.
    """

    def __init__(self, folder: Path, *, needed: int, free: int) -> None:
        self.missing = max(0, needed - free)
        need, room, lack = (f"{size / 1e6:.1f} MB" for size in (needed, free, self.missing))
        super().__init__(
            f"There is no room in {folder}",
            why=f"{need} are needed and {room} are free: {lack} are missing",
            hint="free some space on that disk; it is tried again by itself",
        )


def free_space(folder: Path) -> int:
    """Return how many bytes this user may still write where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        NoSpaceError: It says how much is missing.
    """
    free = free_space(folder)
    if free < needed:
        raise NoSpaceError(folder, needed=needed, free=free)


def refused(folder: Path, needed: int, error: OSError) -> BackupError:
    """Return the error for a write that the system did not take."""
    if error.errno in _FULL:
        return NoSpaceError(folder, needed=needed, free=free_space(folder))
    return BackupError(
        f"Nothing can be written in {folder}",
        why=error.strerror or type(error).__name__,
        hint="mend the disk or the permissions; it is tried again by itself",
    )


def pieces(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece."""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_STEP):
            yield piece


def file_sha256(path: Path) -> str:
    """Hash a file.

    Raises:
        OSError: As the system says.
    """
    digest = hashlib.sha256()
    for piece in pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def write(path: Path, content: Iterable[bytes | memoryview], *, sha256: str) -> None:
    """Make or replace a file, durably and by one rename.

    Raises:
        BackupError: What was written has another hash than what was to be written.
        OSError: As the system says; nothing is left behind then.
    """
    digest = hashlib.sha256()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for piece in content:
                digest.update(piece)
                _write_all(file.fileno(), piece)
                os.fsync(descriptor)
        _must_be(sha256, digest.hexdigest(), path)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def in_pieces(data: bytes) -> Iterator[memoryview]:
    """Cut bytes into what one step writes."""
    view = memoryview(data)
    for start in range(0, len(view), _STEP):
        yield view[start : start + _STEP]


def remove(folder: Path) -> None:
    """Delete a folder and what is in it; large files shrink to nothing first.

    Raises:
        OSError: As the system says; a later call does the rest.
    """
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            remove(entry)
            continue
        with suppress(OSError):  # the unlinking matters, and says itself what is wrong
            _shrink(entry)
        entry.unlink(missing_ok=True)
    folder.rmdir()


def _write_all(descriptor: int, piece: bytes | memoryview) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def _must_be(expected: str, digest: str, path: Path) -> None:
    if digest != expected:
        raise BackupError(
            f"{path} is not what was to be written",
            why="its hash is another one",
            hint="it is tried again by itself; look at the disk and the memory if this comes again",
        )


def _shrink(path: Path) -> None:
    size = path.lstat().st_size
    if size <= _STEP:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for end in range(size - _STEP, 0, -_STEP):
            os.ftruncate(descriptor, end)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
