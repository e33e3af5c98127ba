"""One backup's folder: what it says of itself, and whether that is true.

A look compares the manifest with names and sizes, and costs next to nothing. Verifying reads the bytes: first their
hash, which tells every flipped bit, then SQLite, which tells nearly none but would tell a manifest made for a bad file.

What was read and found good is known for a day, as long as the file is the very same (:class:`Known`).
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

from wakit.errors import CredentialError, CredentialUnreadableError
from wakit.redact import Secret
from wakit.vault.disk import file_sha256
from wakit.vault.folder import DATABASE
from wakit.vault.inspection import inspect
from wakit.vault.manifest import MANIFEST, Manifest, Trouble, read
from wakit.vault.record import refusal
from wakit.vault.sealing import unseal

_NAME: Final = re.compile(r"([0-8]\d{7}T\d{12}Z)-([0-9a-f]{8})")
_STAMP: Final = "%Y%m%dT%H%M%S%fZ"
_KNOWN_FOR: Final = timedelta(days=1)  # disks rot in silence
_SETTLED: Final = (
    2 * 10**9
)  # ns since the last change: a file's times tick too coarsely to tell two changes in a moment
_Identity: TypeAlias = tuple[int, int, int, int, int, str]


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup and what is known of it.

    Attributes:
        folder: Where it lies.
        size: Bytes on the disk.
        manifest: What it says of itself, or None if that cannot be read.
        problem: Why it must not be used, in words, or "".
        unknown: The problem says nothing about the backup: it could not be read now, or not by this wakit.
    """

    folder: Path
    size: int = 0
    manifest: Manifest | None = None
    problem: str = ""
    unknown: bool = False

    @property
    def name(self) -> str:
        """The folder's name; a later backup has a greater one."""
        return self.folder.name

    @property
    def good(self) -> bool:
        """Nothing is known against it."""
        return not self.problem

    @property
    def stamp(self) -> datetime:
        """The moment in its name (UTC), which is never before that of an older one."""
        return stamp_of(self.name) or datetime.min.replace(tzinfo=UTC)

    def but(self, trouble: Trouble | None) -> Backup:
        """Return it with what was found."""
        return self if trouble is None else replace(self, problem=trouble.problem, unknown=trouble.unknown)


class Known:
    """Backups that were read and found good, so that they are not read again at each turn.

    A file is the same while its inode, size and times are, and what its manifest says of it.

    Args:
        now: The clock (UTC).
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._good: dict[_Identity, tuple[datetime, bool]] = {}

    def has(self, backup: Backup, *, looked: bool) -> bool:
        """Return whether a backup is known to be good; with ``looked``, also the database in it."""
        identity = _identity(backup)
        if identity is None or identity not in self._good:
            return False
        at, looked_into = self._good[identity]
        return timedelta() <= self._now() - at < _KNOWN_FOR and looked_into >= looked

    def note(self, backup: Backup, *, looked: bool) -> None:
        """Note that a backup was read just now and is good."""
        identity, now = _identity(backup), self._now()
        if identity is None or time.time_ns() - max(identity[3:5]) < _SETTLED:
            return
        self._good = {key: value for key, value in list(self._good.items()) if now - value[0] < _KNOWN_FOR}
        self._good[identity] = now, looked

    def forget(self, backup: Backup) -> None:
        """Have a backup read again."""
        identity = _identity(backup)
        if identity is not None:
            self._good.pop(identity, None)


def _identity(backup: Backup) -> _Identity | None:
    if backup.manifest is None:
        return None
    try:
        status = (backup.folder / copy_name(backup.manifest)).lstat()
    except OSError:
        return None
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, *times, backup.manifest.checksum


def name_for(moment: datetime, digest: str) -> str:
    """Name a backup.

    Example:
        >>> name_for(datetime(2026, 1, 1, tzinfo=UTC), "0123456789ab")
        '20260101T000000000000Z-01234567'
    """
    return f"{moment.astimezone(UTC):{_STAMP}}-{digest[:8]}"


def stamp_of(name: str) -> datetime | None:
    """Return the moment in a backup's name, or None if it is no such name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def copy_name(manifest: Manifest) -> str:
    """Return the name of the file that is kept."""
    return f"{DATABASE}.age" if manifest.sealed else DATABASE


def written_sha256(manifest: Manifest) -> str:
    """Return the hash of the file that is kept."""
    return manifest.sealed.sha256 if manifest.sealed else manifest.sha256


def look(folder: Path) -> Backup:
    """Say what a folder holds, without reading the copy itself."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return Backup(folder, problem="it is refused: it is a link, or no folder")
        sizes = {entry.name: entry.lstat().st_size for entry in folder.iterdir()}
    except OSError as error:
        return Backup(folder, problem=f"it cannot be read now: {error.strerror}", unknown=True)
    backup = Backup(folder, size=sum(sizes.values()))
    manifest = read(folder)
    if isinstance(manifest, Trouble):
        return backup.but(manifest)
    return replace(backup, manifest=manifest).but(_mismatch(folder, manifest, sizes))


def check_bytes(backup: Backup, known: Known) -> Backup:
    """Read the copy and compare its hash."""
    checked = _compared(backup)
    if checked.good:
        known.note(checked, looked=False)
    return checked


def verify(backup: Backup, key: bytes, known: Known) -> Backup:
    """Read the copy, compare its hash, and look at the database in it, unless it is sealed."""
    verified = _looked_into(_compared(backup), key)
    if verified.good:
        known.note(verified, looked=True)
    return verified


def _compared(backup: Backup) -> Backup:
    manifest = backup.manifest
    if manifest is None or not backup.good:
        return backup
    try:
        digest = file_sha256(backup.folder / copy_name(manifest))
    except OSError as error:
        return backup.but(Trouble(f"it cannot be read now: {error.strerror}", unknown=True))
    return (
        backup
        if digest == written_sha256(manifest)
        else backup.but(Trouble("its bytes are not those that were written"))
    )


def _looked_into(backup: Backup, key: bytes) -> Backup:
    manifest = backup.manifest
    if manifest is None or manifest.sealed or not backup.good:
        return backup
    found = inspect(backup.folder / DATABASE, key)
    if found.problem:
        return backup.but(Trouble(found.problem, unknown=found.unreadable))
    return backup if found.account == manifest.account else backup.but(Trouble("it holds another account than it says"))


def plain_bytes(backup: Backup, *, identities: Sequence[Path] = (), passphrase: Secret | None = None) -> bytes:
    """Return the database that was copied, to the byte.

    Raises:
        CredentialError: These are not the bytes.
        CredentialUnreadableError: It cannot be read now.
        SealError: It is sealed, and no key fits.
    """
    manifest = backup.manifest
    if manifest is None or not backup.good:
        raise unusable(backup)
    try:
        data = (backup.folder / copy_name(manifest)).read_bytes()
    except OSError as error:
        raise CredentialUnreadableError.of(backup.folder, error) from None
    if manifest.sealed:
        data = unseal(data, identities=identities, passphrase=passphrase)
    if sha256(data).hexdigest() != manifest.sha256:
        raise unusable(backup.but(Trouble("its bytes are not those that were written")))
    return data


def unusable(backup: Backup) -> CredentialError:
    """Return the error for a backup that must not be used."""
    return CredentialError(f"The backup {backup.name} cannot be used", why=backup.problem, hint="take another one")


def _mismatch(folder: Path, manifest: Manifest, sizes: dict[str, int]) -> Trouble | None:
    copy = folder / copy_name(manifest)
    if copy.name not in sizes:
        return Trouble(f"its {copy.name} is missing")
    strangers = sorted(sizes.keys() - {copy.name, MANIFEST})
    if strangers:  # SQLite would take a log that lies beside a database for a part of it
        return Trouble(f"there is something beside it that was not written with it: {', '.join(strangers)}")
    try:
        why = refusal(copy)
    except OSError as error:
        return Trouble(f"its {copy.name} cannot be read now: {error.strerror}", unknown=True)
    if why:
        return Trouble(f"its {copy.name} is refused: {why}")
    if sizes[copy.name] != (manifest.sealed.size if manifest.sealed else manifest.size):
        return Trouble(f"its {copy.name} has another size than what was written")
    if not folder.name.endswith(f"-{manifest.sha256[:8]}"):
        return Trouble("its name belongs to another backup")
    return None
