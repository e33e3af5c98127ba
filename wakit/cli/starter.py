"""``init``: a commented sessions.toml to start from."""

from __future__ import annotations

import sys
from pathlib import Path

from wakit.declare.starter import write_starter


def write(path: Path) -> None:
    """Write the file, unless there is one.

    Raises:
        DeclarationErrors: There is something of that name, or it cannot be written.
    """
    target = write_starter(path)
    sys.stdout.write(f"Wrote {target}. Edit it, then `wakit plan`, then `wakit up`.\n")
