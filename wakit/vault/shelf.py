"""The folder that backups lie in: how one appears there and how it goes.

::

    backups/  lock               whoever changes anything here holds it
              <utc>-<sha8>/      creds.db or creds.db.age, manifest.json
              .<anything>.tmp    unfinished; who holds the lock next clears it

A backup appears by one rename of its folder, after all in it is durable, and goes by one, before anything in it is
deleted. So what has a proper name is whole, or somebody else has been at it, which its hashes tell.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from wakit.durable import move, write_file
from wakit.errors import CredentialUnreadableError, HeldError
from wakit.vault.disk import FREE_SPACE_FLOOR, refused, remove, write
from wakit.vault.folder import present
from wakit.vault.layout import private_folder
from wakit.vault.manifest import MANIFEST, Manifest, encode
from wakit.vault.verification import Backup, copy_name, look, name_for, stamp_of, written_sha256

_PATIENCE: Final = 30.0  # for another process that is at the backups of the same credential
_UNFINISHED: Final = ".*.tmp"


class Shelf:
    """The backups in one folder.

    Args:
        place: ``sessions/<name>/<namespace>/backups``; made when it is first needed.
    """

    def __init__(self, place: Path) -> None:
        self.place = place

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of whoever changes anything, with no leftovers in the way.

        Raises:
            StateDirectoryError: The folder is a link, or somebody else's.
            HeldError: Another process has it for too long.
            BackupError: The block, or what comes before it, was refused by the disk.
        """
        try:
            private_folder(self.place)
            with FileLock(self.place / "lock", mode=0o600, timeout=_PATIENCE):
                self._clear()
                yield
        except Timeout:
            raise HeldError(
                f"The backups in {self.place} are in use",
                why="another process takes one or thins them out",
                hint="wait until it has ended",
            ) from None
        except OSError as error:
            raise refused(self.place, FREE_SPACE_FLOOR, error) from None

    def listed(self) -> list[Backup]:
        """List all, the newest first, each with what can be told without reading the copies.

        Raises:
            StateDirectoryError: The folder is a link, or somebody else's.
            CredentialUnreadableError: The system does not let them be listed now.
        """
        try:
            if not present(self.place):
                return []
            names = [entry.name for entry in private_folder(self.place).iterdir() if stamp_of(entry.name)]
        except OSError as error:
            raise CredentialUnreadableError.of(self.place, error) from None
        found = [look(self.place / name) for name in sorted(names, reverse=True)]
        return [backup for backup in found if present(backup.folder)]  # without those that went meanwhile

    def put(self, content: Iterable[bytes | memoryview], says: Manifest) -> Backup:
        """Make a backup; the lock is held.

        Raises:
            BackupError: What was written is not what the manifest says.
            OSError: As the system says; nothing is left then.
        """
        made = self.place / f".new.{secrets.token_hex(4)}.tmp"
        made.mkdir(mode=0o700)
        try:
            write(made / copy_name(says), content, sha256=written_sha256(says))
            write_file(made / MANIFEST, encode(says))
            target = self.place / self._name(says)
            move(made, target)
        except BaseException:
            with suppress(OSError):
                remove(made)
            raise
        return look(target)

    def discard(self, name: str) -> None:
        """Delete a backup; the lock is held.

        Raises:
            OSError: As the system says. It is off the list in any case, or still whole.
        """
        going = self.place / f".gone.{name}.tmp"
        move(self.place / name, going)
        remove(going)

    def _clear(self) -> None:
        for leftover in self.place.glob(_UNFINISHED):
            with suppress(OSError):  # what cannot go now is on no list, and must not keep backups from being taken
                _delete(leftover)

    def _name(self, says: Manifest) -> str:
        """Name a new backup; a clock that was put back must not make it look older than those before."""
        later = [backup.stamp + timedelta(microseconds=1) for backup in self.listed()]
        return name_for(max([says.created_at, *later]), says.sha256)


def _delete(leftover: Path) -> None:
    if leftover.is_dir() and not leftover.is_symlink():
        remove(leftover)
    else:
        leftover.unlink()
