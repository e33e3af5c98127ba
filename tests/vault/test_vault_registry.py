"""One place a credential: the machine's memory of who runs an account and where each device was started last."""

from __future__ import annotations

import doctest
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from credentials import NUMBER, Clock, pair, run_sql, store
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_vault_crashes import Disk, Lost, failing

from wakit import owner
from wakit.core.declaration import Endpoint
from wakit.core.fencing import Mark, Turn, judge
from wakit.errors import (
    CredentialElsewhereError,
    CredentialError,
    CredentialUnreadableError,
    HeldError,
    StateDirectoryError,
)
from wakit.redact import Secret, account_hash
from wakit.vault import Registry, Vault, accounts_folder, birth, open_accounts, use
from wakit.vault import device as device_module
from wakit.vault.birth import born
from wakit.vault.device import read_device
from wakit.vault.layout import open_layout
from wakit.vault.record import read_record
from wakit.whatsapp.port import AccountHold, SessionStart
from wakit.worker.custody import take

HOLD = """
import sys
from wakit.whatsapp.port import AccountHold, SessionStart
from wakit.worker.custody import take
hold = AccountHold(lock=sys.argv[2], note=sys.argv[3], token=sys.argv[4])
lock = take(SessionStart(name="a", directory=sys.argv[1], epoch=1, account=hold))
print("held", flush=True)
sys.stdin.read()
"""


class Machine:
    """One user's machine: state directories below a folder, and the registry they share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.environ = {"XDG_STATE_HOME": str(root / "state")}

    def registry(self, endpoint: Endpoint | None = None) -> Registry:
        accounts = open_accounts(self.root, loopback=endpoint is not None, environ=self.environ)
        return Registry(accounts, endpoint, self.clock)

    def vault(self, fleet: str, endpoint: Endpoint | None = None) -> Vault:
        return Vault(open_layout(self.root / fleet), "shared", self.clock, self.registry(endpoint))

    def folder(self, fleet: str, name: str = "a") -> Path:
        return self.root / fleet / "sessions" / name / "shared"

    def linked(self, fleet: str, user: str = NUMBER) -> Vault:
        """A session that was linked, ran, and ended."""
        vault = self.vault(fleet)
        pair(vault, "a", user)
        assert vault.hold_account("a", Secret(user))
        vault.rest("a")
        return vault

    def copy(self, fleet: str, to: str) -> Vault:
        shutil.copytree(self.root / fleet, self.root / to)
        return self.vault(to)

    def move(self, fleet: str, to: str) -> Vault:
        (self.root / fleet).rename(self.root / to)
        return self.vault(to)

    def accounts(self) -> Path:
        return self.root / "state" / "wakit" / "accounts"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def holder(machine: Machine) -> Iterator[tuple[Vault, subprocess.Popen[str]]]:
    """A fleet's vault, and a process that holds its session's credential and account as a worker does."""
    vault = machine.linked("one")
    ticket = vault.prepare_restore("a")
    assert ticket.account is not None
    arguments = [str(ticket.directory), ticket.account.lock, ticket.account.note, ticket.account.token]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield vault, process
        process.kill()


# --- copies and moves


def test_a_copy_that_was_overtaken_is_refused_and_told_where_it_went_on(machine: Machine) -> None:
    one = machine.linked("one")
    two = machine.copy("one", "two")
    one.prepare_restore("a")
    with pytest.raises(CredentialElsewhereError, match="outdated copy") as refused:
        two.prepare_restore("a")
    assert str(machine.folder("one")) in refused.value.why
    assert "start 2, 01 Jan 2026 at" in refused.value.why
    assert "wakit restart a --take-over" in refused.value.hint
    assert NUMBER not in f"{refused.value} {refused.value.hint}"
    assert two.find("a").record.epoch == 1, "a start that was refused is not counted"
    one.prepare_restore("a")


def test_a_copy_is_refused_even_before_the_original_is_started_again(machine: Machine) -> None:
    machine.linked("one")
    with pytest.raises(CredentialElsewhereError):
        machine.copy("one", "two").prepare_restore("a")


def test_a_person_may_take_a_copy_over_and_then_the_other_one_is_refused(machine: Machine) -> None:
    one = machine.linked("one")
    two = machine.copy("one", "two")
    for _ in range(3):
        one.prepare_restore("a")
    told = two.take_over("a")
    assert str(machine.folder("one")) in told
    assert two.prepare_restore("a").epoch > one.find("a").record.epoch
    with pytest.raises(CredentialElsewhereError) as refused:
        one.prepare_restore("a")
    assert str(machine.folder("two")) in refused.value.why
    assert two.take_over("a") == "", "it is its turn anyway"
    one.take_over("a")
    one.prepare_restore("a")
    with pytest.raises(CredentialElsewhereError):
        two.prepare_restore("a")


def test_what_was_moved_goes_on_without_a_question(machine: Machine) -> None:
    one = machine.linked("one")
    one.prepare_restore("a")
    one.rename("a", "b")
    assert one.prepare_restore("b").note == ""
    one.retire("b", keep=False)
    one.revive("b")
    assert one.prepare_restore("b").note == ""
    moved = machine.move("one", "two")
    assert moved.prepare_restore("b").note == ""
    again = machine.move("two", "one")
    assert again.prepare_restore("b").note == ""


def test_a_new_session_in_the_old_place_does_not_make_the_moved_one_a_copy(machine: Machine) -> None:
    machine.linked("one")
    moved = machine.move("one", "two")
    machine.linked("one", "34600000002")
    assert moved.prepare_restore("a").note == ""


def test_a_move_across_file_systems_is_told_and_done(machine: Machine) -> None:
    machine.linked("one")
    two = machine.copy("one", "two")
    shutil.rmtree(machine.root / "one")
    note = two.prepare_restore("a").note
    assert str(machine.folder("one")) in note
    assert "moved" in note
    assert two.prepare_restore("a").note == ""


def test_a_copy_that_was_made_while_the_original_ran_is_no_move(machine: Machine) -> None:
    one = machine.linked("one")
    one.prepare_restore("a")
    early = machine.copy("one", "early")
    one.rest("a")
    late = machine.copy("one", "late")
    machine.move("one", "elsewhere")
    with pytest.raises(CredentialElsewhereError, match="did not see the end of that start"):
        early.prepare_restore("a")
    late.prepare_restore("a")
    with pytest.raises(CredentialElsewhereError):
        machine.vault("elsewhere").prepare_restore("a")


def test_an_end_is_noted_wherever_the_credential_is_by_then(machine: Machine) -> None:
    one = machine.linked("one")
    one.prepare_restore("a")
    one.retire("a", keep=False)
    one.rest("a")
    one.revive("a")
    one.prepare_restore("a")
    one.rename("a", "b")
    one.rest("a")
    two = machine.copy("one", "two")
    shutil.rmtree(machine.root / "one")
    two.prepare_restore("b")
    machine.vault("three").rest("a")


def test_an_older_copy_is_no_move(machine: Machine) -> None:
    one = machine.linked("one")
    two = machine.copy("one", "two")
    one.prepare_restore("a")
    shutil.rmtree(machine.root / "one")
    with pytest.raises(CredentialElsewhereError):
        two.prepare_restore("a")
    two.take_over("a")
    two.prepare_restore("a")


def test_what_was_used_on_another_machine_and_came_back_goes_on(machine: Machine, tmp_path: Path) -> None:
    one = machine.linked("one")
    other = Machine(tmp_path / "other")
    other.root.mkdir()
    shutil.copytree(machine.root / "one", other.root / "one")
    there = other.vault("one")
    for _ in range(3):
        there.prepare_restore("a")
    shutil.copytree(other.root / "one", machine.root / "two")
    note = machine.vault("two").prepare_restore("a").note
    assert "start 4" in note
    with pytest.raises(CredentialElsewhereError):
        one.prepare_restore("a")


def test_a_folder_that_was_put_back_to_an_earlier_state_is_refused(machine: Machine) -> None:
    one = machine.linked("one")
    machine.copy("one", "backup")
    one.prepare_restore("a")
    subprocess.run(["cp", "-r", f"{machine.root / 'backup'}/.", machine.root / "one"], check=True)
    with pytest.raises(CredentialElsewhereError, match="put back to an earlier state"):
        one.prepare_restore("a")
    one.take_over("a")
    one.prepare_restore("a")


def test_what_was_put_back_from_while_it_ran_is_refused_as_well(machine: Machine) -> None:
    """One start can last for weeks; a backup made meanwhile has seen as many starts, and its keys are over."""
    one = machine.linked("one")
    one.prepare_restore("a")
    machine.copy("one", "backup")
    one.rest("a")
    for file in machine.folder("backup").iterdir():
        if file.name != "lock":
            shutil.copy(file, machine.folder("one"))
    with pytest.raises(CredentialElsewhereError, match="put back to an earlier state"):
        one.prepare_restore("a")


def test_after_a_crash_nothing_is_asked(machine: Machine) -> None:
    one = machine.linked("one")
    one.prepare_restore("a")
    machine.move("one", "two").prepare_restore("a")


def test_a_restored_machine_asks_once(machine: Machine) -> None:
    """Another inode at the same path: the newest state, or a backup that somebody put back; only a person knows."""
    machine.linked("one").prepare_restore("a")
    machine.copy("one", "backup")
    shutil.rmtree(machine.root / "one")
    one = machine.copy("backup", "one")
    with pytest.raises(CredentialElsewhereError):
        one.prepare_restore("a")
    one.take_over("a")
    one.prepare_restore("a")
    one.prepare_restore("a")


def test_a_copy_with_the_inodes_of_the_original_is_a_copy_all_the_same(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloned disk, a snapshot of a file system: the numbers are the same, the files are not."""
    one = machine.linked("one")
    two = machine.copy("one", "two")
    original = use._mark(machine.folder("one"), 0)
    monkeypatch.setattr(use, "_mark", lambda _folder, epoch: replace(original, epoch=epoch))
    with pytest.raises(CredentialElsewhereError):
        two.prepare_restore("a")
    one.prepare_restore("a")


def test_another_link_of_the_account_is_another_credential(machine: Machine) -> None:
    one = machine.linked("one")
    two = machine.vault("two")
    store(two.prepare_pairing("a").directory / "creds.db", NUMBER)
    run_sql(machine.folder("two") / "creds.db", "UPDATE whatsmeow_device SET noise_key = x'01'")
    two.mark_paired("a", account_hash(NUMBER, two.key))
    two.hold_account("a", Secret(NUMBER))
    one.prepare_restore("a")
    two.prepare_restore("a")
    old = machine.copy("one", "three")
    with pytest.raises(CredentialElsewhereError):
        old.prepare_restore("a")


def test_two_copies_whose_original_is_gone_start_at_once_and_one_of_them_may(machine: Machine) -> None:
    machine.linked("one")
    copies = [machine.copy("one", f"copy{number}") for number in range(4)]
    shutil.rmtree(machine.root / "one")
    together, outcome = threading.Barrier(len(copies)), []

    def start(vault: Vault) -> None:
        together.wait()
        try:
            vault.prepare_restore("a")
        except (CredentialElsewhereError, HeldError) as refused:
            outcome.append(type(refused))
        else:
            outcome.append(None)

    threads = [threading.Thread(target=start, args=(vault,)) for vault in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome.count(None) == 1, outcome


_DOINGS = ["start", "start", "copy", "copied meanwhile", "put back", "start", "move", "delete", "crash", "take over"]
_DOINGS += ["rename", "archive"]
_STEPS = st.lists(st.tuples(st.sampled_from(_DOINGS), st.integers(0, 2), st.integers(0, 2)), min_size=8, max_size=20)


class Copies:
    """Whatever people do to state directories; which of them holds the newest state of the credential is known here.

    The state is a file in the credential's folder, so that it is copied, moved and lost with it.
    """

    def __init__(self, root: Path) -> None:
        self.machine = Machine(root)
        self.names = count()
        self.states = count()
        self.crashed = False  # the last start's end was not noted
        first = self.new()
        self.machine.linked(first)
        self.fleets = [first]
        self._change(first)

    def new(self) -> str:
        return f"f{next(self.names)}"

    def place(self, fleet: str) -> Path:
        return next((self.machine.root / fleet).glob("sessions/*/shared"))

    def state(self, fleet: str) -> str:
        return (self.place(fleet) / "state").read_text()

    def _change(self, fleet: str) -> None:
        self.newest, self.last = str(next(self.states)), fleet
        (self.place(fleet) / "state").write_text(self.newest)

    def start(self, fleet: str, end: str = "in order") -> None:
        is_newest, name = self.state(fleet) == self.newest, self.place(fleet).parent.name
        vault = self.machine.vault(fleet)
        try:
            vault.prepare_restore(name)
        except CredentialElsewhereError:
            assert not (is_newest and self.last == fleet), "the folder that was used last was refused"
            alone = is_newest and self.last not in self.fleets and not self.crashed
            assert not alone, "nothing else is left, and it was refused"
            return
        assert is_newest, "an outdated state was started"
        self._change(fleet)
        if end == "copied meanwhile":
            self.do("copy", self.fleets.index(fleet), 0)
            self._change(fleet)
        self.crashed = end == "crash"
        if not self.crashed:
            vault.rest(name)

    def do(self, what: str, one: int, two: int) -> None:
        if not self.fleets:
            return
        fleet, other = self.fleets[one % len(self.fleets)], self.fleets[two % len(self.fleets)]
        place = self.place(fleet)
        name = place.parent.name
        match what:
            case "start" | "crash" | "copied meanwhile":
                self.start(fleet, what)
            case "copy":
                self.machine.copy(fleet, new := self.new())
                self.fleets.append(new)
            case "move":
                self.machine.move(fleet, new := self.new())
                self.fleets[self.fleets.index(fleet)] = new
                self.last = new if self.last == fleet else self.last
            case "delete":
                shutil.rmtree(self.machine.root / fleet)
                self.fleets.remove(fleet)
            case "put back" if other != fleet:
                for file in self.place(other).iterdir():
                    if file.name != "lock":
                        shutil.copy(file, place / file.name)
            case "take over":
                self.machine.vault(fleet).take_over(name)
                self.newest, self.last = self.state(fleet), fleet  # a person said so
                self.start(fleet)
            case "rename":
                self.machine.vault(fleet).rename(name, "b" if name == "a" else "a")
            case "archive":
                vault = self.machine.vault(fleet)
                vault.retire(name, keep=False)
                vault.revive(name)
            case _:
                pass


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
@pytest.mark.long
def test_whatever_is_copied_moved_and_put_back_no_outdated_state_is_started(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, int, int]]
) -> None:
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    root = tmp_path_factory.mktemp("m")
    copies = Copies(root)
    for step in steps:
        copies.do(*step)
    shutil.rmtree(root)


@given(
    here=st.builds(Mark, st.integers(1, 3), st.integers(0, 2), st.integers(0, 3)),
    last=st.none() | st.builds(Mark, st.integers(1, 3), st.integers(0, 2), st.integers(0, 3)),
    rival=st.booleans(),
    facts=st.fixed_dictionaries({"gone": st.booleans(), "rested": st.booleans(), "ended": st.booleans()}),
)
def test_no_copy_starts_beside_a_rival_that_has_seen_as_much(
    here: Mark, last: Mark | None, rival: bool, facts: dict[str, bool]
) -> None:
    turn = judge(here, last, rival=rival, **facts)
    assert (turn is Turn.FIRST) == (last is None)
    if last is not None and here.epoch < last.epoch:
        assert turn in (Turn.COPY, Turn.BEHIND)
    if last is not None and rival and here.epoch <= last.epoch and not facts["gone"]:
        assert turn is Turn.COPY


# --- cut off at any step


@pytest.mark.parametrize("full", [False, True], ids=["lost process", "full disk"])
@pytest.mark.parametrize("what", ["restore", "rest", "take over"])
def test_what_is_cut_off_locks_nobody_out_and_lets_no_copy_in(what: str, full: bool, tmp_path: Path) -> None:
    doings = {"restore": one_more_start, "rest": lambda vault: vault.rest("a"), "take over": lambda v: v.take_over("a")}
    for step in range(1, 60):
        machine = Machine(tmp_path / str(step))
        machine.root.mkdir()
        one = machine.linked("one")
        two = machine.copy("one", "two")
        one.prepare_restore("a")
        acting = two if what == "take over" else one
        disk = Disk(step, full)
        with failing(disk), suppress(Lost, OSError):
            doings[what](acting)
        allowed = [vault for vault in (one, two) if _may_start(vault)]
        assert len(allowed) == 1, f"cut off at step {step}: {len(allowed)} may start"
        assert what == "take over" or allowed == [one]
        if disk.steps < step:
            assert step > 1
            assert allowed == [acting]
            return
    pytest.fail("the operation has no end")


def one_more_start(vault: Vault) -> None:
    vault.prepare_restore("a")


def _may_start(vault: Vault) -> bool:
    try:
        vault.prepare_restore("a")
    except CredentialElsewhereError:
        return False
    return True


# --- who runs it now


def test_a_live_account_is_refused_elsewhere_and_the_holder_is_named(
    machine: Machine, holder: tuple[Vault, subprocess.Popen[str]]
) -> None:
    _, process = holder
    assert machine.registry().in_use(Secret(NUMBER)).startswith(f"process {process.pid} on ")
    two = machine.copy("one", "two")
    with pytest.raises(CredentialElsewhereError, match=f"process {process.pid} on .* holds it since"):
        two.prepare_restore("a")
    with pytest.raises(HeldError, match=f"process {process.pid} on"):
        two.take_over("a")
    process.kill()
    process.wait()
    assert machine.registry().in_use(Secret(NUMBER)) == ""
    two.take_over("a")
    two.prepare_restore("a")


def test_another_link_of_a_live_account_has_to_wait(
    machine: Machine, holder: tuple[Vault, subprocess.Popen[str]]
) -> None:
    _, process = holder
    two = machine.vault("two")
    pair(two, "a")
    run_sql(machine.folder("two") / "creds.db", "UPDATE whatsmeow_device SET noise_key = x'01'")
    with pytest.raises(HeldError, match=f"in use on this machine: process {process.pid} on") as held:
        two.prepare_restore("a")
    assert str(machine.folder("one")) in held.value.why
    assert two.find("a").record.epoch == 1


def test_a_held_lock_without_a_known_holder_is_held_all_the_same(machine: Machine) -> None:
    vault = machine.linked("one")
    hold = vault.hold_account("a", Secret(NUMBER))
    assert hold is not None
    with machine.registry()._held("a", Secret(NUMBER)), pytest.raises(HeldError, match="another process holds it"):
        vault.prepare_restore("a")
    vault.prepare_restore("a")


def test_the_servers_of_rehearsals_never_meet(machine: Machine) -> None:
    real = machine.registry()
    one, two = (machine.registry(Endpoint("http://127.0.0.1:1", "/ca.pem", f"{n:064x}")) for n in (1, 2))
    names = {registry._lock(Secret(NUMBER)).name for registry in (real, one, two)}
    assert len(names) == 3
    with real._held("a", Secret(NUMBER)):
        assert one.in_use(Secret(NUMBER)) == two.in_use(Secret(NUMBER)) == ""


def test_what_rehearsals_leave_can_be_removed_and_real_accounts_are_guarded_all_the_same(machine: Machine) -> None:
    real = machine.linked("one")
    before = set(machine.accounts().iterdir())
    rehearsal = machine.vault("sim", Endpoint("http://127.0.0.1:1", "/ca.pem", f"{1:064x}"))
    pair(rehearsal, "a", NUMBER)
    hold = rehearsal.hold_account("a", Secret(NUMBER))
    assert hold is not None
    left = machine.accounts() / "loopback"
    assert {Path(hold.lock).parent, Path(hold.note).parent} == {left}
    assert set(machine.accounts().iterdir()) - before == {left}
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    rehearsal.rest("a")
    copied = machine.copy("one", "two")
    real.prepare_restore("a")
    shutil.rmtree(left)
    machine.vault("sim", Endpoint("http://127.0.0.1:1", "/ca.pem", f"{1:064x}")).prepare_restore("a")
    with pytest.raises(CredentialElsewhereError, match="outdated copy"):
        copied.prepare_restore("a")


def test_a_damaged_note_allows_nothing_and_is_told(machine: Machine) -> None:
    vault = machine.linked("one")
    (note,) = machine.accounts().glob("*-*.json")
    note.write_text("{")
    with pytest.raises(CredentialUnreadableError, match="damaged") as told:
        vault.prepare_restore("a")
    assert str(note) in told.value.hint


def test_a_link_whose_row_cannot_be_read_yet_is_held_by_its_account(machine: Machine) -> None:
    vault = machine.vault("one")
    vault.prepare_pairing("a")
    hold = vault.hold_account("a", Secret(NUMBER))
    assert hold == AccountHold(lock=str(machine.registry()._lock(Secret(NUMBER))))
    assert machine.vault("two").hold_account("b", Secret(NUMBER)) is None, "a folder is not made for it"


def test_who_was_overtaken_between_its_note_and_its_lock_does_not_start(machine: Machine) -> None:
    one = machine.linked("one")
    ticket = one.prepare_restore("a")
    two = machine.copy("one", "two")
    two.take_over("a")
    late = SessionStart(name="a", directory=str(ticket.directory), epoch=ticket.epoch, account=ticket.account)
    with pytest.raises(HeldError, match="given to another fleet"):
        take(late)
    mine = two.prepare_restore("a")
    custody = take(SessionStart(name="a", directory=str(mine.directory), epoch=mine.epoch, account=mine.account))
    with pytest.raises(HeldError, match="in use on this machine"):
        take(late)
    custody.release()


# --- the device, and the folder's identity


def test_a_device_is_the_same_in_every_copy_and_another_after_each_link(tmp_path: Path) -> None:
    store(tmp_path / "creds.db", NUMBER)
    device = read_device(tmp_path / "creds.db")
    assert device.user.reveal() == NUMBER
    assert NUMBER not in repr(device)
    run_sql(tmp_path / "creds.db", "UPDATE whatsmeow_device SET noise_key = x'0102'")
    assert read_device(tmp_path / "creds.db").fingerprint != device.fingerprint


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM whatsmeow_device", CredentialError),
        ("ALTER TABLE whatsmeow_device DROP COLUMN noise_key", CredentialError),
    ],
)
def test_a_database_without_a_device_is_told(tmp_path: Path, statement: str, kind: type[Exception]) -> None:
    store(tmp_path / "creds.db", NUMBER)
    run_sql(tmp_path / "creds.db", statement)
    with pytest.raises(kind):
        read_device(tmp_path / "creds.db")


def test_a_database_that_cannot_be_read_now_is_told(tmp_path: Path) -> None:
    with pytest.raises(CredentialUnreadableError):
        read_device(tmp_path / "nowhere" / "creds.db")


def test_a_birth_survives_everything_but_copying(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.touch()
    moment = born(file)
    if not moment:
        pytest.skip("this file system does not know when a file was made")
    os.utime(file, (1, 1))
    file.chmod(0o600)
    assert born(file.rename(tmp_path / "moved")) == moment
    for number in range(100):  # the kernel's clock for files ticks every few milliseconds
        copy = tmp_path / f"copy{number}"
        subprocess.run(["cp", "-a", tmp_path / "moved", copy], check=True)
        if born(copy) > moment:
            return
    pytest.fail("a copy is as old as its original")


@pytest.mark.parametrize("module", [birth, device_module, owner])
def test_the_examples_in_the_docstrings_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# --- the folder


def test_nothing_in_the_folder_tells_a_number_and_nobody_else_may_look(
    machine: Machine, holder: tuple[Vault, subprocess.Popen[str]]
) -> None:
    files = [machine.accounts().parent, machine.accounts(), *machine.accounts().iterdir()]
    assert len(files) >= 6
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert NUMBER not in path.name
        if path.is_file():
            assert NUMBER.encode() not in path.read_bytes()


_OPEN = """
import sys
from pathlib import Path
from wakit.vault import open_accounts
sys.stdin.readline()
print(open_accounts(Path("/nowhere"), environ={"XDG_STATE_HOME": sys.argv[1]}).key.hex())
"""


def test_daemons_that_come_at_once_make_one_key(tmp_path: Path) -> None:
    many = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for process in many:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate()[0] for process in many}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


@pytest.mark.parametrize("where", ["wakit", "wakit/accounts"])
def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateDirectoryError, match="symbolic link"):
        open_accounts(tmp_path, environ={"XDG_STATE_HOME": str(tmp_path)})


def test_a_damaged_key_is_told(machine: Machine) -> None:
    machine.registry()
    (machine.accounts() / "key").write_bytes(b"short")
    with pytest.raises(StateDirectoryError, match="damaged"):
        machine.registry()


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_folder.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "file").write_text("")
    home, no_home = str(tmp_path / "home"), str(tmp_path / "file" / "home")

    def opened(**environ: str) -> tuple[Path, str]:
        found = open_accounts(tmp_path / "fleet", environ=environ)
        return found.path, found.note

    assert accounts_folder.usual_folder({"HOME": home}) == tmp_path / "home/.local/state/wakit/accounts"
    assert opened(HOME=home) == (tmp_path / "home/.local/state/wakit/accounts", "")
    assert opened(HOME=home, XDG_STATE_HOME="relative") == (tmp_path / "home/.local/state/wakit/accounts", "")
    where, note = opened(HOME=no_home, XDG_RUNTIME_DIR=str(tmp_path / "run"))
    assert where == tmp_path / "run/wakit/accounts"
    assert str(where) in note
    assert "reboot" in note
    assert opened(HOME=no_home)[0] == tmp_path / f"tmp/wakit-{os.geteuid()}/accounts"
    monkeypatch.setattr(accounts_folder.tempfile, "gettempdir", lambda: no_home)
    where, note = opened(HOME=no_home)
    assert where == tmp_path / "fleet/accounts"
    assert "other state directories are not seen" in note
    with pytest.raises(StateDirectoryError, match="No place is left"):
        open_accounts(Path(no_home), environ={"HOME": no_home})


def test_a_file_system_without_locks_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native = sys.modules[FileLock.__module__]  # wherever this release of filelock keeps it

    def refuse(_descriptor: int) -> bool:
        raise OSError(37, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(native, "lock_fd_nonblocking", refuse)
        with pytest.raises(StateDirectoryError, match="No locks available"):
            open_accounts(tmp_path / "fleet", environ={"XDG_STATE_HOME": str(tmp_path)})
    assert open_accounts(tmp_path / "fleet", environ={"XDG_STATE_HOME": str(tmp_path)}).note == ""


def _last(machine: Machine) -> Any:
    (note,) = machine.accounts().glob("*-*.json")
    found = msgspec.json.decode(note.read_bytes())
    return SimpleNamespace(**found)


def test_the_clock_is_an_argument(machine: Machine) -> None:
    machine.linked("one")
    assert datetime.fromisoformat(_last(machine).at).year == 2026
    assert read_record(machine.folder("one")).epoch == _last(machine).epoch
