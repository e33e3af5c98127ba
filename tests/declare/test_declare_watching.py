"""The watch, seen from outside: files are saved in every way editors save, and what it tells is compared."""

# ruff: noqa: ASYNC240 - the files are tiny and saved on purpose while the watch runs in its thread

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest

from wakit.declare import Broken, Change, Loaded, Timing, Watcher, following, load

# The graces are short so that tests are; what they are measured against is written in the tests.
TIMING = Timing(grace=0.3, suspicious=0.2)
LONG = 10.0
ONE = "[sessions.a]\n"
TWO = "[sessions.a]\n[sessions.b]\n"


@contextlib.asynccontextmanager
async def watching(file: Path, **options: object) -> AsyncIterator[Watcher]:
    known = load(file, environ={}) if file.is_file() else None
    options = {"timing": TIMING, "environ": {}, "known": known, **options}
    async with Watcher(file, **options) as watcher:
        yield watcher
    assert not [thread for thread in threading.enumerate() if thread.name == "wakit-declare"]


async def told(watcher: Watcher) -> Change:
    return await asyncio.wait_for(anext(watcher), LONG)


async def sessions(watcher: Watcher) -> list[str]:
    change = await told(watcher)
    assert isinstance(change, Loaded), change
    return list(change.declaration.sessions)


async def nothing_told(watcher: Watcher, file: Path) -> None:
    """Save a marker session: if it is the next thing told, nothing was told before it."""
    replace(file, ONE + "[sessions.marker]\n")
    assert await sessions(watcher) == ["a", "marker"]


def replace(file: Path, text: str) -> None:
    """Save as editors do: a new file, renamed into place."""
    new = file.with_name(".new")
    new.write_text(text)
    new.replace(file)


def git(folder: Path, *command: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "sessions.toml"
    file.write_text(ONE)
    return file


@pytest.mark.parametrize("polling", [False, True])
async def test_saves_of_all_kinds(file: Path, polling: bool) -> None:
    async with watching(file, polling=polling, timing=Timing(poll=0.02)) as watcher:
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]
        replace(file, ONE + "[sessions.c]\n")
        assert await sessions(watcher) == ["a", "c"]
        # vim: the old file becomes a backup, a new one takes its name
        file.rename(file.with_name("sessions.toml~"))
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]
        replace(file, ONE + "[sessions.d]\n")
        assert await sessions(watcher) == ["a", "d"]


async def test_without_a_known_declaration_the_present_one_is_told(file: Path) -> None:
    async with watching(file, known=None) as watcher:
        assert await sessions(watcher) == ["a"]


async def test_what_changed_before_the_watch_stood_is_told(file: Path) -> None:
    known = load(file, environ={})
    file.write_text(TWO)
    async with watching(file, known=known) as watcher:
        assert await sessions(watcher) == ["a", "b"]


async def test_the_same_content_is_nothing(file: Path) -> None:
    async with watching(file) as watcher:
        replace(file, ONE)
        os.utime(file)
        (file.parent / "other.txt").write_text("x")
        await nothing_told(watcher, file)


async def test_a_burst_does_not_pile_up(file: Path) -> None:
    async with watching(file) as watcher:
        for number in range(50):
            replace(file, f"{ONE}[sessions.n{number}]\n")
        first = await sessions(watcher)
        # On a busy machine a pause inside the burst may be taken for its end, but nothing queues up behind it.
        if first != ["a", "n49"]:
            assert await sessions(watcher) == ["a", "n49"]
        await nothing_told(watcher, file)


async def test_a_busy_consumer_gets_the_newest_only(file: Path) -> None:
    seen = threading.Event()
    async with watching(file) as watcher:
        tell = watcher._follower._tell

        def counted(change: Change) -> None:
            tell(change)
            if isinstance(change, Loaded) and "c" in change.declaration.sessions:
                seen.set()

        watcher._follower._tell = counted
        replace(file, TWO)
        assert await sessions(watcher) == ["a", "b"]
        replace(file, "nonsense")
        assert isinstance(await told(watcher), Broken)
        replace(file, TWO)
        replace(file, TWO + "[sessions.c]\n")
        assert await asyncio.to_thread(seen.wait, LONG)
        assert await sessions(watcher) == ["a", "b", "c"]


async def test_a_broken_file_is_told_once_and_its_recovery_too(file: Path) -> None:
    async with watching(file) as watcher:
        file.write_text("[sessions.a\n")
        change = await told(watcher)
        assert isinstance(change, Broken)
        assert str(change.error).startswith(f"{file}:1:12: this is not TOML")
        file.write_text(ONE)  # what was in force all the time, and still news: the error is gone
        assert await sessions(watcher) == ["a"]


@pytest.mark.parametrize("half", ["", "[sessions.a]\n[sess", "[sessions.a]\n", "[sessions.a]\n[sessions.b]"])
async def test_a_half_written_save_makes_no_noise(file: Path, half: str) -> None:
    """Half of the file stands there for a moment; also where half of it is a valid declaration of fewer sessions."""
    whole = "[sessions.a]\n[sessions.b]\n[sessions.c]\n"
    file.write_text(whole)
    async with watching(file, timing=Timing(grace=LONG, suspicious=LONG)) as watcher:
        replace(file, f"{whole}# looked at\n")
        assert await sessions(watcher) == ["a", "b", "c"]
        reads = _counted_reads(watcher)
        file.write_text(half)
        assert await asyncio.to_thread(reads.wait_for_more, 3)  # the half was seen, and seen again
        replace(file, whole + "[sessions.d]\n")
        assert await sessions(watcher) == ["a", "b", "c", "d"]


class _Reads:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def note(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait_for_more(self, more: int) -> bool:
        with self._condition:
            goal = self._count + more
            return self._condition.wait_for(lambda: self._count >= goal, LONG)


def _counted_reads(watcher: Watcher) -> _Reads:
    reads = _Reads()
    follower = watcher._follower
    read = follower._read

    def counted() -> object:
        sight = read()
        reads.note()
        return sight

    follower._read = counted
    return reads


async def test_what_stays_cut_off_is_meant(file: Path) -> None:
    file.write_text(TWO)
    async with watching(file) as watcher:
        file.write_text(ONE)
        assert await sessions(watcher) == ["a"]


async def test_a_deleted_file_is_broken_after_its_grace_and_comes_back(file: Path) -> None:
    async with watching(file) as watcher:
        file.unlink()
        change = await told(watcher)
        assert isinstance(change, Broken)
        assert "no such file" in str(change.error)
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]


async def test_an_emptied_file_is_broken(file: Path) -> None:
    async with watching(file) as watcher:
        file.write_text("")
        change = await told(watcher)
        assert isinstance(change, Broken)
        assert "declares nothing" in str(change.error)


async def test_a_directory_in_the_files_place(file: Path) -> None:
    async with watching(file) as watcher:
        file.unlink()
        file.mkdir()
        change = await told(watcher)
        assert isinstance(change, Broken)
        assert "directory" in str(change.error)
        file.rmdir()
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]


async def test_a_file_that_is_not_there_yet_nor_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "sessions.toml"
    async with watching(file) as watcher:
        assert isinstance(await told(watcher), Broken)
        file.parent.mkdir(parents=True)
        file.write_text(ONE)
        assert await sessions(watcher) == ["a"]


async def test_the_folder_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    file = folder / "sessions.toml"
    file.write_text(ONE)
    async with watching(file, timing=Timing(resync=0.2)) as watcher:
        new = tmp_path / "new"
        new.mkdir()
        (new / "sessions.toml").write_text(TWO)
        folder.rename(tmp_path / "old")
        new.rename(folder)
        assert await sessions(watcher) == ["a", "b"]
        file.write_text(TWO + "[sessions.c]\n")
        assert await sessions(watcher) == ["a", "b", "c"]


async def test_links_on_the_way(tmp_path: Path) -> None:
    """A deployment: the file is a link into ``current``, which is a link to a release."""
    for release, text in (("one", ONE), ("two", TWO)):
        (tmp_path / "releases" / release).mkdir(parents=True)
        (tmp_path / "releases" / release / "s.toml").write_text(text)
    (tmp_path / "current").symlink_to("releases/one")
    (tmp_path / "project").mkdir()
    file = tmp_path / "project" / "sessions.toml"
    file.symlink_to("../current/s.toml")
    async with watching(file) as watcher:
        (tmp_path / "next").symlink_to("releases/two")
        (tmp_path / "next").rename(tmp_path / "current")
        assert await sessions(watcher) == ["a", "b"]
        replace(tmp_path / "releases" / "two" / "s.toml", ONE + "[sessions.c]\n")
        assert await sessions(watcher) == ["a", "c"]
        file.unlink()
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]


async def test_dotenv_counts(file: Path) -> None:
    async with watching(file) as watcher:
        (file.parent / ".env").write_text("WAKIT_RETIRE=keep\n")
        change = await told(watcher)
        assert isinstance(change, Loaded)
        assert change.declaration.fleet.retire == "keep"
        (file.parent / ".env").write_text("WAKIT_RETIRE=nonsense\n")
        change = await told(watcher)
        assert isinstance(change, Broken)
        assert str(change.error).startswith(f"{file.parent}/.env:1: wakit.retire: ")


async def test_a_commit_and_a_checkout_are_told(file: Path) -> None:
    async def state(watcher: Watcher) -> tuple[bool, str | None, bool]:
        change = await told(watcher)
        assert isinstance(change, Loaded)
        found = change.declaration.git
        assert found is not None
        return found.commit is not None, found.branch, found.dirty

    git(file.parent, "init", "-q", "-b", "main")
    async with watching(file) as watcher:
        git(file.parent, "add", file.name)
        git(file.parent, "commit", "-q", "-m", "one")
        # The index and HEAD move one after the other; in between the file differs from HEAD.
        while (seen := await state(watcher)) != (True, "main", False):
            assert seen == (True, "main", True)
        git(file.parent, "checkout", "-q", "-b", "side")
        assert await state(watcher) == (True, "side", False)


async def test_git_is_asked_again_only_when_the_repository_is_another_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    ask = following.git_files

    def counted(path: Path) -> tuple[Path, Path] | None:
        asked.append(path)
        return ask(path)

    looked = threading.Semaphore(0)
    marks = following.places.git_marks

    def seen(path: Path) -> tuple[tuple[str, int, int, int], ...]:
        looked.release()
        return marks(path)

    def several_times() -> None:
        for _ in range(4):
            assert looked.acquire(timeout=LONG)

    monkeypatch.setattr(following, "git_files", counted)
    monkeypatch.setattr(following.places, "git_marks", seen)
    async with watching(file, timing=Timing(resync=0.02)) as watcher:
        await asyncio.to_thread(several_times)
        assert len(asked) == 1
        for command in ("init -q -b main", f"add {file.name}", "commit -q -m one"):
            git(file.parent, *command.split())
        while True:
            change = await told(watcher)
            assert isinstance(change, Loaded)
            if change.declaration.git is not None and not change.declaration.git.dirty:
                break
        before = len(asked)
        await asyncio.to_thread(several_times)
        assert len(asked) == before


async def test_without_inotify_it_is_read_again_and_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> object:
        raise OSError(errno.ENOSPC, "OS file watch limit reached")

    monkeypatch.setattr(following, "RustNotify", refused)
    async with watching(file, timing=Timing(poll=0.02)) as watcher:
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]


async def test_an_event_that_was_lost_is_made_up_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def watch(self, *_: object) -> str:
            return "timeout"

    monkeypatch.setattr(following, "RustNotify", Deaf)
    async with watching(file, timing=Timing(resync=0.05, gather=0.01)) as watcher:
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]


async def test_the_working_directory_may_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    async with watching(Path("sessions.toml")) as watcher:
        monkeypatch.chdir("/")
        file.write_text("nonsense\n")
        change = await told(watcher)
        assert isinstance(change, Broken)
        assert str(change.error).startswith("sessions.toml:1:")


async def test_cancelling_leaves_no_thread_and_no_descriptor(file: Path) -> None:
    async def consume(started: asyncio.Event) -> None:
        async with Watcher(file, environ={}, timing=TIMING) as watcher:
            async for _ in watcher:
                started.set()

    async def once() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(consume(started))
        await asyncio.wait_for(started.wait(), LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    await once()
    threads, before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    turns = 12
    for _ in range(turns):
        await once()
    assert threading.active_count() == threads
    # inotify's own thread closes its descriptors a moment after it was told to, so the last turns' may still be there;
    # a leak would leave one a turn at least.
    assert len(list(Path("/proc/self/fd").iterdir())) - before < turns


async def test_a_wait_that_times_out_does_not_end_the_watch(file: Path) -> None:
    async with watching(file) as watcher:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(watcher), 0.01)
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]


async def test_a_failure_of_the_thread_reaches_the_consumer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(file) as watcher:
        monkeypatch.setattr(watcher._follower, "_read", lambda: 1 / 0)
        file.write_text(TWO)
        with pytest.raises(ZeroDivisionError):
            await told(watcher)


async def test_what_the_file_system_refuses_is_told_and_outlived(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may search every folder, so the refusal is made up here."""
    find = following.places.folders_of
    refusing = threading.Event()

    def refused(path: Path) -> object:
        if refusing.is_set():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return find(path)

    monkeypatch.setattr(following.places, "folders_of", refused)
    async with watching(file, timing=Timing(poll=0.02)) as watcher:
        refusing.set()
        replace(file, TWO)
        while not isinstance(change := await told(watcher), Broken):
            assert list(change.declaration.sessions) == ["a", "b"]
        assert "Permission denied" in str(change.error)
        refusing.clear()
        assert await sessions(watcher) == ["a", "b"]
        replace(file, ONE + "[sessions.c]\n")
        assert await sessions(watcher) == ["a", "c"]


async def test_a_folder_above_that_may_not_be_searched(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 raises where it asks whether a path is a link, and says no where ``os.path.islink`` does."""

    def raising(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_symlink", raising)
    async with watching(file) as watcher:
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]


async def test_a_loop_of_links_and_a_file_for_a_folder(file: Path) -> None:
    async with watching(file, timing=Timing(poll=0.02, grace=0.05)) as watcher:
        file.unlink()
        file.symlink_to(file.name)
        assert isinstance(await told(watcher), Broken)
        file.unlink()
        file.write_text(TWO)
        assert await sessions(watcher) == ["a", "b"]
    below = file / "sessions.toml"  # a file stands where a folder should
    async with watching(below, timing=Timing(grace=0.05)) as watcher:
        assert isinstance(await told(watcher), Broken)
