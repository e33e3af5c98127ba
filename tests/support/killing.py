"""Kills an operation before each system call by which it would change the disk: found by tracing, not by hand.

A test runs a script that ends in :func:`main` (:func:`kill_everywhere`). There the operation runs in a child of its
own for each point, on a copy of a template, and is traced (ptrace), so that what SQLite writes counts as well as what
Python writes. The last run is not killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Numbers of the calls that change a disk, and which argument names the file: a descriptor, a path, or open's flags.
_X86_64 = {
    1: "write", 2: "open", 18: "pwrite64", 20: "writev", 74: "fsync", 75: "fdatasync", 77: "ftruncate", 82: "rename",
    83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 91: "fchmod", 257: "openat", 258: "mkdirat", 263: "unlinkat",
    264: "renameat", 265: "linkat", 285: "fallocate", 316: "renameat2",
}  # fmt: skip
_AARCH64 = {
    34: "mkdirat", 35: "unlinkat", 37: "linkat", 38: "renameat", 46: "ftruncate", 47: "fallocate", 52: "fchmod",
    56: "openat", 64: "write", 66: "writev", 68: "pwrite64", 82: "fsync", 83: "fdatasync", 276: "renameat2",
}  # fmt: skip
CALLS = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(platform.machine(), {})
_BY_DESCRIPTOR = {"write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate", "fchmod"}
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_SYSGOOD, _EXITKILL, _ENTRY = 1, 0x100000, 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, pid: int = 0, address: int = 0, data: object = 0) -> None:
    if _libc.ptrace(request, pid, address, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request}: {os.strerror(ctypes.get_errno())}")


def run(operation: Callable[[Path], object], folder: Path, kill_at: int) -> tuple[bool, list[tuple[str, str]]]:
    """Run an operation and kill it before its n-th change; return whether it came to its end, and what it did."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            ptrace(_TRACEME)
            os.kill(os.getpid(), signal.SIGSTOP)
            operation(folder)
            status = 0
        finally:
            os._exit(status)
    os.waitpid(pid, 0)
    ptrace(_SETOPTIONS, pid, 0, _SYSGOOD | _EXITKILL)
    done: list[tuple[str, str]] = []
    passed_on = 0
    while True:
        ptrace(_SYSCALL, pid, 0, passed_on)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                raise RuntimeError("the operation failed")
            return True, done
        passed_on = 0 if os.WSTOPSIG(status) & 0x80 else os.WSTOPSIG(status)
        if not passed_on and (change := _change(pid)):
            done.append(change)
            if len(done) == kill_at:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return False, done


def _change(pid: int) -> tuple[str, str] | None:
    """Name the call that a stopped process is about to make, and its file, if it changes a disk."""
    info = ctypes.create_string_buffer(88)
    ptrace(_GET_SYSCALL_INFO, pid, len(info), info)
    kind, number, *arguments = struct.unpack_from("=B23x7Q", info.raw)
    name = CALLS.get(number) if kind == _ENTRY else None
    if name is None or (name in ("open", "openat") and not arguments[1 + (name == "openat")] & _CHANGES):
        return None
    if name in _BY_DESCRIPTOR:
        return name, str(Path(f"/proc/{pid}/fd/{arguments[0]}").readlink())
    at_folder = name.endswith(("at", "at2"))
    return name, _text(pid, arguments[at_folder])


def _text(pid: int, address: int) -> str:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(300).partition(b"\0")[0].decode()


@dataclass(frozen=True)
class Killed:
    """One point at which an operation was killed; the last one was not.

    Attributes:
        folder: The copy it worked on.
        where: For messages.
    """

    folder: Path
    where: str


def kill_everywhere(script: str, operation: str, template: Path, target: Path) -> tuple[list[Killed], list[list[str]]]:
    """Run a script's operation on copies of a template, killed at every point; return the points and the calls."""
    path = os.pathsep.join([str(Path(script).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, script, operation, str(template), str(target)]
    traced = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    calls: list[list[str]] = json.loads(traced.stdout)
    folders = sorted(target.iterdir(), key=lambda path: int(path.name))
    points = [
        Killed(folder, f"{operation} killed at {folder.name} of {len(calls)}, before {call}")
        for folder, call in zip(folders, [*calls, "nothing"], strict=True)
    ]
    return points, calls


def main(operations: Mapping[str, Callable[[Path], object]], *, inside: str = "") -> None:
    """Do what the command line says: OPERATION TEMPLATE TARGET; print the calls of the last run as JSON.

    Args:
        operations: By name; each is given the folder to work on.
        inside: Where the template's copy lies below each point's folder.
    """
    name, template, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    for point in range(1, 2000):
        folder = target / str(point) / inside
        shutil.copytree(template, folder)
        ended, done = run(operations[name], folder, point)
        if ended:
            print(json.dumps(done))
            return
    raise RuntimeError("the operation has no end")
