"""Where the accounts of this user on this machine are noted, whatever the state directory: one folder, one key.

::

    $XDG_STATE_HOME/wakit/accounts/    (~/.local/state/wakit/accounts/)
        key                            made once; names the files below
        <account>.lock  <account>.json           who runs it now
        <account>-<device>.json                  where that device was started last
        loopback/                     the same of rehearsals, whose endpoint is on this machine

A name is a keyed hash, so no number is on the disk, and the servers of two rehearsals never meet. What rehearsals leave
has a folder of its own, so that it can be removed without touching what guards real accounts. The folder may lie on a
network file system: flock works there (nfs(5), ``local_lock``), and no database is in it.

Where that folder cannot be made, another one is taken, and it is said what that costs.
"""

from __future__ import annotations

import os
import pwd
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from wakit.durable import write_file
from wakit.errors import StateDirectoryError
from wakit.vault.layout import private_folder
from wakit.vault.record import refusal

_NAME: Final = "accounts"
_REHEARSALS: Final = "loopback"
_BYTES: Final = 32
_PATIENCE: Final = 5.0  # seconds for another process to make the key


@dataclass(frozen=True, slots=True)
class AccountsFolder:
    """The folder, its key, and why it is not at the usual place ("" where it is)."""

    path: Path
    key: bytes
    note: str = ""


def open_accounts(
    state_dir: Path, *, loopback: bool = False, environ: Mapping[str, str] | None = None
) -> AccountsFolder:
    """Make the folder and its key, or take those that are there.

    Args:
        state_dir: Of this fleet; the last resort.
        loopback: Its endpoint is on this machine, so its accounts are noted apart from real ones.
        environ: Instead of ``os.environ``.

    Raises:
        StateDirectoryError: It is a symbolic link, somebody else's, or its key is damaged.
    """
    unusable = ""
    for base, costs in _places(state_dir, os.environ if environ is None else environ):
        try:
            folder = _make(base)
            key = _key(folder)
            folder = private_folder(folder / _REHEARSALS) if loopback else folder
        except OSError as error:
            unusable = unusable or f"{base} cannot be used ({error.strerror or type(error).__name__})"
            continue
        note = f"{unusable}; accounts are noted in {folder} instead: {costs}" if unusable else ""
        return AccountsFolder(folder, key, note)
    raise StateDirectoryError(
        "No place is left to note which accounts are in use",
        why=unusable,
        hint="set XDG_STATE_HOME to a folder that your user can write",
    )


def usual_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the folder is if nothing is in the way. Makes nothing."""
    base, _ = next(_places(Path(), os.environ if environ is None else environ))
    return base / _NAME


def _places(state_dir: Path, environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield folders to try, the best first, and what is lost in each."""
    state_home = Path(environ.get("XDG_STATE_HOME", ""))
    if not state_home.is_absolute():  # the specification has such ones ignored
        state_home = _home(environ) / ".local" / "state"
    yield state_home / "wakit", ""
    forgets = "after a reboot an outdated copy of a credential is no longer known for one"
    runtime = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute():
        yield runtime / "wakit", forgets
    yield Path(tempfile.gettempdir(), f"wakit-{os.geteuid()}"), forgets
    yield state_dir, "fleets with other state directories are not seen"


def _home(environ: Mapping[str, str]) -> Path:
    home = Path(environ.get("HOME", ""))
    if home.is_absolute():
        return home
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path("/nonexistent")


def _make(base: Path) -> Path:
    base.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_folder(base)
    return private_folder(base / _NAME)


def _key(folder: Path) -> bytes:
    path = folder / "key"
    if not path.exists():
        # Two daemons may come at once; with two keys they would not see each other. It also shows that locks work here.
        lock = FileLock(folder / "key.lock", mode=0o600, fallback_to_soft=False)
        try:
            with lock.acquire(timeout=_PATIENCE):
                if not path.exists():
                    write_file(path, secrets.token_bytes(_BYTES))
        except Timeout:
            raise OSError(11, "another process has been making its key for long") from None
    why = refusal(path)
    key = path.read_bytes()
    if why or len(key) != _BYTES:
        raise StateDirectoryError(
            f"{path} cannot be used",
            why=why or "it is damaged",
            hint=f"end all wakit daemons of your user and remove {folder}: which copies are outdated is forgotten then",
        )
    return key
