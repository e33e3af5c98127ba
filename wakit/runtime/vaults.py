"""The vault of a place, for commands that move credentials beside a daemon or without one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from wakit.core.declaration import FleetSpec
from wakit.declare import load
from wakit.runtime.place import Place
from wakit.vault import Vault
from wakit.vault.layout import open_layout


def open_vault(place: Place) -> Vault:
    """Open the vault of a place; makes its state directory if there is none.

    Raises:
        DeclarationError: The file is no declaration.
        StateDirectoryError: The state directory cannot be used safely.
    """
    return _open(place.state_dir, load(place.config).fleet)


@contextmanager
def looked_at(place: Place) -> Iterator[Vault]:
    """Open the vault of a place to look at; where there is none yet, an empty one that is thrown away."""
    fleet = load(place.config).fleet
    if place.state_dir.exists():
        yield _open(place.state_dir, fleet)
        return
    parent = place.state_dir.parent
    with tempfile.TemporaryDirectory(prefix=".wakit-", dir=parent if parent.is_dir() else None) as folder:
        yield _open(Path(folder, "state"), fleet)


def _open(state_dir: Path, fleet: FleetSpec) -> Vault:
    return Vault(open_layout(state_dir), fleet.strategy, lambda: datetime.now(UTC), policy=lambda: fleet.vault)
