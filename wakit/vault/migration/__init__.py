"""Other tools' credentials become wakit's, without a new QR.

Takes a Baileys folder or a whatsmeow store, gives one ``creds.db``. Runs where the vault runs, never in a worker.

A linked device is a handful of keys and an address. Whoever has them is the device, whatever the program. So to move
means: read them out of the other tool's files (:mod:`.baileys`, :mod:`.whatsmeow`), as rows for the library's tables
(:mod:`.belongings`), and write those into a database that the library itself has just made (:mod:`.writer`). No table
is described here: the caller hands in a function that lets the library open a path once, in a process of its own,
so that the tables are there and of its release.

What comes in is somebody else's and may be anything: it is read with bounds, no link is followed, nothing of it is
executed, and the other tool's files are not touched. What cannot be carried truthfully is left, and said.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wakit.errors import CredentialError
from wakit.redact import PhoneNumber
from wakit.vault.folder import DATABASE
from wakit.vault.migration import baileys, store, whatsmeow, writer
from wakit.vault.migration.belongings import Belongings, Migrated, masked
from wakit.vault.migration.files import shown
from wakit.vault.migration.recognise import Found, Kind, recognise

__all__ = ["Found", "Kind", "Migrated", "migrate", "recognise"]

_NEVER_AGAIN: Final = (
    "The other tool must never be started with this credential again: two clients of one device throw each other out, "
    "and each loses messages to the other."
)
_DELETE: Final = "Delete the other tool's copy once this session is connected."


def migrate(
    source: Path,
    target: Path,
    *,
    kind: Kind | None = None,
    account: PhoneNumber | None = None,
    blank: Callable[[Path], None],
) -> Migrated:
    """Make a credential database out of another tool's.

    Args:
        source: The other tool's folder or file; it is only read.
        target: Where the database goes; nothing is there, and its folder is private.
        kind: What the source is; None recognises it.
        account: Which of several devices, or the one that it must be.
        blank: Has the library open the database at a path once, so that its tables are made or brought up to date.

    Raises:
        CredentialError: It cannot be carried over; says why, and the shortest way on.

    Example:
        >>> migrate(Path("auth"), Path("creds.db"), blank=make_tables)  # doctest: +SKIP
        Migrated(account=Secret('•••'), carried={'device': 1, 'pre keys': 812, ...}, ...)
    """
    found = recognise(source)
    if found.kind is None or kind not in (None, found.kind):
        asked = f"no {kind} credential" if kind else "nothing that can be carried over"
        raise CredentialError(f"{_place(source)} is {asked}", why=found.what, hint=_way(found))
    if target.exists():
        raise CredentialError("The credential was not carried over", why="there is one in its place")
    try:
        with _workplace(target.parent) as work, _unpacked(source, found.kind, account, work, blank) as belongings:
            made = work / "made" / DATABASE
            carried = writer.fill(made, belongings)
            writer.put_in_place(made, target, belongings)
    except OSError as error:
        raise CredentialError(
            "The credential could not be carried over",
            why=error.strerror or type(error).__name__,
            hint="make room on the disk, or mend the permissions, then try again; nothing was changed",
        ) from None
    return Migrated(belongings.account, carried, belongings.left, (_NEVER_AGAIN, _DELETE))


@contextmanager
def _unpacked(
    source: Path, kind: Kind, account: PhoneNumber | None, work: Path, blank: Callable[[Path], None]
) -> Iterator[Belongings]:
    """Read the source, and have the tables made into which its rows go; the source first, since it fails sooner."""
    made = work / "made" / DATABASE
    if kind == "baileys":
        belongings = baileys.read(source)
        user = belongings.account.reveal()
        if account is not None and account.digits != user:
            raise CredentialError("The folder holds no device of that account", why=f"it holds {masked(user)}")
        _make(made, blank)
        yield belongings
        return
    copied, distilled = work / "copied" / DATABASE, work / "distilled" / DATABASE
    store.copy(source, copied)
    device = whatsmeow.choose(copied, account)
    whatsmeow.distil(copied, device, distilled)
    wanted = _make(made, blank)
    whatsmeow.bring_up_to_date(distilled, wanted, blank)
    with whatsmeow.belongings(distilled, device, made) as belongings:
        yield belongings


def _make(made: Path, blank: Callable[[Path], None]) -> store.Version:
    """Have the library make its tables; return their version."""
    blank(made)
    try:
        version = whatsmeow.version_of(made)
    except CredentialError:
        version = None
    if version is None:
        raise CredentialError("The credential could not be carried over", why="the library did not make its tables")
    return version


@contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    """Make a private folder on the target's file system, and remove it with all the keys in it."""
    work = Path(tempfile.mkdtemp(prefix=".migrating-", dir=parent))
    try:
        for name in ("made", "copied", "distilled"):
            (work / name).mkdir(mode=0o700)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)  # the credential may be in its place already


def _place(source: Path) -> str:
    return "That" if str(source).startswith(("postgres:", "postgresql:")) else shown(source)


def _way(found: Found) -> str:
    return f"say --from {found.kind}" if found.kind else found.way
