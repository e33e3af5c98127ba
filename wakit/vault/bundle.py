"""What travels: credentials and a manifest in one archive, which is sealed before it leaves and never lies about open.

A bundle comes from elsewhere, so nothing it says is believed. :func:`read` is total and bounded: any bytes give a
:class:`Bundle` whose members are those that the manifest names and hash to what it says, or a
:class:`~wakit.errors.BundleError`. No member is inflated beyond the size that was declared, and no declared size is
beyond :data:`MAX_DATABASE` and :data:`MAX_TOTAL`. Names in the archive are compared and never used as paths.

Whether a database is a credential is not decided here, but by looking into it (:mod:`wakit.vault.inspection`).
"""

from __future__ import annotations

import io
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Annotated, Final, Literal, TypeAlias

import msgspec

from wakit.core.declaration import SESSION_NAME
from wakit.errors import BundleError

VERSION: Final = 1
MANIFEST: Final = "manifest.json"
MAX_DATABASE: Final = 512 * 2**20
MAX_TOTAL: Final = 1024 * 2**20
"""Of all databases together, and so, with a little for the rest, of the file."""

MAX_FILE: Final = MAX_TOTAL + 64 * 2**20
MAX_SESSIONS: Final = 5_000
_MAX_MANIFEST: Final = 16 * 2**20
_MAX_DIRECTORY: Final = 128 * (MAX_SESSIONS + 1)  # an entry of ours takes some 55 bytes
_PIECE: Final = 2**18
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz"  # no digits: what masks numbers must not take an id for one

# The end of a ZIP archive (APPNOTE.TXT 4.3.16): signature, two disk numbers, entries here and in all, the directory's
# size and offset, the length of a comment.
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = b"PK\x06\x07"
_END_64_SIZE: Final = 20

_Id: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[a-z]{16}\Z")]
_Hash: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern=rf"\A{SESSION_NAME.pattern}\Z")]
_Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=100)]


class BundledSession(msgspec.Struct, frozen=True, kw_only=True):
    """One credential in a bundle.

    Attributes:
        name: The session's name where it comes from.
        namespace: The namespace of credentials it was in there.
        account: Hash of its account, keyed with the bundle's id: the same account in two bundles looks different.
        paired_at: When it was linked (UTC).
        epoch: How many starts it has seen.
        sha256: Of the database.
        size: Of the database, in bytes.
        rows: How many rows each of its tables has.
    """

    name: _Name
    namespace: _Name
    account: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    paired_at: _Moment
    epoch: _Count
    sha256: _Hash
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_DATABASE)]
    rows: dict[_Word, _Count]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says of itself.

    Attributes:
        format: Tells it from any other archive.
        version: Of the format.
        bundle: The bundle's id, random.
        created_at: When (UTC).
        wakit: The version that made it.
        library: The WhatsApp library and its version there.
        sessions: The credentials; the first one's database is the member ``0.db``, and so on.
    """

    format: Literal["wakit-bundle"] = "wakit-bundle"
    version: int = VERSION
    bundle: _Id
    created_at: _Moment
    wakit: _Word
    library: _Word
    sessions: Annotated[tuple[BundledSession, ...], msgspec.Meta(min_length=1, max_length=MAX_SESSIONS)]


class _Kind(msgspec.Struct, frozen=True):
    """As much of a manifest as every version of the format has."""

    format: Literal["wakit-bundle"]
    version: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive that was looked through: its members are whole.

    Attributes:
        manifest: What it says of itself.
        data: The archive.
    """

    manifest: Manifest
    data: bytes

    def extract(self, index: int, file: IO[bytes]) -> None:
        """Write one database into a file."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            for piece in _pieces(archive, archive.getinfo(member(index))):
                file.write(piece)


def new_id() -> str:
    """Return a fresh bundle id."""
    return "".join(secrets.choice(_LETTERS) for _ in range(16))


def member(index: int) -> str:
    """Name the member that holds a session's database.

    Example:
        >>> member(0)
        '0.db'
    """
    return f"{index}.db"


def write(manifest: Manifest, databases: Sequence[Path]) -> bytes:
    """Make an archive.

    Raises:
        BundleError: It would be larger than what :func:`read` takes.
    """
    if len(databases) > MAX_SESSIONS:
        raise _too_big(f"more than {MAX_SESSIONS} sessions", "export them in several bundles")
    for session in manifest.sessions:
        if session.size > MAX_DATABASE:
            raise _too_big(f"the credential of {session.name!r} has {session.size} bytes", "leave it out")
    if sum(session.size for session in manifest.sessions) > MAX_TOTAL:
        raise _too_big(f"the credentials have more than {MAX_TOTAL} bytes", "export them in several bundles")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # A ZipInfo of its own has no time of the machine in it, and no mode.
        archive.writestr(_entry(MANIFEST), msgspec.json.encode(manifest))
        for index, database in enumerate(databases):
            archive.writestr(_entry(member(index)), database.read_bytes())
    return buffer.getvalue()


def read(data: bytes) -> Bundle:
    """Look through an archive, whatever it is.

    Raises:
        BundleError: It is no bundle, is damaged or too big, or a newer wakit made it.
    """
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = _manifest(archive)
            _check_members(archive, manifest)
    # What zipfile and zlib say, or trip over, when bytes are no archive or are not whole.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error) as error:
        raise _bad(f"it is damaged ({type(error).__name__})") from None
    return Bundle(manifest, data)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _check_directory(data: bytes) -> None:
    """Bound what zipfile builds in memory before it looks at any entry: it takes the directory's word for its size."""
    if len(data) > MAX_FILE:
        raise _too_big("it is larger than any bundle", "")
    if len(data) < _END.size:
        raise _bad("it is no archive")
    signature, disk, first, here, entries, size, offset, comment = _END.unpack_from(data, len(data) - _END.size)
    if signature != b"PK\x05\x06" or disk or first or here != entries or comment:
        raise _bad("it is no archive, or its end is missing")
    if size > _MAX_DIRECTORY or entries > MAX_SESSIONS + 1:
        raise _too_big("it has too many members", "")
    if offset + size + _END.size != len(data) or data[-_END.size - _END_64_SIZE :].startswith(_END_64):
        raise _bad("it has more in it than a bundle")


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    names = archive.namelist()
    if MANIFEST not in names:
        raise _bad("it has no manifest")
    entry = archive.getinfo(MANIFEST)
    if entry.file_size > _MAX_MANIFEST:
        raise _too_big("its manifest is too big", "")
    text = b"".join(_pieces(archive, entry))
    try:
        kind = msgspec.json.decode(text, type=_Kind)
        if kind.version > VERSION:
            raise BundleError(
                "The bundle cannot be read",
                why=f"a newer wakit made it (format {kind.version}, and this one knows {VERSION})",
                hint="install that wakit here, too",
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad("its manifest is not one of a bundle") from None
    named = [session.name for session in manifest.sessions]
    if len(set(named)) != len(named):
        raise _bad("it names a session twice")
    if sorted(names) != sorted([MANIFEST, *map(member, range(len(named)))]):
        raise _bad("it has other members than its manifest names")
    return manifest


def _check_members(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    if sum(session.size for session in manifest.sessions) > MAX_TOTAL:
        raise _too_big("its databases are larger than any bundle's", "")
    for index, session in enumerate(manifest.sessions):
        entry = archive.getinfo(member(index))
        if entry.file_size != session.size:
            raise _bad(f"the database of {session.name!r} has another size than its manifest says")
        digest = sha256()
        for piece in _pieces(archive, entry):
            digest.update(piece)
        if digest.hexdigest() != session.sha256:
            raise _bad(f"the database of {session.name!r} has another checksum than its manifest says")


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Inflate a member piece by piece; zipfile stops at the size that the entry declares."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _bad("a member is compressed in a way that bundles do not use")
    left = entry.file_size
    with archive.open(entry) as file:
        while piece := file.read(_PIECE):
            left -= len(piece)
            yield piece
    if left:
        raise _bad("a member is shorter than it says")


def _bad(why: str) -> BundleError:
    return BundleError(
        "The bundle cannot be used", why=why, hint="get it once more from where it was made; nothing was changed here"
    )


def _too_big(why: str, hint: str) -> BundleError:
    return BundleError("The bundle is too big", why=why, hint=hint or "a bundle of wakit never is; nothing was changed")
