"""The fork server: a process that has loaded what every worker needs, the Go library excepted, and is forked for each.

Loading Python, asyncio, protobuf and wakit takes an eighth of a second of processor time; a fork takes a few
milliseconds and shares the memory. Two rules make it safe. **The Go library is never loaded here**: it does not survive
a fork, so each worker loads its own. **There is one thread**, and no event loop: nothing can be copied in the middle.

A worker becomes a child of the daemon, not of this process: it is forked twice, and the process in between ends at
once, so that the kernel gives it to the daemon, which has asked for orphans (``PR_SET_CHILD_SUBREAPER``, prctl(2)). So
the daemon reaps it, it dies with the daemon, and the end of this process is felt by no worker.

The host asks over a socket that keeps messages apart: one byte and two descriptors, the worker's end of its socket and
of its output. The answer is the worker's pid, or an error number, negative.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, NoReturn, TypeAlias

from wakit import coredumps, process

NAME: Final = "wakit-forks"
WORKER_NAME: Final = "wakit-worker"
"""What the kernel calls them (``ps -o comm``); their command line is the same."""

Work: TypeAlias = Callable[[socket.socket, int], NoReturn]
"""A worker's life, given its end of the socket and the daemon's pid."""

_ANSWER: Final = 4
_GO: Final = b"\0"
_GIVEN: Final = 2  # descriptors with each question
# What neonize imports of other packages. It is not imported itself: it would load the Go library.
_OF_THE_LIBRARY: Final = (
    "concurrent.futures.thread",
    "google.protobuf.descriptor_pool",
    "google.protobuf.internal.builder",
    "google.protobuf.internal.well_known_types",
    "google.protobuf.json_format",
    "google.protobuf.runtime_version",
    "google.protobuf.symbol_database",
    "importlib.resources",
    "multiprocessing.queues",
)


def encoded(number: int) -> bytes:
    """Return an answer as it is sent."""
    return number.to_bytes(_ANSWER, "big", signed=True)


def decoded(answer: bytes) -> int:
    """Return a pid, or an error number if it is negative.

    Example:
        >>> decoded(encoded(-11))
        -11
    """
    return int.from_bytes(answer, "big", signed=True)


def serve(channel: int, parent: int, work: Work) -> NoReturn:
    """Fork workers as they are asked for, until the host has gone; never returns.

    Args:
        channel: The descriptor of the socket to the host.
        parent: The host's pid.
        work: What a worker does.
    """
    if not process.die_with(parent, signal.SIGKILL):
        os._exit(0)
    signal.signal(
        signal.SIGCHLD, signal.SIG_DFL
    )  # whoever ignores it has passed that on, and then nobody can be waited for
    coredumps.forbid()
    process.call_itself(NAME)
    load_ahead()
    gc.freeze()  # what is never looked at again by the collector stays shared with every worker
    host = socket.socket(fileno=channel)
    host.set_inheritable(False)
    server = _Server(host, parent, work)
    while server.served():
        pass
    os._exit(0)


def load_ahead() -> None:
    """Load what the library will import of others; what there is not, it will miss itself."""
    for module in _OF_THE_LIBRARY:
        try:
            import_module(module)
        except ImportError:
            continue


@dataclass(frozen=True, slots=True)
class _Server:
    """What a server knows: the socket to the host, the host's pid, and what workers do."""

    host: socket.socket
    parent: int
    work: Work

    def served(self) -> bool:
        """Fork one worker when it is asked for; False once the host has gone."""
        asked, descriptors, _flags, _address = socket.recv_fds(self.host, 1, _GIVEN)
        if not asked:
            return False
        try:
            answer = self._forked(descriptors) if len(descriptors) == _GIVEN else -errno.EMFILE
        except OSError as error:
            answer = -(error.errno or errno.EAGAIN)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            self.host.send(encoded(answer))
        except OSError:
            return False
        return True

    def _forked(self, descriptors: Sequence[int]) -> int:
        """Fork a worker, which is nobody's child for a moment; return its pid once the host is its parent."""
        ours, theirs = socket.socketpair()
        with ours:
            between = os.fork()
            if between == 0:
                self._divide(ours, theirs, descriptors)
            theirs.close()
            _, status = os.waitpid(between, 0)
            refused = os.waitstatus_to_exitcode(status)
            if refused:
                return -(refused if refused > 0 else errno.EAGAIN)
            told = ours.recv(_ANSWER)
            if not told:
                return -errno.ECHILD
            ours.send(_GO)
            return decoded(told)

    def _divide(self, ours: socket.socket, theirs: socket.socket, descriptors: Sequence[int]) -> NoReturn:
        """Be the process in between, and in its child the worker."""
        try:
            if os.fork():
                os._exit(0)
        except OSError as error:
            os._exit(error.errno or errno.EAGAIN)
        try:
            self.host.close()
            ours.close()
            channel, output = descriptors
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            os.setsid()  # Ctrl-C in the daemon's terminal is for the daemon to decide about
            process.call_itself(WORKER_NAME)
            gc.enable()
            theirs.send(encoded(os.getpid()))
            # Who asks to die with its parent while that is still the one in between dies with that.
            if theirs.recv(1) == _GO:
                theirs.close()
                self.work(socket.socket(fileno=channel), self.parent)
        except BaseException:  # noqa: BLE001 - whatever it was, the server's loop must not be run by a worker
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)
