"""The wait for events of folders: it ends for what happened there, and for nothing else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from wakit.declare.inotify import FolderEvents

LONG = 20.0


class Polls:
    """Counts how often the wait woke up."""

    def __init__(self, poll: object) -> None:
        self.count = 0
        self.sleeps = threading.Event()
        self._poll = poll

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        self.count += 1
        self.sleeps.set()
        return self._poll.poll(milliseconds)  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("what", ["write", "create", "rename", "delete", "chmod"])
def test_every_change_ends_the_wait(tmp_path: Path, what: str) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with FolderEvents([str(tmp_path)]) as events:
        match what:
            case "write":
                file.write_text("y")
            case "create":
                (tmp_path / "new").touch()
            case "rename":
                file.rename(tmp_path / "other")
            case "delete":
                file.unlink()
            case "chmod":
                file.chmod(0o600)
        assert events.wait(LONG)


def test_the_end_of_the_folder_ends_the_wait(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with FolderEvents([str(folder)]) as events:
        folder.rmdir()
        assert events.wait(LONG)


def test_to_read_is_no_event_nor_is_what_happens_further_down(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "file").write_text("x")
    with FolderEvents([str(tmp_path)]) as events:
        (tmp_path / "file").read_text()
        (tmp_path / "below" / "file").write_text("x")
        assert not events.wait(0)


def test_it_sleeps_until_somebody_wakes_it(tmp_path: Path) -> None:
    with FolderEvents([str(tmp_path)]) as events:
        events._poll = polls = Polls(events._poll)  # type: ignore[assignment]
        ended: list[bool] = []
        thread = threading.Thread(target=lambda: ended.append(events.wait(LONG)))
        thread.start()
        polls.sleeps.wait(LONG)
        events.wake()
        thread.join(LONG)
        assert ended == [False]
        assert polls.count == 1
        assert not events.wait(LONG), "whoever waits after a wake does not wait"
    events.wake()  # nor does one after the end fail


def test_a_burst_is_one_event(tmp_path: Path) -> None:
    with FolderEvents([str(tmp_path)]) as events:
        for number in range(100):
            (tmp_path / str(number)).touch()
        assert events.wait(LONG)
        assert not events.wait(0)


def test_a_folder_that_cannot_be_watched_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        FolderEvents([str(tmp_path), str(tmp_path / "missing")])
    with pytest.raises(NotADirectoryError):
        FolderEvents([str(tmp_path / "file")])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
