"""One live client a credential: the lock a worker holds on it from before its client starts until the process ends.

The kernel frees the lock when the process is gone, however it went; the file stays, since deleting a locked file would
let two processes hold two files of one name. Who holds it stands in a file beside it, for people and for error texts.
The descriptor is not inherited, so no child of the worker can keep the lock alive.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from wakit.durable import write_file
from wakit.errors import HeldError
from wakit.process import birth
from wakit.whatsapp.port import SessionStart

OWNER: Final = "owner.json"


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a credential. Boot and start time make the number unmistakable after a reboot or a reuse.

    Attributes:
        host: The machine's name.
        pid: The worker's process id there.
        boot_id: The kernel's id of this boot.
        started: The process's start in clock ticks since boot (proc(5), field 22 of ``stat``).
        session: Whose credential it is.
        epoch: Which start of the credential this is.
    """

    host: str
    pid: int
    boot_id: str
    started: int
    session: str
    epoch: int


def take(start: SessionStart, *, patience: float = 0.0) -> FileLock:
    """Lock a session's credential and write down who holds it.

    Args:
        start: Whose, and where it lies.
        patience: Seconds to wait for a holder that is about to end.

    Returns:
        The lock. It is held for as long as this object is kept.

    Raises:
        HeldError: Another process holds it, which is named.
        OSError: The folder cannot be written.
    """
    folder = Path(start.directory)
    lock = FileLock(folder / "lock", mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=patience, poll_interval=0.02)
    except Timeout:
        raise HeldError(
            f"The credential of {start.name} is in use", why=_holder(folder), hint="end the other process"
        ) from None
    _write_owner(folder, start)
    return lock


def _write_owner(folder: Path, start: SessionStart) -> None:
    born = birth(os.getpid())
    owner = Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot_id=born.boot_id if born else "",
        started=born.ticks if born else 0,
        session=start.name,
        epoch=start.epoch,
    )
    write_file(folder / OWNER, msgspec.json.encode(owner))


def _holder(folder: Path) -> str:
    try:
        owner = msgspec.json.decode((folder / OWNER).read_bytes(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return "another process holds its lock"
    return f"process {owner.pid} on {owner.host} holds it"
