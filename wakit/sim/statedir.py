"""The sim's folder on disk: who may use it, and how files get into it whole.

``ca.pem ca.key leaf.pem leaf.key`` are the TLS side, ``noise.key`` is the root of Noise, ``port`` the last port,
``accounts/`` the virtual phones, ``admin.sock`` the admin interface and ``sim.lock`` its one owner. The folder is 0700,
files are 0600. A file is replaced by a temporary one that was synced first, so a kill never leaves half of one.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from wakit.durable import write_file
from wakit.errors import HeldError, StateDirectoryError
from wakit.sim.address import admin_socket


class SimDirectory:
    """The state directory of one sim, locked while it is open.

    Args:
        path: The folder; made if it is missing.

    Raises:
        StateDirectoryError: The folder belongs to somebody else, is a symbolic link, or cannot be written.
        HeldError: Another sim runs on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_unsafe(self.path)
            self.path.chmod(0o700)
            self._lock = os.open(self.path / "sim.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateDirectoryError(
                "The loopback WhatsApp cannot use its state directory",
                why=error.strerror or str(error),
                hint="name a folder of yours with --state",
            ) from error
        self._hold()

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise HeldError(
                "A loopback WhatsApp already runs on this state directory",
                why=f"process {holder or '?'} holds it",
                hint="use that one, stop it, or name another folder with --state",
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def admin_socket(self) -> Path:
        """Where the admin interface listens; a folder for it outside the state directory is made and checked."""
        socket = admin_socket(self.path)
        if socket.parent != self.path:
            socket.parent.mkdir(mode=0o700, exist_ok=True)
            _refuse_unsafe(socket.parent)
        return socket

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or None if there is no such file."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return the finished files of a sub-folder, sorted, as names that :meth:`read` takes."""
        return sorted(f"{folder}/{file.name}" for file in (self.path / folder).glob("*.json"))

    def write(self, name: str, data: bytes) -> None:
        """Replace a file, durably: temporary file, sync, rename, sync of the folder."""
        target = self.path / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        write_file(target, data)

    def close(self) -> None:
        """Let the folder go; the lock file stays, because deleting it would race with the next owner."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refuse_unsafe(folder: Path) -> None:
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise StateDirectoryError(
            "The loopback WhatsApp will not use this folder",
            why=f"{folder} is a symbolic link, or belongs to another user",
            hint="name a folder of yours with --state",
        )
