"""The place where credentials are on their way out or in: private, for one command at a time, and empty afterwards."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from wakit.durable import sync_folder, write_file
from wakit.errors import HeldError, StateDirectoryError
from wakit.vault.folder import sweep
from wakit.vault.layout import Layout, private_folder


@contextmanager
def told(what: str, hint: str) -> Iterator[None]:
    """Say in our words what the system refuses."""
    try:
        yield
    except OSError as error:
        raise StateDirectoryError(what, why=error.strerror or type(error).__name__, hint=hint) from None


@contextmanager
def scratch(layout: Layout) -> Iterator[Path]:
    """Hold an empty private folder in the state directory, on the file system that credentials are moved within.

    What a killed command left in it is removed: it was copies only.

    Raises:
        HeldError: Another command exports or imports here.
    """
    with _alone(layout.root):
        folder = private_folder(layout.root / "transfer")  # refused if it is a link to elsewhere
        shutil.rmtree(folder)
        private_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what is left is copies, and the next one removes them


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(
                f"Nothing can be exported from {folder}, or imported into it, now",
                why="another command does that",
                hint="wait until it has ended",
            ) from None
        yield
    finally:
        os.close(descriptor)


class Import(msgspec.Struct, frozen=True):
    """That a bundle was taken in here, which is done once: what it holds is over as soon as it was used.

    Attributes:
        at: When (UTC).
        sessions: The names under which its credentials were taken in.
    """

    at: datetime
    sessions: tuple[str, ...]


def imported(layout: Layout, bundle: str) -> Import | None:
    """Return when a bundle was taken in here, or None."""
    try:
        data = _note(layout, bundle).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=Import)
    except msgspec.DecodeError:  # damaged, but there: what it said of the names is lost
        return Import(datetime.fromtimestamp(_note(layout, bundle).stat().st_mtime).astimezone(), ())


def note_import(layout: Layout, bundle: str, done: Import) -> None:
    """Note that a bundle was taken in; the caller has the scratch folder, so nobody else notes one now."""
    folder = private_folder(layout.root / "imported")
    sweep(folder)
    sync_folder(folder.parent)
    write_file(_note(layout, bundle), msgspec.json.encode(done))


def _note(layout: Layout, bundle: str) -> Path:
    return layout.root / "imported" / f"{bundle}.json"
