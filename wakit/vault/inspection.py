"""Is this file a credential the library can be given?

Every file is looked at before a start, from the daemon's process: two SQLite libraries in one process would defeat each
other's POSIX locks, hence never in the worker. SQLite itself sees little: of single flipped bytes ``integrity_check``
found 30 % (measured). So what must never change while a device is linked, its own keys, is fingerprinted, and what a
clean stop left behind is compared byte by byte (:class:`~wakit.vault.record.CleanStop`).
"""

from __future__ import annotations

import hmac
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from wakit.errors import CredentialUnreadableError
from wakit.redact import account_hash
from wakit.vault.device import Device, device_of
from wakit.vault.problems import Problem, with_consequence
from wakit.vault.record import refusal

DEVICES: Final = "whatsmeow_device"
_MAGIC: Final = b"SQLite format 3\x00"
_HEADER: Final = 100  # bytes of an SQLite header (sqlite.org/fileformat2.html, 1.3)
# The primary result codes that speak of the file's content (sqlite.org/rescode.html). Every other one (FULL, IOERR,
# BUSY, CANTOPEN, PERM, ...) speaks of the moment, and says nothing about the credential.
_DAMAGE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# integrity_check tells of a page it could not get in a row, not by failing.
_ROW_CODE: Final = re.compile(r"error code=(\d+)")
# What whatsmeow writes once, when a device is linked: insertDeviceQuery in its store/sqlstore/container.go leaves these
# out of what it updates.
_KEYS: Final = (
    "jid",
    "registration_id",
    "noise_key",
    "identity_key",
    "signed_pre_key",
    "signed_pre_key_id",
    "signed_pre_key_sig",
    "adv_key",
    "adv_details",
    "adv_account_sig",
    "adv_account_sig_key",
    "adv_device_sig",
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspection found.

    Attributes:
        kind: What is wrong, or None.
        problem: The same as a plain sentence with its consequence, or "" when the credential is sound.
        linked: There is exactly one device row.
        account: Keyed hash of the account in that row, or None.
        keys: Keyed hash of the device's own keys, which never change while it is linked, or None.
        device: The device in that row, or None.
        unreadable: It could not be looked at; nothing is known about the credential.
        mended: What was wrong and is no longer, without a loss, as a plain sentence; or "".
    """

    kind: Problem | None = None
    problem: str = ""
    linked: bool = False
    account: str | None = None
    keys: str | None = None
    device: Device | None = None
    unreadable: bool = False
    mended: str = ""

    @classmethod
    def of(cls, kind: Problem, said: str) -> Inspection:
        """Return a finding."""
        return cls(kind, with_consequence(kind, said))


def inspect(database: Path, key: bytes, *, untouched: bool = False) -> Inspection:
    """Look at a credential database that no worker uses now.

    Opening it lets SQLite take over what a killed worker left in the write-ahead log, as the next worker would.

    Args:
        database: ``creds.db``.
        key: The state directory's account key.
        untouched: Leave everything as it is, and look at what is in the file itself.
    """
    mode = "mode=ro&immutable=1" if untouched else "mode=rw"
    try:
        if (found := _from_outside(database)) is not None:
            return found
    except OSError as error:
        return Inspection(problem=f"the credential database cannot be read: {error.strerror}", unreadable=True)
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?{mode}", uri=True, timeout=5.0)) as connection:
            connection.text_factory = _decode
            return _from_inside(connection, key)
    except sqlite3.Error as error:
        return _failed(error)
    except UnicodeDecodeError:  # Python cannot even say SQLite's message, which quotes what it found
        return Inspection.of(Problem.DAMAGED, "the credential database is damaged (its schema is no text)")


def _from_outside(database: Path) -> Inspection | None:
    """Say what is wrong with the files before SQLite opens them, or None."""
    beside = [database.with_name(database.name + suffix) for suffix in ("-wal", "-shm")]
    try:
        for path in (database, *beside):
            if why := _refusal(path, needed=path is database):
                return Inspection.of(Problem.REFUSED, f"the credential file {path.name} is refused: {why}")
        with database.open("rb") as file:
            head = file.read(_HEADER)
    except FileNotFoundError:
        return Inspection.of(Problem.MISSING, "the credential database is missing")
    if not head:
        return Inspection.of(Problem.EMPTY, "the credential database is empty (zero bytes)")
    if head[: len(_MAGIC)] != _MAGIC:
        return Inspection.of(Problem.NOT_A_DATABASE, "the credential file is not an SQLite database")
    wal = beside[0]
    written_ahead = wal.exists() and wal.stat().st_size > 0  # then the file's end may still lie there
    if not written_ahead and database.stat().st_size < _size_by(head):
        return Inspection.of(Problem.TRUNCATED, "the credential database is cut off: its end is missing")
    return None


def _size_by(head: bytes) -> int:
    """Return how large the header says that the database is; 0 if it does not say."""
    if len(head) < _HEADER:
        return _HEADER
    page = int.from_bytes(head[16:18], "big")
    counted = head[24:28] == head[92:96]  # the page count is valid only if these two agree
    return (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big") if counted else 0


def _from_inside(connection: sqlite3.Connection, key: bytes) -> Inspection:
    verdict = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if verdict != "ok":
        return _bad_pages(verdict)
    if any("\ufffd" in str(row[0]) for row in connection.execute("SELECT sql FROM sqlite_master")):
        return Inspection.of(Problem.DAMAGED, "the credential database is damaged (its schema is no text)")
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({DEVICES})")]
    if "jid" not in columns:
        return Inspection.of(Problem.WRONG_SCHEMA, "the database is no credential: it has no table of devices")
    wanted = [name for name in _KEYS if name in columns]
    rows = connection.execute(f"SELECT {', '.join(wanted)} FROM {DEVICES}").fetchall()  # noqa: S608 - names of ours
    if not rows:
        return Inspection.of(
            Problem.NO_DEVICE, "the credential database holds no device: it was unlinked, or never paired"
        )
    if len(rows) > 1:
        return Inspection.of(
            Problem.SEVERAL_DEVICES, f"the credential database holds {len(rows)} devices; wakit keeps one in each"
        )
    row = dict(zip(wanted, rows[0], strict=True))
    device = device_of(row["jid"], row.get("noise_key"))
    account = account_hash(device.user.reveal(), key)
    known = device if "noise_key" in row else None
    return Inspection(linked=True, account=account, keys=_fingerprint(rows[0], key), device=known)


def _decode(text: bytes) -> str:
    """Read a text that may be damaged: SQLite quotes names out of a broken schema as they are."""
    return text.decode("utf-8", "replace")


def _fingerprint(row: tuple[object, ...], key: bytes) -> str:
    """Name the device's keys without telling them: a keyed hash, 16 hex digits."""
    mac = hmac.new(key, b"device keys", sha256)
    for value in row:
        part = value if isinstance(value, bytes) else repr(value).encode()
        mac.update(len(part).to_bytes(4, "big") + part)
    return mac.hexdigest()[:16]


def _refusal(path: Path, *, needed: bool) -> str:
    try:
        return refusal(path)
    except FileNotFoundError:
        if needed:
            raise
        return ""


def _bad_pages(verdict: str) -> Inspection:
    code = _ROW_CODE.search(verdict)
    if code is not None and int(code[1]) & 0xFF not in _DAMAGE:
        return Inspection(problem="the credential database cannot be read: a page could not be got", unreadable=True)
    return Inspection.of(Problem.DAMAGED, "the credential database is damaged (integrity_check)")


def readable(folder: Path, found: Inspection) -> Inspection:
    """Return what was found.

    Raises:
        CredentialUnreadableError: Nothing was, because the system did not let it be read.
    """
    if found.unreadable:
        raise CredentialUnreadableError(
            f"The credential in {folder} cannot be read now",
            why=found.problem,
            hint="mend the disk or the permissions; it is looked at again by itself",
        )
    return found


def speaks_of_damage(error: sqlite3.Error) -> bool:
    """Return whether an error is about what the file holds, rather than about the moment."""
    # Errors of Python's own making carry no code; they are about what a value holds.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _DAMAGE  # the extended code's low byte is the primary one


def _failed(error: sqlite3.Error) -> Inspection:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if not speaks_of_damage(error):
        return Inspection(problem=f"the credential database cannot be read ({name})", unreadable=True)
    return Inspection.of(Problem.DAMAGED, f"the credential database is damaged or incomplete ({name})")
