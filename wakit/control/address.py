"""Where the daemon of a state directory listens, and how others find it.

A Unix socket's path may have 107 bytes (``sun_path`` of ``unix(7)``, less its NUL), and a state directory may be deeper
than that. So the socket is ``<state_dir>/control.sock`` where that fits, and otherwise a short name in a private folder
of ours: ``$XDG_RUNTIME_DIR/wakit/<hash>.sock``, else ``<temp>/wakit-<uid>/<hash>.sock``. The temp directory is shared
with strangers, hence the folder is checked before it is used: a directory, no symlink, ours, closed to others.

Which one was taken stands in ``<state_dir>/daemon.json``, written by the daemon once it serves, because a client may
live in an environment with another ``XDG_RUNTIME_DIR``. The record also says which process the daemon is: a pid alone
is no proof after a crash or a reboot, so it goes with the moment that process started. Whether the daemon *serves* is
decided by connecting, never by this file.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from wakit.durable import write_file
from wakit.errors import StateDirectoryError
from wakit.process import birth

LONGEST_PATH: Final = 107
SOCKET_NAME: Final = "control.sock"
RECORD_NAME: Final = "daemon.json"


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """A socket's path, and why it is not at the usual place ("" where it is)."""

    path: Path
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonRecord:
    """What ``daemon.json`` says about the daemon of a state directory.

    Attributes:
        pid: Its process id.
        process_started: Names the process together with ``pid``, as :func:`process_started` gives it.
        run_id: The run, as in the journal.
        started_at: UTC.
        version: Of wakit.
        sim: True when it runs against the loopback WhatsApp.
        socket: Absolute path of the control socket.
        folder: Device and inode of the state directory: a copy of it is another one, and not served by this daemon.
    """

    pid: int
    process_started: str
    run_id: str
    started_at: datetime
    version: str
    sim: bool
    socket: str
    folder: str = field(default="", compare=False)

    @property
    def alive(self) -> bool:
        """True if that very process still runs (in this process's view: not across containers)."""
        return process_started(self.pid) == self.process_started != ""


def socket_address(
    state_dir: Path, *, environ: Mapping[str, str] | None = None, temp_dir: Path | None = None
) -> SocketAddress:
    """Choose the control socket's path for a state directory. Creates nothing.

    Args:
        state_dir: Absolute path.
        environ: Instead of ``os.environ``.
        temp_dir: Instead of the system's temp directory.

    Raises:
        StateDirectoryError: Not even the fallbacks are short enough.

    Example:
        >>> socket_address(Path("/srv/fleet/.wakit")).path.as_posix()
        '/srv/fleet/.wakit/control.sock'
    """
    usual = state_dir / SOCKET_NAME
    length = len(os.fsencode(usual))
    if length <= LONGEST_PATH:
        return SocketAddress(usual)
    name = sha256(os.fsencode(state_dir)).hexdigest()[:16] + ".sock"
    for folder in _fallback_folders(os.environ if environ is None else environ, temp_dir):
        path = folder / name
        if len(os.fsencode(path)) <= LONGEST_PATH:
            why = f"{usual} has {length} bytes and a Unix socket's path may have {LONGEST_PATH}"
            return SocketAddress(path, f"the control socket is {path}, because {why}")
    raise StateDirectoryError(
        f"No place is left for the control socket of {state_dir}",
        why=f"a Unix socket's path may have {LONGEST_PATH} bytes, and the temp directory's is too long as well",
        hint="set state_dir to a shorter path, or TMPDIR to a shorter one",
    )


def prepare_socket_folder(folder: Path) -> None:
    """Make sure that the socket's folder is a directory of ours that nobody else can enter.

    Raises:
        StateDirectoryError: It belongs to somebody else, is a symlink or no directory, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unsafe(folder, f"it cannot be made ({error.strerror})") from error
    check_socket_folder(folder)
    if stat.S_IMODE(folder.lstat().st_mode) & 0o077:
        folder.chmod(0o700)


def check_socket_folder(folder: Path) -> None:
    """Refuse a folder that somebody else could have put there.

    Raises:
        StateDirectoryError: It belongs to somebody else, is a symlink, or is no directory.
    """
    found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise _unsafe(folder, "it is a symlink")
    if not stat.S_ISDIR(found.st_mode):
        raise _unsafe(folder, "it is not a directory")
    if os.geteuid() not in (found.st_uid, 0):
        raise _unsafe(folder, f"it belongs to user {found.st_uid}, not to you (user {os.geteuid()})")


def process_started(pid: int) -> str:
    """Name the moment a process started, so that pid and this text together name one process for ever.

    On Linux its birth (:mod:`wakit.process`), elsewhere only "it runs". "" if there is no such process, or it is a
    zombie.
    """
    born = birth(pid)
    if born is not None:
        return f"{born.boot_id}:{born.ticks}"
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"


def write_record(state_dir: Path, record: DaemonRecord) -> None:
    """Write ``daemon.json``, whole or not at all, readable by its owner only."""
    values = asdict(record) | {"started_at": record.started_at.isoformat(), "folder": _identity(state_dir)}
    write_file(state_dir / RECORD_NAME, json.dumps(values, indent=1).encode())


def read_record(state_dir: Path) -> DaemonRecord | None:
    """Read ``daemon.json``; None if there is none, or it is not one, or of another folder that this one is a copy of.

    It may be of a daemon that has died.
    """
    try:
        values = json.loads((state_dir / RECORD_NAME).read_text(encoding="utf-8"))
        if values["folder"] != _identity(state_dir):
            return None
        return DaemonRecord(
            pid=int(values["pid"]),
            process_started=str(values["process_started"]),
            run_id=str(values["run_id"]),
            started_at=datetime.fromisoformat(values["started_at"]),
            version=str(values["version"]),
            sim=bool(values["sim"]),
            socket=str(values["socket"]),
            folder=str(values["folder"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_record(state_dir: Path, run_id: str) -> None:
    """Remove ``daemon.json`` if it is that run's own."""
    record = read_record(state_dir)
    if record is not None and record.run_id == run_id:
        (state_dir / RECORD_NAME).unlink(missing_ok=True)


def _identity(folder: Path) -> str:
    found = folder.stat()
    return f"{found.st_dev}:{found.st_ino}"


def _fallback_folders(environ: Mapping[str, str], temp_dir: Path | None) -> list[Path]:
    folders = []
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and _is_our_directory(Path(runtime)):
        folders.append(Path(runtime) / "wakit")
    shared = (temp_dir or Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 - the folder in it is checked
    return [*folders, *(temp / f"wakit-{os.geteuid()}" for temp in shared)]


def _is_our_directory(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return path.is_absolute() and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _unsafe(folder: Path, why: str) -> StateDirectoryError:
    return StateDirectoryError(
        f"The control socket's folder {folder} cannot be used",
        why=why,
        hint="put a folder of your own in its place, or name another state_dir",
    )
