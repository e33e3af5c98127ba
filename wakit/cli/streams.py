"""Standard streams as a shell may give them: missing, with a reader that has gone, on a full disk.

A process that is started without one (``>&-``) gives its number to the next file or socket it opens, and whatever is
printed goes there. So missing ones are put in place first: a stdout that refuses every write as a closed one does, a
stderr that takes everything, as nobody is left to be told, and a stdin that has ended.
"""

from __future__ import annotations

import errno
import os
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
    """Put the standard streams in place that this process was started without."""
    for standard, (name, mode, flags) in enumerate(_STREAMS):
        if getattr(sys, name) is not None:
            continue
        # The lowest free number is taken: the stream's own, unless something was opened since the start.
        descriptor = os.open(os.devnull, flags)
        os.set_inheritable(descriptor, descriptor == standard)
        setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def why_it_failed(error: OSError) -> str | None:
    """Say why stdout could not be written, or None if the error is another one."""
    return _WHY.get(error.errno or 0)


def let_go(stream: TextIO) -> None:
    """Lose what a stream could not be given, or Python would try, and complain, once more when it exits."""
    with suppress(OSError, ValueError):  # a stand-in without a descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
