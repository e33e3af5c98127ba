"""What killed operations leave behind, made of real credentials, and how each is brought back to life.

The operations are those of the scripts that are killed everywhere (``killed_*.py``); here they work on what the stock
client made by pairing, its newest rows in the write-ahead log only, as a killed worker leaves them.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import backed
import killed_backup
import killed_bundle
import killed_operation
from credentials import NUMBER, Clock
from places import place
from pyrage import x25519
from support.killing import Killed

from wakit.core.observation import Credential
from wakit.errors import CredentialError
from wakit.redact import account_hash
from wakit.vault import Vault
from wakit.vault.folder import DATABASE
from wakit.vault.layout import open_layout
from wakit.vault.manifest import Why

OTHER = "34600000002"
USERS = dict(zip(killed_bundle.NAMES, (OTHER, NUMBER), strict=True))
_rows = count(1)

# The account of a session, and the database that is given to the library.
Life = tuple[str, Path]


@dataclass(frozen=True)
class Originals:
    """Folders that hold really paired databases as killed clients left them, by account."""

    folder: Path

    def put(self, user: str, target: Path) -> None:
        for file in (self.folder / user).glob("creds.db*"):
            shutil.copy(file, target)


@dataclass(frozen=True)
class Scene:
    """A script's operations.

    Attributes:
        script: Its path.
        prepare: Makes a template for an operation.
        lives: The ways on from what a killed operation left, each in a copy of its own.
    """

    script: str
    prepare: Callable[[Originals, Path, str], Path]
    lives: Callable[[str, Path], Iterator[Life]]


def change(database: Path) -> None:
    """Add what a conversation adds, to a database that nobody has open."""
    with closing(sqlite3.connect(database)) as connection, connection:
        add_session(connection)


def add_session(connection: sqlite3.Connection) -> None:
    (device,) = connection.execute("SELECT jid FROM whatsmeow_device").fetchone()
    row = (device, f"{next(_rows)}.0", bytes(800))
    connection.execute("INSERT INTO whatsmeow_sessions (our_jid, their_id, session) VALUES (?, ?, ?)", row)


def change_and_crash(folder: Path) -> None:
    """Leave what was written last in the log, as a worker that is killed does."""
    left = folder.with_name("left")
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        add_session(writer)
        left.mkdir()
        for file in folder.glob("creds.db*"):
            shutil.copy(file, left)
    for file in folder.glob("creds.db*"):
        file.unlink()
    for file in left.iterdir():
        file.rename(folder / file.name)
    left.rmdir()


# --- backups of one credential, without a vault around it


def with_backups(originals: Originals, template: Path, operation: str) -> Path:
    folder = template / "sales" / "shared"
    folder.mkdir(parents=True, mode=0o700)
    originals.put(NUMBER, folder)
    for number in range(5 if operation == "prune" else 2):
        if number:
            change(folder / DATABASE)
        clock = Clock(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number))
        backed.backups(folder, now=clock).take(Why.SCHEDULE, backed.RECORD)
    if operation != "take the same":
        change_and_crash(folder)
    if operation == "put back":
        for file in folder.glob("creds.db*"):
            file.unlink()
    (folder / "key.pub").write_text(str(x25519.Identity.generate().to_public()))
    return folder


def lives_of_backups(operation: str, left: Path) -> Iterator[Life]:
    """As it was left, and with the newest backup put back in its place, as if the disk took the original as well."""
    folder = left / "sales" / "shared"
    if (folder / DATABASE).exists():
        yield NUMBER, copied(folder) / DATABASE
    for file in folder.glob("creds.db*"):
        file.unlink()
    newest = backed.backups(folder).newest_good(backed.ACCOUNT, sealed=False)
    assert newest is not None, "a good one was there"
    backed.backups(folder).put_back(newest, folder / DATABASE, account=backed.ACCOUNT)
    yield NUMBER, folder / DATABASE


# --- the vault's operations


def with_a_vault(originals: Originals, template: Path, operation: str) -> Path:
    open_layout(template)
    vault = killed_operation.opened(template)
    folder = vault.prepare_pairing("a").directory
    originals.put(NUMBER, folder)
    vault.mark_paired("a", account_hash(NUMBER, vault.key))
    for _ in range(3):
        vault.prepare_restore("a")
        change(folder / DATABASE)
        vault.backup("a", Why.MANUAL)
    vault.prepare_restore("a")
    change_and_crash(folder)
    if operation == "revive":
        vault.retire("a", keep=False)
    if operation == "restore":
        (folder / DATABASE).write_bytes(b"")  # so that a backup has to be put back
    return template


def lives_of_a_vault(operation: str, left: Path) -> Iterator[Life]:
    """As it was left, and after the operation was done again."""
    vault = killed_operation.opened(copied(left))
    yield NUMBER, started(vault)
    vault = killed_operation.opened(left)
    with suppress(CredentialError):  # it was done already
        killed_operation.OPERATIONS[operation](vault)
    yield NUMBER, started(vault)


def started(vault: Vault) -> Path:
    """What a worker is given of the only credential there is, once it is in use again."""
    found = {name: vault.settle(name).credential for name in ("a", "b")}
    (name,) = (name for name, credential in found.items() if credential is not Credential.ABSENT)
    if found[name] is Credential.ARCHIVED:
        vault.revive(name)
    return vault.prepare_restore(name).directory / DATABASE


# --- export and import


def with_two_places(originals: Originals, template: Path, operation: str) -> Path:
    here = place(template / "here")
    for name, user in USERS.items():
        folder = here.vault.prepare_pairing(name).directory
        originals.put(user, folder)
        here.vault.mark_paired(name, account_hash(user, here.vault.key))
        here.vault.prepare_restore(name)
        change_and_crash(folder)
    if operation != "give":
        here.give(template / "moved.age", *killed_bundle.NAMES)
    place(template / "there")
    return template


def lives_of_places(operation: str, left: Path) -> Iterator[Life]:
    """Whoever has a credential as it was left, and, of what was given away, the place that the bundle is taken to."""
    place_of = "there" if operation == "take" else "here"
    first = place(copied(left) / place_of)
    given = set()
    for name, user in USERS.items():
        if first.vault.settle(name).credential is Credential.PRESENT:
            yield user, first.vault.prepare_restore(name).directory / DATABASE
        else:
            given.add(name)
    if operation == "give" and not given:
        return
    then = place(left / ("there" if operation == "give" else place_of))
    with suppress(CredentialError):  # it was taken already
        then.take(left / "moved.age")
    for name in given if operation == "give" else USERS:
        yield USERS[name], then.vault.prepare_restore(name).directory / DATABASE


SCENES: dict[str, Scene] = {
    "backups": Scene(killed_backup.__file__, with_backups, lives_of_backups),
    "vault": Scene(killed_operation.__file__, with_a_vault, lives_of_a_vault),
    "bundles": Scene(killed_bundle.__file__, with_two_places, lives_of_places),
}
OPERATIONS = [
    *(("backups", operation) for operation in killed_backup.OPERATIONS),
    *(("vault", operation) for operation in killed_operation.OPERATIONS),
    *(("bundles", operation) for operation in killed_bundle.OPERATIONS),
]


# --- which of them are the same

_TIMES = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z|\d{8}T\d{12}Z")
_RANDOM = re.compile(
    rb"\.[0-9a-f]{8}\.tmp|(?<=Z-)[0-9a-f]{8}|(?<=imported/)[0-9a-f]{16}"
    rb'|(?<="(?:checksum)": ")[0-9a-f]{64}|(?<="(?:given_to)": ")[0-9a-f]{16}|(?<="imported_from": ")[0-9a-f]{16}'
)


def same(point: Killed) -> str:
    """Name a state: equal for two points that left the same files with the same content, but for times and chance."""
    digest = hashlib.sha256()
    for path in sorted(point.folder.rglob("*"), key=lambda path: _plain(str(path).encode())):
        digest.update(_plain(str(path.relative_to(point.folder)).encode()) + b"\0")
        if path.is_file():
            digest.update(hashlib.sha256(_content(path)).digest())
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    if ".age" in path.name:
        return str(path.stat().st_size).encode()  # sealed anew each time, or with the moment in it
    data = path.read_bytes()
    return _plain(data) if ".json" in path.name else data


def _plain(text: bytes) -> bytes:
    return _RANDOM.sub(b"", _TIMES.sub(b"", text))


def copied(folder: Path) -> Path:
    """A copy beside what is to be copied."""
    target = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, target)
    return target
