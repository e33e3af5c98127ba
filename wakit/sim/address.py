"""Where a sim's admin socket is, for the sim and for those who command it.

In the state directory, unless that makes the path longer than the kernel takes (107 bytes): then in a folder of the
system's temporary directory whose name follows from the user and the state directory, so that both sides find it.
"""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

SOCKET_PATH_MAX: Final = 107  # sun_path has 108 bytes, the last one is NUL


def admin_socket(state: Path) -> Path:
    """Return the path of the admin socket that belongs to a state directory.

    Example:
        >>> str(admin_socket(Path("/var/lib/sim")))
        '/var/lib/sim/admin.sock'
    """
    inside = state.absolute() / "admin.sock"
    if len(os.fsencode(inside)) <= SOCKET_PATH_MAX:
        return inside
    name = sha256(os.fsencode(inside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"wakit-sim-{os.geteuid()}-{name}" / "admin.sock"
