"""One backup's folder: what it says of itself, and whether that is true.

A look compares the manifest with names and sizes, and costs next to nothing. Verifying reads the bytes: first their
hash, which tells every flipped bit, then SQLite, which tells nearly none but would tell a manifest made for a bad file.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from wakit.errors import CredentialError
from wakit.redact import Secret
from wakit.vault.disk import file_sha256
from wakit.vault.folder import DATABASE
from wakit.vault.inspection import inspect
from wakit.vault.manifest import MANIFEST, Manifest, Trouble, read
from wakit.vault.record import refusal
from wakit.vault.sealing import unseal

_NAME: Final = re.compile(r"([0-8]\d{7}T\d{12}Z)-([0-9a-f]{8})")
_STAMP: Final = "%Y%m%dT%H%M%S%fZ"


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


def check_bytes(backup: Backup) -> Backup:
    """Read the copy and compare its hash."""
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


def verify(backup: Backup, key: bytes) -> Backup:
    """Read the copy, compare its hash, and look at the database in it, unless it is sealed."""
    backup = check_bytes(backup)
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
        SealError: It is sealed, and no key fits.
        OSError: As the system says.
    """
    manifest = backup.manifest
    if manifest is None or not backup.good:
        raise unusable(backup)
    data = (backup.folder / copy_name(manifest)).read_bytes()
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
