"""Processes that have become children of this one: workers, and what was left over of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections import deque
from typing import Final

from wakit import process
from wakit.worker.forkserver import WORKER_NAME

_REMEMBERED: Final = 512


class Child:
    """A worker's process. Made and used in the event loop of the process that has become its parent.

    Attributes:
        pid: Its number.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = loop.create_future()
        # A pidfd tells the end of exactly this process to the event loop: no thread per worker, no SIGCHLD handler
        # that another library could take away, and no reuse of the number before we have reaped it.
        self._pidfd = os.pidfd_open(pid)
        try:
            loop.add_reader(self._pidfd, self._reap)
        except OSError:
            os.close(self._pidfd)
            raise

    @property
    def ended(self) -> bool:
        """Whether it is gone, even if the event loop has not come to reap it."""
        if self._exited.done():
            return True
        exits = select.poll()
        exits.register(self._pidfd, select.POLLIN)
        return bool(exits.poll(0))

    def kill(self) -> None:
        """Send SIGKILL unless it was reaped already (its number may belong to another process by then)."""
        if not self._exited.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def exited(self) -> int:
        """Wait until it is gone and reaped; return its exit code, negative for a signal."""
        return await asyncio.shield(self._exited)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # somebody else in this process has waited for it, and knows how it ended
            self._exited.set_result(-signal.SIGKILL)
        else:
            self._exited.set_result(os.waitstatus_to_exitcode(status))


class Orphans:
    """Processes that ended as children of this one without anybody to wait for them.

    Between a worker's birth and its answer its server may be killed, and what a worker had started may outlive it. Only
    what came of a server or a worker is looked at: somebody else waits for the other children of this process.

    Attributes:
        sessions: The servers and workers of late, each the leader of its session (setsid(2)).
    """

    def __init__(self) -> None:
        self.sessions: deque[int] = deque(maxlen=_REMEMBERED)

    def reap(self) -> None:
        """Wait for those that have ended."""
        for pid in process.children():
            entry = process.entry(pid)
            if entry is None or not entry.ended or pid in self.sessions:  # these are waited for by who started them
                continue
            if entry.session in self.sessions or entry.name == WORKER_NAME:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
