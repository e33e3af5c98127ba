"""Every operation, cut off before each step it does on the disk: by a lost process, and by a full disk.

Whatever the moment: the credential lies in exactly one place, a session that was linked does not look new, no start
counts lower than an earlier one, and the operation can be done again.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from credentials import NUMBER, Clock, pair, store

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.vault import Vault
from wakit.vault.layout import Layout, open_layout
from wakit.vault.record import Verdict

_STEPS = ("open", "fsync", "rename", "replace", "unlink", "mkdir", "chmod")
_UNLINKED = Verdict(State.LOGGED_OUT.value, "unlinked", datetime(2026, 1, 1, tzinfo=UTC))


class Lost(BaseException):
    """The process is gone: nothing after this reaches the disk, not even what it would clean up."""


@dataclass
class Disk:
    """Counts what changes the disk, and fails at one step.

    Attributes:
        fails_at: Which step fails, counted from 1.
        full: The disk refuses that step only, and the process lives on.
    """

    fails_at: int
    full: bool
    steps: int = 0
    real: dict[str, Any] = field(default_factory=lambda: {name: getattr(os, name) for name in _STEPS})

    def do(self, name: str, *args: Any, **options: Any) -> Any:
        reads = name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not reads:
            self.steps += 1
            if self.full and self.steps == self.fails_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if not self.full and self.steps >= self.fails_at:
                raise Lost
        return self.real[name](*args, **options)


@contextmanager
def failing(disk: Disk) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _STEPS:
            patch.setattr(os, name, lambda *args, _name=name, **options: disk.do(_name, *args, **options))
        yield


def linked(vault: Vault) -> None:
    pair(vault, "a")
    vault.prepare_restore("a")
    vault.prepare_restore("a")


def archived(vault: Vault) -> None:
    linked(vault)
    vault.retire("a", keep=False)


def unlinked(vault: Vault) -> None:
    linked(vault)
    vault.mark_unlinked("a", _UNLINKED)


def unlinked_and_archived(vault: Vault) -> None:
    unlinked(vault)
    vault.retire("a", keep=False)


def with_a_lost_note(vault: Vault) -> None:
    store(vault.prepare_pairing("a").directory / "creds.db", NUMBER)


def with_a_new_target(vault: Vault) -> None:
    linked(vault)
    store(vault.prepare_pairing("b").directory / "creds.db")


def archived_with_something_new_in_place(vault: Vault) -> None:
    archived(vault)
    vault.holdings.make("a")


@dataclass(frozen=True)
class Case:
    before: Callable[[Vault], None]
    operation: Callable[[Vault], object]
    after: tuple[Credential, Credential]


_ABSENT = Credential.ABSENT
CASES = {
    "pair again": Case(linked, lambda v: v.prepare_pairing("a"), (Credential.UNLINKED, _ABSENT)),
    "pair an unlinked one": Case(unlinked, lambda v: v.prepare_pairing("a"), (Credential.UNLINKED, _ABSENT)),
    "pair an archived one": Case(
        unlinked_and_archived, lambda v: v.prepare_pairing("a"), (Credential.UNLINKED, _ABSENT)
    ),
    "pair after a lost note": Case(with_a_lost_note, lambda v: v.prepare_pairing("a"), (Credential.UNLINKED, _ABSENT)),
    "adopt a lost note": Case(with_a_lost_note, lambda v: v.settle("a"), (Credential.PRESENT, _ABSENT)),
    "restore": Case(linked, lambda v: v.prepare_restore("a"), (Credential.PRESENT, _ABSENT)),
    "archive": Case(linked, lambda v: v.retire("a", keep=False), (Credential.ARCHIVED, _ABSENT)),
    "archive an unlinked one": Case(unlinked, lambda v: v.retire("a", keep=False), (Credential.UNLINKED, _ABSENT)),
    "keep": Case(linked, lambda v: v.retire("a", keep=True), (Credential.PRESENT, _ABSENT)),
    "revive": Case(archived, lambda v: v.revive("a"), (Credential.PRESENT, _ABSENT)),
    "revive over a cut-off pairing": Case(
        archived_with_something_new_in_place, lambda v: v.revive("a"), (Credential.PRESENT, _ABSENT)
    ),
    "rename": Case(linked, lambda v: v.rename("a", "b"), (_ABSENT, Credential.PRESENT)),
    "rename over a new one": Case(with_a_new_target, lambda v: v.rename("a", "b"), (_ABSENT, Credential.PRESENT)),
    "rename an archived one": Case(archived, lambda v: v.rename("a", "b"), (_ABSENT, Credential.PRESENT)),
    "rename an unlinked one": Case(unlinked_and_archived, lambda v: v.rename("a", "b"), (_ABSENT, Credential.UNLINKED)),
    "note an unlinking": Case(linked, lambda v: v.mark_unlinked("a", _UNLINKED), (Credential.UNLINKED, _ABSENT)),
}


# The long tests lose the process at every system call; here it is lost before each step as Python sees it.
@pytest.mark.parametrize("full", [pytest.param(False, marks=pytest.mark.long), True], ids=["lost process", "full disk"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_operation_may_end_at_any_step(case: Case, full: bool, tmp_path: Path) -> None:
    for step in range(1, 60):
        layout = open_layout(tmp_path / str(step))
        clock = Clock()
        vault = Vault(layout, "shared", clock)
        case.before(vault)
        epoch = highest_epoch(layout)
        disk = Disk(step, full)
        with failing(disk), suppress(Lost, OSError):
            case.operation(vault)
        again = Vault(layout, "shared", clock)  # the next daemon
        where = f"failed at step {step}"
        assert len(devices(layout)) == 1, where
        seen = found(again)
        assert seen.count(_ABSENT) == 1, f"{where}: it looks new, or is there twice: {seen}"
        if seen != case.after:
            case.operation(again)
        assert found(again) == case.after, where
        name = "b" if case.after[0] is _ABSENT else "a"
        assert again.prepare_pairing(name).epoch > epoch, where
        assert len(devices(layout)) == 1, where
        if disk.steps < step:
            assert step > 1, "the operation did nothing on the disk"
            return
    pytest.fail("the operation has no end")


def found(vault: Vault) -> tuple[Credential, Credential]:
    return vault.settle("a").credential, vault.settle("b").credential


def highest_epoch(layout: Layout) -> int:
    vault = Vault(layout, "shared", Clock())
    return max(vault.find(name).record.epoch for name in vault.names())


def devices(layout: Layout) -> list[Path]:
    """Every database below the state directory that holds a device."""
    return [path for path in layout.root.rglob("creds.db") if _rows(path)]


def _rows(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM whatsmeow_device").fetchone()[0])
