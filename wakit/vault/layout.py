"""The state directory: its places, and the refusal to work in one that is not safe.

::

    <state_dir>/  daemon.lock  daemon.json  control.sock  journal.duckdb  account.key
                  sessions/<name>/<namespace>/  lock  owner.json  creds.db  session.json  backups/
                  archive/<name>/<utc>/         the same, retired
                  imported/<bundle>.json  transfer/
                  logs/<name>.log

Folders are 0700, files 0600. Looser modes are repaired; a foreign owner or a symbolic link is refused, because somebody
else may then read or replace credentials.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wakit.errors import StateDirectoryError

# Magic names from mountinfo(5) whose locks SQLite cannot trust (sqlite.org/howtocorrupt.html, "Filesystems with broken
# or missing lock implementations").
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs", "ceph", "glusterfs", "fuse.glusterfs", "lustre"}
)

# SQLite opens no path of more than 504 bytes (sqlite's os_unix.c: MAX_PATHNAME, less eight for "-journal"). Below the
# root a database may need 184: archive, a name of 63, a time, a namespace, backups, a backup, its file, and a draft's.
LONGEST_ROOT: Final = 504 - 184


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one state directory.

    Example:
        >>> Layout(Path("/srv/.wakit")).session("sales", "shared").as_posix()
        '/srv/.wakit/sessions/sales/shared'
    """

    root: Path

    @property
    def daemon_lock(self) -> Path:
        """The file whose lock makes a daemon the only one."""
        return self.root / "daemon.lock"

    @property
    def journal(self) -> Path:
        """The DuckDB file."""
        return self.root / "journal.duckdb"

    @property
    def account_key(self) -> Path:
        """The key that account hashes are made with."""
        return self.root / "account.key"

    @property
    def sessions(self) -> Path:
        """One folder a session."""
        return self.root / "sessions"

    @property
    def archive(self) -> Path:
        """Retired credentials."""
        return self.root / "archive"

    @property
    def logs(self) -> Path:
        """One log a session, one of the daemon."""
        return self.root / "logs"

    def session(self, name: str, namespace: str) -> Path:
        """The folder of one credential."""
        return self.sessions / name / namespace


def open_layout(root: Path) -> Layout:
    """Make the state directory and its folders, or check those that exist.

    Raises:
        StateDirectoryError: It cannot be written, belongs to somebody else, is a symbolic link, has too long a path, or
            lies on a network file system.
    """
    refuse_too_long(root)
    layout = Layout(root)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        _refuse_open_parent(root)
        private_folder(root)
        if _read_only(root):
            raise StateDirectoryError(
                f"The state directory {root} cannot be used",
                why="it is read-only",
                hint="make it writable for your user, or name another one as [wakit] state_dir",
            )
        for folder in (layout.sessions, layout.archive, layout.logs):
            private_folder(folder)
    except OSError as error:
        raise StateDirectoryError(
            f"The state directory {root} cannot be used",
            why=error.strerror or str(error),
            hint="make its folder writable for your user, or name another one as [wakit] state_dir",
        ) from None
    kind = file_system(root)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StateDirectoryError(
            f"The state directory {root} is refused",
            why=f"it lies on a network file system ({kind}), where SQLite's locks cannot be trusted with credentials",
            hint="name a folder on a local disk as [wakit] state_dir",
        )
    return layout


def refuse_too_long(root: Path) -> None:
    """Refuse a path below which SQLite, and so the library, could not open a credential.

    Raises:
        StateDirectoryError: It is longer than :data:`LONGEST_ROOT` bytes.
    """
    length = len(os.fsencode(root))
    if length > LONGEST_ROOT:
        raise StateDirectoryError(
            f"The state directory {root} is refused",
            why=f"below a path of {length} bytes (more than {LONGEST_ROOT}) SQLite cannot open credentials",
            hint="name a folder with a shorter path as [wakit] state_dir",
        )


def _refuse_open_parent(root: Path) -> None:
    """Refuse a place where anybody could put another folder under this name."""
    status = root.parent.stat()
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise StateDirectoryError(
            f"The state directory {root} is refused",
            why=f"anybody may replace it: {root.parent} is writable for all, without the sticky bit",
            hint=f"`chmod o-w {root.parent}` (or +t), or name another place as [wakit] state_dir",
        )


def private_folder(folder: Path) -> Path:
    """Make a folder 0700, or repair it, and return it; refuse one that is a link or somebody else's."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise StateDirectoryError(
            f"{folder} is refused", why="it is a symbolic link", hint="put the real folder in its place"
        )
    if not stat.S_ISDIR(status.st_mode):
        raise StateDirectoryError(f"{folder} is refused", why="it is not a folder", hint="move the file away")
    if status.st_uid != os.geteuid():
        raise StateDirectoryError(
            f"{folder} is refused",
            why=f"it belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}",
            hint="run wakit as the folder's owner, or give the folder to your user with chown",
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)
    return folder


def _read_only(folder: Path) -> bool:
    # os.access lies to root; the mount flag and the owner's write bit do not.
    mounted = os.statvfs(folder).f_flag & os.ST_RDONLY
    return bool(mounted) or not folder.stat().st_mode & stat.S_IWUSR


def file_system(path: Path) -> str:
    """Name the type of the file system that holds ``path``, or "" where the system does not tell (not Linux)."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split()[4].encode().decode("unicode_escape")
        inside = real == mount or real.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    return kind
