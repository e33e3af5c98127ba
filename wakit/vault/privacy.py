"""Who else could read or replace what lies in a state directory: looked for everywhere below it, and mended.

A looser mode is mended, and said. What belongs to somebody else, or is a symbolic link, is refused where it would be
used (:mod:`wakit.vault.layout`, :mod:`wakit.vault.record`); here it is only found, for people.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Exposure:
    """One place that is not private.

    Attributes:
        path: Where.
        kind: ``mode`` can be mended by wakit; ``owner``, ``link`` and ``special`` (a pipe, a device) by a person only.
        said: In words.
    """

    path: Path
    kind: Literal["mode", "owner", "link", "special"]
    said: str


def exposures(root: Path) -> Iterator[Exposure]:
    """Find what is not private below a state directory, itself included. Reads nothing, follows no link."""
    if root.is_symlink() or not root.is_dir():
        return
    found = _exposure(str(root), root.lstat())
    if found is not None:
        yield found
    folders = [str(root)]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # a socket or a temporary file of a daemon at work
                    continue
                found = _exposure(entry.path, status)
                if found is not None:
                    yield found
                if stat.S_ISDIR(status.st_mode):
                    folders.append(entry.path)


def mend(root: Path) -> list[str]:
    """Take everybody else's rights away below a state directory; return what was mended, in words.

    What cannot be mended is left: the part of wakit that would use it refuses it with the reason.
    """
    mended: list[str] = []
    for exposed in exposures(root):
        if exposed.kind != "mode":
            continue
        try:
            mode = stat.S_IMODE(exposed.path.lstat().st_mode)
            exposed.path.chmod(mode & 0o700)
        except OSError:
            continue
        mended.append(exposed.said)
    return mended


def _exposure(path: str, status: os.stat_result) -> Exposure | None:
    if stat.S_ISLNK(status.st_mode):
        return Exposure(Path(path), "link", f"{path} is a symbolic link")
    if status.st_uid != os.geteuid():
        return Exposure(Path(path), "owner", f"{path} belongs to user {status.st_uid}")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
        return Exposure(Path(path), "special", f"{path} is no plain file")
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        return Exposure(Path(path), "mode", f"{path} was open to others (mode {mode:o})")
    return None
