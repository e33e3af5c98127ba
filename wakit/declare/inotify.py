"""Waits until something happens in folders, without waking up in between: inotify(7), called in the C library.

Everything that waits for file events in Python does so by looking again and again (watchfiles sleeps 25 to 50 ms at a
time), which a daemon that idles for months pays for at every look. A descriptor of inotify can be waited on, and the
kernel's interface is two calls, so they are made here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

_MODIFY: Final = 0x002
_ATTRIB: Final = 0x004
_CLOSE_WRITE: Final = 0x008
_MOVED_FROM: Final = 0x040
_MOVED_TO: Final = 0x080
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_ONLY_FOLDERS: Final = 0x01000000
_ANY_CHANGE: Final = (
    _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)
_NON_BLOCKING: Final = os.O_NONBLOCK | os.O_CLOEXEC
_BUFFER: Final = 1 << 16
_MOST: Final = 0.1  # seconds for which events are gathered
_QUIET: Final = 0.025  # seconds without another event that end the gathering


class FolderEvents:
    """Events of folders, without those of what lies in their sub-folders.

    Args:
        folders: Which ones; the watch stands once this returns.

    Raises:
        OSError: inotify cannot be had, its limits are used up, or a folder cannot be watched.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with FolderEvents([folder]) as events:
        ...     _ = pathlib.Path(folder, "new.txt").write_text("x")
        ...     events.wait(10.0)
        True
    """

    def __init__(self, folders: Iterable[str]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "inotify_init1"):
            raise OSError(errno.ENOSYS, "this system has no inotify")
        self._lock = threading.Lock()  # between a wake and the close
        self._closed = False
        self._events = _checked(library.inotify_init1(_NON_BLOCKING))
        try:
            self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            os.close(self._events)
            raise
        self._poll = select.poll()
        self._poll.register(self._events, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        try:
            for folder in folders:
                _checked(library.inotify_add_watch(self._events, os.fsencode(folder), _ANY_CHANGE | _ONLY_FOLDERS))
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the watch."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._events)
                os.close(self._woken)

    def wake(self) -> None:
        """End every :meth:`wait`, now and from now on; may be called from any thread, also after the end."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._woken, 1)

    def wait(self, seconds: float) -> bool:
        """Wait for events, and until they pause; False if none came in time. Blocks."""
        if not self._come(seconds):
            return False
        until = time.monotonic() + _MOST
        while time.monotonic() < until and self._come(_QUIET):
            pass
        return True

    def _come(self, seconds: float) -> bool:
        """Wait for events and take them; False if none came in time, or somebody woke us."""
        ready = {descriptor for descriptor, _ in self._poll.poll(seconds * 1000)}
        if self._woken in ready or self._events not in ready:
            return False
        os.read(self._events, _BUFFER)  # what they were does not matter
        return True


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
