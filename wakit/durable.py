"""Writing so that a crash at any moment leaves the old or the new, never half of either.

Temporary name, fsync, rename, fsync of the folder: POSIX makes the rename atomic, and only the folder's fsync makes it
last.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes, *, like: os.stat_result | None = None) -> None:
    """Replace ``path`` by ``data``, durably and in one step.

    Args:
        path: The file; its folder exists.
        data: The whole content.
        like: Whose mode and owner the file gets; without it, it is this user's and 0600.

    Raises:
        OSError: As the system says; the old file is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if like is not None:
                os.fchmod(descriptor, like.st_mode & 0o7777)
                with suppress(PermissionError):  # only root may give files away
                    os.fchown(descriptor, like.st_uid, like.st_gid)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename a folder within one file system and make both parents remember it."""
    source.rename(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)
