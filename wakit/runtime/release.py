"""What is installed now, read from the files that a new process would import; nothing is imported for it.

The numbers come from the installed distributions (a checkout's does not change with its files), the digest from the
files: wakit's own by their content, the library's by size and time of its binary, which has 50 MB.
"""

from __future__ import annotations

from hashlib import sha256
from importlib import metadata, util
from pathlib import Path

import wakit
from wakit.core.release import Release


def installed_release() -> Release:
    """Read what is installed. Takes some ten milliseconds."""
    digest = sha256()
    for path, content in _own_files():
        digest.update(path.encode() + b"\0" + content)
    for binary in _binaries():
        found = binary.stat()
        digest.update(f"{binary.name} {found.st_size} {found.st_mtime_ns}".encode())
    return Release(_version("wakit") or wakit.__version__, _version("neonize"), digest.hexdigest()[:16])


def _own_files() -> list[tuple[str, bytes]]:
    root = Path(wakit.__file__).parent
    found: list[tuple[str, bytes]] = []
    for path in sorted(root.rglob("*.py")):
        try:
            found.append((str(path.relative_to(root)), path.read_bytes()))
        except OSError:  # an installer is at work
            continue
    return found


def _binaries() -> list[Path]:
    try:
        spec = util.find_spec("neonize")
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    return sorted(path for path in Path(spec.origin).parent.glob("neonize-*") if path.is_file())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
