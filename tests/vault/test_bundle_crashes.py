"""Export and import, cut off before each step they do on the disk: by a lost process, and by a full disk.

Whatever the moment: each session is as before or as after, a credential that was given away is in a whole bundle, none
is in two places at once, and the command can be given again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import killed_bundle
import pytest
from credentials import NUMBER, pair
from filelock import FileLock
from places import Place, place
from support.killing import CALLS, kill_everywhere
from test_vault_crashes import Disk, Lost, failing

from wakit.core.observation import Credential
from wakit.errors import CredentialError, GivenAwayError, WakitError
from wakit.vault import Vault, bundle, taking
from wakit.vault.folder import DATABASE
from wakit.vault.holdings import Holdings
from wakit.vault.taking import Outcome

OTHER = "34600000002"
NAMES = ("desk", "sales")
# The last test here loses the process at every system call; the others lose it before each step as Python sees it.
fullness = pytest.mark.parametrize(
    "full", [pytest.param(False, marks=pytest.mark.long), True], ids=["lost process", "full disk"]
)


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as steps and may fail; that they last is not what is tried here, and takes its time."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)


def copy(where: Place, folder: Path) -> Place:
    """The same place once more, to be broken."""
    shutil.copytree(where.root, folder)
    return place(folder)


def both(where: Place) -> Place:
    for name, number in zip(NAMES, (OTHER, NUMBER), strict=True):
        pair(where.vault, name, number)
        where.vault.prepare_restore(name)
    return where


def next_command(where: Place) -> Place:
    return Place(Vault(where.vault.layout, "shared", where.vault.now))


def kinds(where: Place) -> list[Credential]:
    return [where.vault.settle(name).credential for name in NAMES]


@fullness
def test_an_export_may_end_at_any_step(full: bool, tmp_path: Path) -> None:
    made = both(place(tmp_path / "a"))
    for step in range(1, 80):
        a = copy(made, tmp_path / str(step))
        file = tmp_path / f"{step}.age"
        disk = Disk(step, full)
        with failing(disk), suppress(Lost, WakitError):  # what the disk refuses is told in our words
            a.give(file, *NAMES)
        again, found = next_command(a), f"failed at step {step}"
        whole = bundle.read(file.read_bytes()).manifest if file.exists() else None
        for name in NAMES:
            assert (again.vault.folder(name) / DATABASE).exists(), found
            finding = again.vault.settle(name)
            if finding.credential is Credential.GIVEN_AWAY:
                assert whole is not None, f"{found}: it was given up for nothing"
                assert finding.record.given_to == whole.bundle, found
                with pytest.raises(GivenAwayError):
                    again.vault.prepare_restore(name)
            else:
                assert finding.credential is Credential.PRESENT, found
                assert again.vault.prepare_restore(name).epoch == 3, found
        left = [name for name in NAMES if again.vault.find(name).credential is Credential.PRESENT]
        if left:
            again.give(tmp_path / f"{step}-again.age", *left)
            assert not (again.root / "transfer").exists(), found
        assert kinds(again) == [Credential.GIVEN_AWAY] * 2, found
        if disk.steps < step:
            assert whole is not None
            assert not left
            return
    pytest.fail("the export has no end")


def empty(where: Place, file: Path) -> None:
    """Nothing is there yet."""


def with_a_cut_off_pairing(where: Place, file: Path) -> None:
    for name in NAMES:
        where.vault.prepare_pairing(name)


def with_parked_names(where: Place, file: Path) -> None:
    for name in NAMES:
        where.vault.update(name, parked=True)


def after_a_first_half(where: Place, file: Path) -> None:
    """An import that was cut off after the first session."""
    placed: list[str] = []
    move_in = taking.move_in

    def once(holdings: Holdings, folder: Path, name: str, refused: str, **options: Any) -> Path:
        if placed:
            raise Lost
        placed.append(name)
        return move_in(holdings, folder, name, refused, **options)

    with pytest.MonkeyPatch.context() as patch, suppress(Lost):
        patch.setattr(taking, "move_in", once)
        where.take(file)
    assert placed == ["desk"]


BEFORE = {f.__name__: f for f in (empty, with_a_cut_off_pairing, with_parked_names, after_a_first_half)}


@fullness
@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_an_import_may_end_at_any_step(before: Callable[[Place, Path], None], full: bool, tmp_path: Path) -> None:
    file = both(place(tmp_path / "a")).give(tmp_path / "moved.age", *NAMES)
    made = place(tmp_path / "b")
    before(made, file)
    for step in range(1, 120):
        b = copy(made, tmp_path / str(step))
        disk = Disk(step, full)
        with failing(disk), suppress(Lost, WakitError):  # what the disk refuses is told in our words
            b.take(file)
        again, where = next_command(b), f"failed at step {step}"
        before_or_after(again, Credential.ABSENT, where)
        finish(again, file, where)
        assert kinds(again) == [Credential.PRESENT] * 2, where
        for name in NAMES:
            assert again.vault.prepare_restore(name).epoch >= 4, where
        if disk.steps < step:
            return
    pytest.fail("the import has no end")


def test_what_a_cut_off_import_brought_may_run_while_the_rest_is_fetched(tmp_path: Path) -> None:
    file = both(place(tmp_path / "a")).give(tmp_path / "moved.age", *NAMES)
    b = place(tmp_path / "b")
    after_a_first_half(b, file)
    folder = b.vault.prepare_restore("desk").directory
    with FileLock(folder / "lock"):
        taken = next_command(b).take(file)
    assert {name: one.outcome for name, one in taken.items()} == {"desk": Outcome.HERE, "sales": Outcome.NEW}
    assert b.vault.find("desk").record.epoch == 4, "it was left alone"


@fullness
@pytest.mark.parametrize("retired", [False, True], ids=["in place", "archived"])
def test_a_return_may_end_at_any_step(retired: bool, full: bool, tmp_path: Path) -> None:
    made, b = both(place(tmp_path / "a")), place(tmp_path / "b")
    b.take(made.give(tmp_path / "moved.age", *NAMES))
    for name in NAMES:
        b.vault.prepare_restore(name)
        if retired:
            made.vault.retire(name, keep=False)
    file = b.give(tmp_path / "back.age", *NAMES)
    for step in range(1, 120):
        a = copy(made, tmp_path / str(step))
        disk = Disk(step, full)
        with failing(disk), suppress(Lost, WakitError):  # what the disk refuses is told in our words
            a.take(file)
        again, where = next_command(a), f"failed at step {step}"
        before_or_after(again, Credential.GIVEN_AWAY, where)
        finish(again, file, where)
        assert kinds(again) == [Credential.PRESENT] * 2, where
        for name in NAMES:
            assert again.vault.prepare_restore(name).epoch > b.vault.find(name).record.epoch, where
        if disk.steps < step:
            return
    pytest.fail("the return has no end")


def before_or_after(again: Place, before: Credential, where: str) -> None:
    for name in NAMES:
        database = again.vault.folder(name) / DATABASE
        credential = again.vault.settle(name).credential
        assert credential in (before, Credential.PRESENT), f"{where}: {name} is {credential}"
        if credential is Credential.ABSENT:
            assert not database.exists(), f"{where}: a credential lies there that nobody noted"
        elif credential is Credential.PRESENT:
            assert again.vault.examine(name)[1].linked, where


def finish(again: Place, file: Path, where: str) -> None:
    try:
        again.take(file)
    except CredentialError as error:
        assert "imported here already" in str(error), where  # noqa: PT017 - it may be refused, and then for this
        return
    assert not (again.root / "transfer").exists(), where


@pytest.mark.long
@pytest.mark.skipif(not CALLS, reason="the numbers of this machine's system calls are not known")
@pytest.mark.parametrize("operation", killed_bundle.OPERATIONS)
def test_it_may_be_killed_at_any_system_call(operation: str, tmp_path: Path) -> None:
    template = tmp_path / "template"
    here = both(place(template / "here"))
    if operation != "give":
        here.give(template / "moved.age", *NAMES)
    place(template / "there")
    points, calls = kill_everywhere(killed_bundle.__file__, operation, template, tmp_path / "killed")
    assert len(calls) > 20, "else nothing was tried"
    for point in points:
        at_rest(operation, point.folder, point.where)


def at_rest(operation: str, folder: Path, where: str) -> None:
    """What was killed left each session as before or as after, and the command can be given again."""
    file, here, there = folder / "moved.age", place(folder / "here"), place(folder / "there")
    if operation == "give":
        whole = bundle.read(file.read_bytes()).manifest if file.exists() else None
        for name in NAMES:
            finding = here.vault.settle(name)
            if finding.credential is Credential.GIVEN_AWAY:
                assert whole is not None, f"{where}: it was given up for nothing"
                assert finding.record.given_to == whole.bundle, where
            else:
                assert here.vault.prepare_restore(name).epoch == 3, where
        return
    arriving = there if operation == "take" else here
    before_or_after(arriving, Credential.ABSENT if operation == "take" else Credential.GIVEN_AWAY, where)
    finish(arriving, file, where)
    assert kinds(arriving) == [Credential.PRESENT] * 2, where
    for name in NAMES:
        assert arriving.vault.prepare_restore(name).epoch > 2, where
    assert not list(arriving.root.rglob("*.tmp")), where
