"""Standard streams as a shell may give them: missing, with a reader that has gone, on a full disk.

A process that is started without one (``>&-``) gives its number to the next file or socket it opens, and whatever is
printed goes there. So missing ones are put in place first: a stdout that refuses every write as a closed one does, a
stderr that takes everything, as nobody is left to be told, and a stdin that has ended.

Unbuffered ones (``PYTHONUNBUFFERED``, as in most containers) write once, take it for done, and lose the rest when a
reader goes or a disk fills up in the middle. So they get a buffer that is emptied with every line.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from contextlib import suppress
from typing import Final, TextIO

_STREAMS: Final = (
    ("stdin", "r", os.O_RDONLY),
    ("stdout", "w", os.O_RDONLY),  # so that a write fails with EBADF
    ("stderr", "w", os.O_WRONLY),
)
_WHY: Final = {
    errno.EBADF: "stdout is closed, or not open for writing",
    errno.ENOSPC: os.strerror(errno.ENOSPC),
    errno.EDQUOT: os.strerror(errno.EDQUOT),
    errno.EFBIG: os.strerror(errno.EFBIG),
    errno.EIO: os.strerror(errno.EIO),
}


def complete() -> None:
    """Put the standard streams in place that this process was started without, and buffers behind those without one."""
    for standard, (name, mode, flags) in enumerate(_STREAMS):
        if (stream := getattr(sys, name)) is not None:
            if stream is getattr(sys, f"__{name}__"):  # else a stand-in, which is somebody else's
                setattr(sys, name, _buffered(stream))
            continue
        # The lowest free number is taken: the stream's own, unless something was opened since the start.
        descriptor = os.open(os.devnull, flags)
        os.set_inheritable(descriptor, descriptor == standard)
        setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def _buffered(stream: TextIO) -> TextIO:
    raw = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase) or not raw.writable():
        return stream
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True)


def reader_has_gone(error: OSError) -> bool:
    """Return whether an error of a standard stream says that nobody reads it any more.

    A pipe without a reader says EPIPE. So does a socket, which some programs give their children instead of a pipe, but
    ECONNRESET first if its reader went without having read everything; where neither stdout nor stderr is a socket,
    that was said of a connection of ours.
    """
    if isinstance(error, ConnectionResetError):
        return _is_socket(sys.stdout) or _is_socket(sys.stderr)
    return isinstance(error, BrokenPipeError)


def _is_socket(stream: TextIO) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # closed, or a stand-in without a descriptor
        return False


def why_it_failed(error: OSError) -> str | None:
    """Say why stdout could not be written, or None if the error is another one."""
    return _WHY.get(error.errno or 0)


def settle(stream: TextIO) -> None:
    """Have a stream take what it was given, or lose it."""
    try:
        stream.flush()
    except (OSError, ValueError):  # or it was closed
        let_go(stream)


def let_go(stream: TextIO) -> None:
    """Lose what a stream could not be given, or Python would try, and complain, once more when it exits."""
    with suppress(OSError, ValueError):  # a stand-in without a descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
