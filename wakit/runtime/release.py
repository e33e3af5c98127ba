"""What is installed now, read from the files that a new process would import; nothing is imported for it.

The numbers come from the installed distributions (a checkout's does not change with its files), the digest from the
files: wakit's own by their content, the library's by size and time of its binary, which has 50 MB.

It is asked for every quarter of a minute, for months. So the contents are read again only if what ``stat`` says of the
files, or of the folders that the distributions lie in, is not what it was.
"""

from __future__ import annotations

import os
from hashlib import sha256
from importlib import metadata, util
from pathlib import Path
from typing import TypeAlias

import wakit
from wakit.core.release import Release

_Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]


class Installed:
    """Looks at what is installed, again and again.

    Example:
        >>> installed = Installed()
        >>> installed.look() == installed.look()
        True
    """

    def __init__(self) -> None:
        self._seen: tuple[_Signature, Release] | None = None

    def look(self) -> Release:
        """Return what is installed now. Takes some ten milliseconds if anything was touched, else about one."""
        signature = _signature()
        if self._seen is None or self._seen[0] != signature:
            self._seen = signature, installed_release()
        return self._seen[1]


def installed_release() -> Release:
    """Read what is installed. Takes some ten milliseconds."""
    digest = sha256()
    for path, content in _own_files():
        digest.update(path.encode() + b"\0" + content)
    for binary in _binaries():
        found = binary.stat()
        digest.update(f"{binary.name} {found.st_size} {found.st_mtime_ns}".encode())
    return Release(_version("wakit") or wakit.__version__, _version("neonize"), digest.hexdigest()[:16])


def _signature() -> _Signature:
    """Sum up, without opening a file, what a change of the installation touches."""
    root = Path(wakit.__file__).parent
    library = _library()
    found = [*_sources(str(root)), str(root.parent), *map(str, _binaries())]
    if library is not None:
        found += [str(library), str(library.parent)]
    return tuple(each for path in found if (each := _status(path)) is not None)


def _sources(folder: str) -> list[str]:
    found: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    found.append(entry.path)
                elif entry.name != "__pycache__" and entry.is_dir():
                    found += _sources(entry.path)
    except OSError:  # an installer is at work
        return found
    return sorted(found)


def _status(path: str) -> tuple[str, int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a hundred times a look
    except OSError:
        return None
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def _own_files() -> list[tuple[str, bytes]]:
    root = Path(wakit.__file__).parent
    found: list[tuple[str, bytes]] = []
    for path in map(Path, _sources(str(root))):
        try:
            found.append((str(path.relative_to(root)), path.read_bytes()))
        except OSError:  # an installer is at work
            continue
    return found


def _library() -> Path | None:
    try:
        spec = util.find_spec("neonize")
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _binaries() -> list[Path]:
    library = _library()
    return [] if library is None else sorted(path for path in library.glob("neonize-*") if path.is_file())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
