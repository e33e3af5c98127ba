"""Who else could read or replace what lies in a state directory: looked for everywhere below it, and mended.

A looser mode is mended, and said. What belongs to somebody else, or is a symbolic link, is refused where it would be
used (:mod:`wakit.vault.layout`, :mod:`wakit.vault.record`); here it is only found, for people.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
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
    for folder, _, files in os.walk(root):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            try:
                found = _exposure(path)
            except FileNotFoundError:  # a socket or a temporary file of a daemon at work
                continue
            if found is not None:
                yield found
        yield from _linked_folders(Path(folder))


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


def _linked_folders(folder: Path) -> Iterator[Exposure]:
    # os.walk names links to folders among the folders, and does not follow them.
    for entry in os.scandir(folder):
        if entry.is_symlink() and entry.is_dir():
            yield _link(Path(entry.path))


def _link(path: Path) -> Exposure:
    return Exposure(path, "link", f"{path} is a symbolic link")


def _exposure(path: Path) -> Exposure | None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return _link(path)
    if status.st_uid != os.geteuid():
        return Exposure(path, "owner", f"{path} belongs to user {status.st_uid}")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
        return Exposure(path, "special", f"{path} is no plain file")
    if stat.S_IMODE(status.st_mode) & 0o077:
        return Exposure(path, "mode", f"{path} was open to others (mode {stat.S_IMODE(status.st_mode):o})")
    return None
