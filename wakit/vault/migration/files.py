"""Reading what somebody else left on the disk: no link is followed, and nothing is read without a bound.

A Baileys folder names its files after people's numbers. So nothing here puts a file's name into an error; what an error
says of a path is what the user typed, scrubbed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wakit.errors import CredentialError
from wakit.redact import scrub

MOST_ENTRIES: Final = 300_000
_ONE_OF_ANY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TooLargeError(Exception):
    """A file, or a folder, has more in it than any that a tool of this kind writes."""


class NotPlainError(Exception):
    """What is there is a link, a device, a pipe or a folder."""


def shown(path: Path) -> str:
    """Say a path that a user typed; folders are often named after the number whose credential they hold."""
    return scrub(str(path))


def unreadable(path: Path, error: OSError) -> CredentialError:
    """Return the error for a source that the system would not give."""
    return CredentialError(
        f"{shown(path)} cannot be read",
        why=error.strerror or type(error).__name__,
        hint="check the path and its permissions",
    )


class Folder:
    """A folder that is read through its descriptor, so that it stays the same one while it is read.

    Args:
        path: The folder itself, no link to it.

    Raises:
        OSError: It cannot be opened.
        TooLargeError: It has more entries than a credential has.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.names: tuple[str, ...] = tuple(self._list())
        except BaseException:
            self.close()
            raise

    def _list(self) -> Iterator[str]:
        with os.scandir(self._descriptor) as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_ENTRIES:
                    raise TooLargeError
                yield entry.name

    def read(self, name: str, most: int) -> bytes:
        """Read a file of it; raises as :func:`read_file`."""
        return read_file(name, most, folder=self._descriptor)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Open a folder while the block lasts; raises as :class:`Folder`."""
    folder = Folder(path)
    try:
        yield folder
    finally:
        folder.close()


def read_file(path: Path | str, most: int, *, folder: int | None = None) -> bytes:
    """Read a plain file of at most ``most`` bytes.

    Args:
        path: The file, or its name in ``folder``.
        most: The bound.
        folder: An open folder's descriptor.

    Raises:
        OSError: It cannot be read.
        NotPlainError: It is no plain file.
        TooLargeError: It is larger.
    """
    with open_plain(path, folder=folder) as descriptor:
        if os.fstat(descriptor).st_size > most:
            raise TooLargeError
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(most + 1)
    if len(data) > most:  # it grew meanwhile
        raise TooLargeError
    return data


@contextmanager
def open_plain(path: Path | str, *, folder: int | None = None) -> Iterator[int]:
    """Give the descriptor of a plain file while the block lasts; raises as :func:`read_file`."""
    try:
        descriptor = os.open(path, _ONE_OF_ANY, dir_fd=folder)
    except OSError as error:
        if Path(path).is_symlink() if folder is None else _is_link(str(path), folder):
            raise NotPlainError from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotPlainError
        yield descriptor
    finally:
        os.close(descriptor)


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False
