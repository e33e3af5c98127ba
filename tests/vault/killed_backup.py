"""Operations on backups, in a process to be killed anywhere: see :mod:`support.killing`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import backed
import pyrage  # noqa: F401 (loading it later would count)
from credentials import Clock
from support.killing import main

from wakit.core.declaration import VaultPolicy
from wakit.vault.manifest import Why, versions


def later() -> Clock:
    return Clock(datetime(2026, 1, 2, tzinfo=UTC))


OPERATIONS: dict[str, Callable[[Path], object]] = {
    "take": lambda folder: backed.backups(folder, now=later()).take(Why.SCHEDULE, backed.RECORD),
    "take the same": lambda folder: backed.backups(folder, now=later()).take(Why.SCHEDULE, backed.RECORD),
    "take sealed": lambda folder: backed.backups(
        folder, VaultPolicy(recipients=((folder / "key.pub").read_text(),)), now=later()
    ).take(Why.SCHEDULE, backed.RECORD),
    "prune": lambda folder: backed.backups(folder, VaultPolicy(keep=1), now=later()).prune(),
    "put back": lambda folder: backed.backups(folder).put_back(
        backed.backups(folder).listed()[0], folder / "creds.db", account=backed.ACCOUNT
    ),
}

if __name__ == "__main__":
    versions()  # looked up once; later it would count
    main(OPERATIONS, inside="sales/shared")
