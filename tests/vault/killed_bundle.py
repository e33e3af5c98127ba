"""Export and import, in a process to be killed anywhere: see :mod:`support.killing`. The folder holds both places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyrage  # noqa: F401 (loading it later would count)
from places import place
from support.killing import main

from wakit.vault.manifest import versions

NAMES = ("desk", "sales")


def give(folder: Path) -> None:
    place(folder / "here").give(folder / "moved.age", *NAMES)


def take(folder: Path) -> None:
    place(folder / "there").take(folder / "moved.age")


def take_back(folder: Path) -> None:
    place(folder / "here").take(folder / "moved.age")


OPERATIONS: dict[str, Callable[[Path], object]] = {each.__name__: each for each in (give, take, take_back)}

if __name__ == "__main__":
    versions()  # looked up once; later it would count
    main(OPERATIONS)
