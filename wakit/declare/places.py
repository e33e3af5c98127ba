"""Which folders and which git files must be looked at to notice that a declaration, or its commit, changed.

Editors save by writing a new file and renaming it into place, so a watch on the file itself would follow the old one
into the grave: the *folder* is watched. Where the way to the file leads over symlinks (a deployed ``current ->
releases/7``, a mounted ConfigMap), each folder that holds a link of the chain counts too. Watches are hints only; what
changed is found by reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

FileSignature: TypeAlias = tuple[int, int, int] | None
FolderIdentity: TypeAlias = tuple[str, int, int]

_MOST_LINKS: Final = 40  # as the kernel's own limit


def folders_of(path: Path) -> frozenset[FolderIdentity]:
    """Return the folders that lead to a file, each with device and inode, so that a replaced folder is noticed.

    Of a folder that does not exist the nearest one above stands in.
    """
    return frozenset(_identities(_link_folders(path, set()) | {_real(path).parent}))


def folders_of_git(git_dir: Path) -> frozenset[FolderIdentity]:
    """Return the git directory; git locks HEAD and the index there whenever a commit or a checkout moves them."""
    return frozenset(_identities({git_dir}))


def git_marks(path: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Sum up, without running git, what decides to which repository a file belongs: each ``.git`` above it.

    Of a folder of that name only which one it is; of a file (a linked worktree has one) also its time.
    """
    found: list[tuple[str, int, int, int]] = []
    for folder in _real(path).parents:
        mark = folder / ".git"
        with suppress(OSError):
            status = mark.stat()
            found.append((str(mark), status.st_dev, status.st_ino, 0 if mark.is_dir() else status.st_mtime_ns))
    return tuple(found)


def git_signature(git_dir: Path, common_dir: Path) -> tuple[FileSignature, ...]:
    """Sum up, without running git, what a commit, checkout or ``git add`` changes."""
    try:
        head = (git_dir / "HEAD").read_text("utf-8", "surrogateescape").strip()
    except OSError:
        head = ""
    # HEAD of a branch names a file that may live on its own, among the packed ones, or in a reftable.
    reference = head.removeprefix("ref: ") if head.startswith("ref: ") and "\0" not in head else "HEAD"
    return tuple(
        _signature(file)
        for file in (
            git_dir / "HEAD",
            git_dir / "index",
            git_dir / "logs" / "HEAD",
            common_dir / reference,
            common_dir / "packed-refs",
            common_dir / "reftable" / "tables.list",
        )
    )


def _signature(file: Path) -> FileSignature:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _link_folders(path: Path, seen: set[Path]) -> set[Path]:
    folders: set[Path] = set()
    for prefix in (path, *path.parents):
        if prefix in seen or len(seen) == _MOST_LINKS or not _is_link(prefix):
            continue
        seen.add(prefix)
        folders.add(_real(prefix.parent))
        with suppress(OSError):  # gone since
            folders |= _link_folders(prefix.parent / prefix.readlink(), seen)
    return folders


def _is_link(path: Path) -> bool:
    # Unlike Path.is_symlink of Python 3.11, which raises where a folder above may not be searched.
    return os.path.islink(path)  # noqa: PTH114


def _real(path: Path) -> Path:
    # realpath, unlike Path.resolve, does not raise over a loop of links.
    return Path(os.path.realpath(path))


def _identities(folders: set[Path]) -> Iterator[FolderIdentity]:
    for folder in folders:
        for present in (folder, *folder.parents):
            with suppress(OSError):
                status = present.stat()
                yield str(present), status.st_dev, status.st_ino
                break
