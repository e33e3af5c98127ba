"""When a file was made: the one time that neither ``touch`` nor ``cp -a`` can set.

Python's ``os.stat`` does not tell it on Linux, so statx(2) is asked through the C library.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache
from pathlib import Path
from typing import Any, Final

_AT_FDCWD: Final = -100  # linux/fcntl.h
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800  # linux/stat.h, like the layout: the mask comes first, stx_btime at byte 80
_SIZE: Final = 256
_BTIME: Final = 80


@cache
def _statx() -> Any:
    return getattr(ctypes.CDLL(None), "statx", None)


def born(path: Path) -> int:
    """Return when a file was made, in nanoseconds since 1970; 0 where the system or the file system does not know.

    Example:
        >>> born(Path("/nonexistent"))
        0
    """
    statx = _statx()
    if statx is None:
        return 0
    found = ctypes.create_string_buffer(_SIZE)
    if statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, found) != 0:
        return 0
    (mask,) = struct.unpack_from("=I", found)
    seconds, nanoseconds = struct.unpack_from("=qI", found, _BTIME)
    return int(seconds) * 10**9 + int(nanoseconds) if mask & _STATX_BTIME else 0
