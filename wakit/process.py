"""What the kernel knows of a process: the moment it was born, and whose end is to be its own; what another imports."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_ZOMBIE_OR_DEAD: Final = "ZX"
_STOPPED: Final = "Tt"
_HOME: Final = Path(__file__).parents[1]  # of this package


@dataclass(frozen=True, slots=True)
class Birth:
    """When a process was born; with its number it names one process for ever, over reuse and reboots.

    Attributes:
        boot_id: The kernel's id of the boot, "" where it cannot be read.
        ticks: Clock ticks from the boot to the process's start.
    """

    boot_id: str
    ticks: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What the kernel's table of processes says of one (proc(5), ``stat``).

    Attributes:
        name: Its short name.
        state: A letter: ``T`` stopped, ``Z`` a zombie, ...
        session: The leader of its session.
        ticks: Clock ticks from the boot to its start.
    """

    name: str
    state: str
    session: int
    ticks: int

    @property
    def ended(self) -> bool:
        """It has ended, and its parent has not waited for it."""
        return self.state in _ZOMBIE_OR_DEAD


def entry(pid: int) -> Entry | None:
    """Return what the kernel says of a process; None if there is none, or the system has no procfs.

    Example:
        >>> entry(os.getpid()).session == os.getsid(0)
        True
    """
    # The name in field 2 may hold spaces and brackets, so counting starts behind its last bracket, at field 3.
    before, bracket, after = _read(f"/proc/{pid}/stat").rpartition(")")
    if not bracket:
        return None
    fields = after.split()
    return Entry(before.partition("(")[2], fields[0], session=int(fields[3]), ticks=int(fields[19]))


def birth(pid: int) -> Birth | None:
    """Return when a process was born; None if there is no such process, it is a zombie, or the system has no procfs.

    Example:
        >>> birth(os.getpid()) == birth(os.getpid())
        True
    """
    found = entry(pid)
    if found is None or found.ended:
        return None
    return Birth(_read("/proc/sys/kernel/random/boot_id"), found.ticks)


def children() -> list[int]:
    """Return the children of this process's main thread, where orphans come to; none where the system does not tell."""
    pid = os.getpid()
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def is_stopped(pid: int) -> bool:
    """Return whether a process was stopped by a signal (SIGSTOP, SIGTSTP) or a debugger, and may go on."""
    found = entry(pid)
    return found is not None and found.state in _STOPPED


def die_with(parent: int, number: signal.Signals) -> bool:
    """Have the kernel send this process a signal when its parent ends.

    Args:
        parent: The parent's pid, as it was known before.
        number: The signal.

    Returns:
        False if the parent has ended already, and the kernel tells nobody.
    """
    _prctl(_PR_SET_PDEATHSIG, int(number))
    return os.getppid() == parent


def adopt_orphans(wanted: bool) -> None:
    """Say whether grandchildren whose parents end become children of this process, instead of the system's first."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))


def call_itself(name: str) -> None:
    """Give this process the name that ``ps -o comm`` shows; the kernel keeps fifteen bytes of it."""
    _prctl(_PR_SET_NAME, name.encode())


def import_path(environ: Mapping[str, str]) -> str:
    """Return a ``PYTHONPATH`` with which another Python runs the wakit that is running here, installed or a checkout.

    Args:
        environ: What that Python would have otherwise; its own ``PYTHONPATH`` comes after.
    """
    return os.pathsep.join(filter(None, (str(_HOME), environ.get("PYTHONPATH"))))


def _prctl(option: int, argument: int | bytes) -> None:
    if sys.platform.startswith("linux"):
        import ctypes  # noqa: PLC0415 - commands that only ask for a birth are typed often

        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
