"""Two places between which credentials travel; sealing is another test's business."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credentials import Clock

from wakit.vault import Vault, bundle, giving, taking
from wakit.vault.layout import open_layout
from wakit.vault.taking import Taken


@dataclass
class Place:
    """A state directory and its vault."""

    vault: Vault

    @property
    def root(self) -> Path:
        return self.vault.layout.root

    def give(self, target: Path, *names: str, **options: Any) -> Path:
        giving.give(self.vault, names, target, lambda data: data, **options)
        return target

    def take(self, file: Path, *, dry_run: bool = False, **names: str) -> dict[str, Taken]:
        found = bundle.read(file.read_bytes())
        return {taken.name: taken for taken in taking.take(self.vault, found, names=names, dry_run=dry_run)}


def place(folder: Path) -> Place:
    return Place(Vault(open_layout(folder), "shared", Clock()))


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with its content; None is a folder."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}
