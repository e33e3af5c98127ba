"""The thread behind :class:`~wakit.declare.watching.Watcher`: it waits for hints, reads, and tells what is new.

Level-based: an event of the file system is only a reason to look, a look reads everything and compares it with what was
told last. So lost, doubled and misleading events do no harm, and a slow resync looks even without one.

A look that finds something new waits until it is whole. An editor's save passes through states that are not anybody's
intention (an empty file, half a file, none at all):

- two reads :attr:`Timing.settle` apart must agree;
- content that looks cut off (a beginning of what was there, or a last line without its end) must stand still for
  :attr:`Timing.suspicious`, because half a declaration can be a valid one with fewer sessions;
- what does not load, or is missing, has :attr:`Timing.grace` to become whole before it is told as broken.

inotify comes through watchfiles' low-level interface, in a thread of our own: its ``awatch`` waits in anyio's pool,
whose threads outlive a cancelled watch, and neither it nor ``watch`` tells when the watch stands, which is when the
first look must happen lest a save falls in between. Where inotify cannot be had (its limits are used up)
the files are read every :attr:`Timing.poll` seconds until it can. watchfiles' own polling is not used: it compares
times in whole seconds, so a second save within one is lost.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from watchfiles._rust_notify import RustNotify  # documented as its low-level interface

from wakit.core.declaration import Declaration
from wakit.declare import places
from wakit.declare.gitstate import git_files, read_git_state
from wakit.declare.loading import Source, parse, read_source
from wakit.declare.problems import DeclarationErrors
from wakit.errors import DeclarationError, Location

_AT_ONCE_MS: Final = 1  # what has been gathered is asked for, not waited for: its wait is a tick

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The file holds a declaration that was not told before."""

    declaration: Declaration


@dataclass(frozen=True, slots=True)
class Broken:
    """The file does not hold a declaration; the last good one stays in force."""

    error: DeclarationErrors


Change: TypeAlias = Loaded | Broken


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, in seconds.

    Attributes:
        resync: After this long the file is read again even without an event.
        settle: Two reads this far apart must agree.
        suspicious: Content that looks cut off must stand still this long.
        grace: A broken or missing file has this long to become whole.
        gather: Between two questions whether there were events.
        poll: Between two reads where inotify is not available.
    """

    resync: float = 30.0
    settle: float = 0.04
    suspicious: float = 0.4
    grace: float = 1.0
    gather: float = 0.25
    poll: float = 0.25


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one look saw: bytes or an error, and how git's files stood."""

    source: Source | None
    error: DeclarationErrors | None
    git: tuple[places.FileSignature, ...]

    def same_content(self, other: _Sight | None) -> bool:
        if other is None or (self.error is None) != (other.error is None):
            return False
        return self.source == other.source and str(self.error) == str(other.error)


class Follower:
    """Follows one file until it is stopped.

    Args:
        path: The file.
        environ: The environment of every load.
        tell: Called with each change, in the thread that runs :meth:`run`.
        known: The declaration already in force; only what differs from it is told. None tells the first state.
        timing: How long things may take.
        polling: True never uses inotify.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        environ: Mapping[str, str],
        tell: Callable[[Change], None],
        *,
        known: Declaration | None = None,
        timing: Timing | None = None,
        polling: bool = False,
    ) -> None:
        self._display = os.fspath(path)
        # Made absolute once: a daemon may change its working directory later.
        self._path = Path(os.path.abspath(self._display))  # noqa: PTH100 - symlinks are followed at each look
        self._environ = environ
        self._tell = tell
        self._timing = timing or Timing()
        self._polling = polling
        self._stop = threading.Event()
        self._git_files: tuple[Path, Path] | None = None
        self._git_marks: object = None  # as they were when git was asked
        self._seen: _Sight | None = None
        self._good = known
        self._good_bytes = b""  # what _good was made of, once a look has confirmed it
        self._broken: str | None = None

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from any thread, more than once."""
        self._stop.set()

    def run(self) -> None:
        """Look and tell until stopped; blocks.

        What the file system refuses on the way to the file is told as :class:`Broken`, and looked at again and again:
        the fleet that runs needs no file, so it is no reason to stop following.
        """
        while not self._stop.is_set():
            try:
                self._follow()
            except OSError as error:
                self._seen = None  # the next look tells what it finds, also if it is what was there before
                self._tell_if_new(Broken(_out_of_reach(self._display, error)))
                self._stop.wait(self._timing.poll)

    def _follow(self) -> None:
        """Follow the file until its folders are not the ones that are watched, or the resync period is over."""
        self._find_git()
        folders = self._folders()
        ends = time.monotonic() + self._timing.resync
        with closing(self._hints([folder for folder, _, _ in folders])) as hints:
            for _ in hints:
                self._look()
                # A folder was replaced, a link points elsewhere, or it is time to see anew where git lives.
                if self._stop.is_set() or self._folders() != folders or time.monotonic() >= ends:
                    break

    def _find_git(self) -> None:
        """Ask git where it lives, unless that cannot have changed since it said so."""
        marks = places.git_marks(self._path)
        if marks != self._git_marks:
            self._git_files = git_files(self._path)
            # What it could not say (it took too long, it refuses a stranger's repository) it may say the next time.
            self._git_marks = marks if self._git_files is not None or not marks else None

    def _folders(self) -> frozenset[places.FolderIdentity]:
        folders = places.folders_of(self._path)
        return folders | places.folders_of_git(self._git_files[0]) if self._git_files else folders

    def _hints(self, folders: list[str]) -> Generator[None, None, None]:
        """Yield whenever it is worth looking: once the watch stands, after events, after the resync period."""
        if not self._polling:
            try:
                yield from self._events(folders)
            except (OSError, RuntimeError) as error:  # no inotify left, or a folder vanished before its watch stood
                _log.debug("no file system events, reading every %s s instead: %s", self._timing.poll, error)
            else:
                return
        yield
        while not self._stop.wait(self._timing.poll):
            yield

    def _events(self, folders: list[str]) -> Generator[None, None, None]:
        with RustNotify(folders, False, False, 0, False, False) as notify:
            yield
            looked = time.monotonic()
            while not self._stop.wait(self._timing.gather):
                events = notify.watch(_AT_ONCE_MS, _AT_ONCE_MS, _AT_ONCE_MS, None)
                if events != "timeout" or time.monotonic() - looked >= self._timing.resync:
                    yield
                    looked = time.monotonic()

    def _look(self) -> None:
        sight = self._read()
        if sight.same_content(self._seen):
            if self._seen is None or sight.git == self._seen.git:
                return
            self._seen = sight
            self._tell_git()
        elif (settled := self._settle(sight)) is not None:
            self._seen, change = settled
            self._tell_if_new(change)

    def _read(self) -> _Sight:
        git = places.git_signature(*self._git_files) if self._git_files else ()
        try:
            return _Sight(read_source(self._path, display=self._display), None, git)
        except DeclarationErrors as error:
            return _Sight(None, error, git)

    def _settle(self, sight: _Sight) -> tuple[_Sight, Change] | None:
        """Wait until the file stands still and is whole, or until it has had its time; None when stopped."""
        since = time.monotonic()
        change: Change | None = None
        while not self._stop.wait(self._timing.settle):
            now = self._read()
            quiet = time.monotonic() - since
            if not now.same_content(sight):
                sight, since, change = now, time.monotonic(), None
            elif quiet >= self._timing.suspicious or not self._looks_cut_off(now):
                if change is None:
                    change = self._judge(now)
                if isinstance(change, Loaded) or quiet >= self._timing.grace:
                    return now, change
        return None

    def _judge(self, sight: _Sight) -> Change:
        if sight.source is None:
            assert sight.error is not None
            return Broken(sight.error)
        try:
            return Loaded(parse(sight.source, environ=self._environ, git=read_git_state(self._path)))
        except DeclarationErrors as error:
            return Broken(error)

    def _looks_cut_off(self, sight: _Sight) -> bool:
        if sight.source is None or not self._good_bytes:
            return False
        data = sight.source.data
        lost_its_end = self._good_bytes.endswith(b"\n") and not data.endswith(b"\n")
        return lost_its_end or (self._good_bytes != data and self._good_bytes.startswith(data))

    def _tell_if_new(self, change: Change) -> None:
        match change:
            case Loaded(declaration):
                assert self._seen is not None
                assert self._seen.source is not None
                new = self._broken is not None or declaration != self._good
                self._good, self._good_bytes, self._broken = declaration, self._seen.source.data, None
            case Broken(error):
                text = "\n".join(map(str, error.problems))
                new = text != self._broken
                self._broken = text
            case _ as unreachable:
                assert_never(unreachable)
        if new:
            self._tell(change)

    def _tell_git(self) -> None:
        """The content is as it was, but a commit, a checkout or a ``git add`` may have changed its place."""
        if self._good is None or self._broken is not None:
            return
        state = read_git_state(self._path)
        if state != self._good.git:
            self._good = replace(self._good, git=state)
            self._tell(Loaded(self._good))


def _out_of_reach(display: str, error: OSError) -> DeclarationErrors:
    problem = DeclarationError(
        "the way to the file cannot be looked at",
        location=Location(display),
        why=error.strerror or type(error).__name__,
        hint="the user of the daemon needs to search every folder above it",
    )
    return DeclarationErrors([problem])
