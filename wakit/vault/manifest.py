"""``manifest.json``: what a backup is, written last, so that a backup without one was never finished.

It proves itself: its checksum is part of it, and its bytes must be the ones that wakit would write for what it says. So
a flipped bit is found wherever it is, in a date as well as in a hash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Final

import msgspec

from wakit.vault.record import refusal

VERSION: Final = 1
MANIFEST: Final = "manifest.json"
_LARGEST: Final = 1 << 20


class Why(StrEnum):
    """What a backup was taken for."""

    PAIRED = "paired"
    CONNECTED = "connected"
    BEFORE_PAIRING = "before_pairing"
    BEFORE_RESTORE = "before_restore"
    BEFORE_RETIRE = "before_retire"
    BEFORE_LOGOUT = "before_logout"
    BEFORE_RENAME = "before_rename"
    BEFORE_EXPORT = "before_export"
    BEFORE_IMPORT = "before_import"
    DAEMON_START = "daemon_start"
    SCHEDULE = "schedule"
    SHUTDOWN = "shutdown"
    MANUAL = "manual"


class Sealed(msgspec.Struct, frozen=True):
    """The encrypted file that is kept instead of the database.

    Attributes:
        sha256: Of the sealed bytes: tells of a flipped bit without the key.
        size: Of the sealed bytes.
        recipients: Short names of the public keys it is sealed for.
    """

    sha256: str
    size: int
    recipients: tuple[str, ...]


class Versions(msgspec.Struct, frozen=True):
    """What was installed when a backup was made; ``sqlite`` is the library that copied it."""

    wakit: str
    neonize: str
    sqlite: str


class Manifest(msgspec.Struct, frozen=True):
    """The content of ``manifest.json``.

    Attributes:
        version: Of this format.
        created_at: When (UTC).
        why: What for.
        session: The session's name then; a renamed one takes its backups along.
        namespace: Its namespace then.
        account: Keyed hash of the account in the database.
        epoch: Of the credential's last start.
        sha256: Of the plain database.
        size: Of the plain database.
        rows: Of each table.
        source: Digest of the files it was copied from, to tell whether anything was written since.
        made_with: What it was made with.
        sealed: The encrypted file, or None if the database is kept as it is.
        checksum: Of all the rest.
    """

    version: int
    created_at: datetime
    why: Why
    session: str
    namespace: str
    account: str
    epoch: int
    sha256: str
    size: int
    rows: Mapping[str, int]
    source: str
    made_with: Versions
    sealed: Sealed | None = None
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something of a backup cannot be used.

    Attributes:
        problem: In words.
        unknown: Nothing can be said of it now or by this wakit; it may be sound.
    """

    problem: str
    unknown: bool = False


class _Envelope(msgspec.Struct):
    version: int


def encode(manifest: Manifest) -> bytes:
    """Write a manifest down, with its checksum."""
    blank = msgspec.structs.replace(manifest, checksum="")
    checksum = sha256(msgspec.json.encode(blank)).hexdigest()
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(blank, checksum=checksum)), indent=2) + b"\n"


def decode(data: bytes) -> Manifest | Trouble:
    """Read a manifest, or say why it is none. Never raises."""
    try:
        version = msgspec.json.decode(data, type=_Envelope).version
        if version > VERSION:
            return Trouble("a newer wakit wrote it, and only that one can read it", unknown=True)
        manifest = msgspec.json.decode(data, type=Manifest)
        sound = encode(manifest) == data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        sound = False
    return manifest if sound else Trouble("its manifest is damaged")


def read(folder: Path) -> Manifest | Trouble:
    """Read the manifest in a folder, or say why there is none. Never raises."""
    path = folder / MANIFEST
    try:
        if why := refusal(path):
            return Trouble(f"its manifest is refused: {why}")
        with path.open("rb") as file:
            return decode(file.read(_LARGEST))
    except FileNotFoundError:
        return Trouble("its manifest is missing")
    except OSError as error:
        return Trouble(f"its manifest cannot be read now: {error.strerror}", unknown=True)


@cache
def versions() -> Versions:
    """Name the versions that a manifest carries, without loading anything."""
    return Versions(_installed("wakit"), _installed("neonize"), sqlite3.sqlite_version)


def _installed(distribution: str) -> str:
    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return "unknown"
