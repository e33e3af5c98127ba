"""One live client a credential and an account, by locks that die with their holder and not before."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from wakit.errors import HeldError
from wakit.whatsapp.port import AccountHold, SessionStart
from wakit.worker.custody import take

HOLD = """
import sys
from wakit.whatsapp.port import AccountHold, SessionStart
from wakit.worker.custody import take
account = AccountHold(lock=sys.argv[2]) if sys.argv[2] else None
lock = take(SessionStart(name="b", directory=sys.argv[1], epoch=3, account=account))
print("held", flush=True)
sys.stdin.read()
"""


def order(folder: Path, account: AccountHold | None = None) -> SessionStart:
    folder.mkdir(exist_ok=True)
    return SessionStart(name="a", directory=str(folder), epoch=4, account=account)


@contextmanager
def holding(folder: Path, lock: Path | str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that has taken a credential, and an account if one is named."""
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_the_holder_is_named_and_its_death_frees_the_lock(tmp_path):
    with holding(tmp_path) as holder:
        with pytest.raises(HeldError, match=rf"process {holder.pid} on .* holds it since .*, for 'b' in {tmp_path}"):
            take(order(tmp_path))
        holder.kill()
    take(order(tmp_path)).release()


def test_the_owner_is_written_beside_the_lock(tmp_path):
    custody = take(order(tmp_path))
    owner = json.loads((tmp_path / "owner.json").read_text())
    assert owner["pid"] == os.getpid()
    assert owner["epoch"] == 4
    assert owner["boot_id"]
    assert owner["started"] > 0
    assert not any(os.get_inheritable(held._context.lock_file_fd) for held in custody._locks)
    for name in ("lock", "owner.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    custody.release()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["lock", "owner.json"]


def test_a_longer_record_of_the_last_owner_leaves_nothing_in_this_one(tmp_path):
    (tmp_path / "owner.json").write_text(json.dumps({"epoch": 3, "directory": "x" * 4000}))
    custody = take(order(tmp_path))
    assert json.loads((tmp_path / "owner.json").read_text())["epoch"] == 4
    custody.release()


def test_an_owner_is_not_written_through_a_link(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody's")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "owner.json").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        take(order(tmp_path / "a"))
    assert elsewhere.read_text() == "somebody's"
    with FileLock(tmp_path / "a" / "lock").acquire(blocking=False):
        pass  # it was let go


def test_a_torn_owner_file_still_gives_an_answer(tmp_path):
    custody = take(order(tmp_path))
    (tmp_path / "owner.json").write_text("{")
    with pytest.raises(HeldError, match="another process"):
        take(order(tmp_path))
    custody.release()


def test_an_account_has_one_live_client_whatever_the_folder(tmp_path):
    account = AccountHold(lock=str(tmp_path / "account.lock"))
    with holding(tmp_path / "one", account.lock) as holder:
        with pytest.raises(HeldError, match=f"account of a is in use.*process {holder.pid} on .* in {tmp_path}/one"):
            take(order(tmp_path / "two", account))
        # What was not taken whole is not taken at all: another worker may run that credential with another account.
        take(order(tmp_path / "two")).release()
        holder.kill()
    custody = take(order(tmp_path / "two", account))
    owner = json.loads((tmp_path / "account.json").read_text())
    assert (owner["pid"], owner["directory"]) == (os.getpid(), str(tmp_path / "two"))
    custody.release()
    take(order(tmp_path / "one", account)).release()


def test_a_stopped_holder_is_waited_for_and_never_robbed(tmp_path):
    account = AccountHold(lock=str(tmp_path / "account.lock"))
    with holding(tmp_path / "one", account.lock) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED)
        for folder in ("one", "two"):
            with pytest.raises(HeldError, match=rf"process {holder.pid} on .*; it is stopped \(SIGSTOP\)"):
                take(order(tmp_path / folder, account), patience=0.2)
        os.kill(holder.pid, signal.SIGCONT)
        os.waitid(os.P_PID, holder.pid, os.WCONTINUED)
        with pytest.raises(HeldError) as held:
            take(order(tmp_path / "two", account))
        assert "SIGSTOP" not in held.value.why


def _edited(**changes: object) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_edited(started=1), "the last one known, process .* has ended"),
        (_edited(pid=2**22 + 1), "the last one known, process 4194305 on .* has ended"),
        (_edited(boot_id="another"), "was of an earlier boot"),
        (_edited(host="elsewhere", boot_id="another"), "process .* on elsewhere holds it"),
        (Path.unlink, "another process holds it$"),
    ],
)
def test_a_record_of_somebody_who_has_ended_accuses_nobody(tmp_path, edit, says):
    with holding(tmp_path):
        edit(tmp_path / "owner.json")
        with pytest.raises(HeldError, match=says):
            take(order(tmp_path))


@pytest.mark.parametrize("note", [None, "{", '{"token": "another"}'])
def test_a_credential_that_was_given_away_meanwhile_is_let_go(tmp_path, note):
    path = tmp_path / "note.json"
    if note is not None:
        path.write_text(note)
    account = AccountHold(lock=str(tmp_path / "account.lock"), note=str(path), token="ours")
    with pytest.raises(HeldError, match="given to another fleet"):
        take(order(tmp_path / "one", account))
    path.write_text('{"token": "ours", "session": "a"}')
    take(order(tmp_path / "one", account)).release()


def test_an_account_can_be_held_later(tmp_path):
    custody = take(order(tmp_path / "one"))
    account = AccountHold(lock=str(tmp_path / "account.lock"))
    with holding(tmp_path / "two", account.lock) as holder:
        with pytest.raises(HeldError):
            custody.hold_account(account, patience=0.0)
        holder.kill()
    custody.hold_account(account, patience=0.0)
    with pytest.raises(HeldError):
        take(order(tmp_path / "two", account))
    custody.release()
    take(order(tmp_path / "two", account)).release()
