"""Where a worker runs. The host needs a stream, the worker's output, its end, and a way to kill it; nothing more.

:class:`LocalPlacer` starts a process on this machine and is the default. Another placer (Ray, a container) has to
give the same four things; everything else about a worker is in the frames that go over the stream.

A local worker is never forked by the daemon, which has threads, nor by anything that has loaded the Go library, which
does not survive it: a process of its own forks them (:mod:`wakit.worker.forkserver`). A worker is the leader of its own
session, so that Ctrl-C in the daemon's terminal does not reach it before the daemon has decided what to do, and it asks
the kernel to be killed when the daemon dies (see :mod:`wakit.worker.child`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Final, Protocol

from wakit.core.declaration import Endpoint
from wakit.errors import WorkerError
from wakit.worker.children import Child
from wakit.worker.forking import ForkServer, Newborn, ServerEndedError
from wakit.worker.messages import Prepare, encode

_BUFFER: Final = 1 << 16
_GONE_WITHIN: Final = 5.0  # seconds for what was killed to be seen gone


class Placed(Protocol):
    """A worker that was given a place and runs there."""

    @property
    def pid(self) -> int:
        """Its process id, or what stands for one where it runs."""

    @property
    def reader(self) -> asyncio.StreamReader:
        """Frames from the worker; ends when it does."""

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Frames to the worker."""

    @property
    def output(self) -> asyncio.StreamReader:
        """What it prints, standard output and error together; ends when it does."""

    def kill(self) -> None:
        """End it now, without asking it. Safe to call again, and after its end."""

    async def exited(self) -> int:
        """Wait until it is gone and reaped; return its exit code, negative for a signal."""

    async def close(self) -> None:
        """Give back what the place held here. The worker has exited."""


class Placer(Protocol):
    """Decides where a worker runs and starts it there."""

    async def place(self, worker_id: str) -> Placed:
        """Start a worker process.

        Raises:
            WorkerError: There is no place for it, with the cause.
        """

    def dismiss(self) -> None:
        """End what was made ready beforehand and nobody was placed in."""

    def renew(self) -> None:
        """Forget what was loaded ahead: another release is installed."""

    async def close(self) -> None:
        """End what is kept for placing; the workers live on."""


class LocalPlacer:
    """Starts workers as processes of this machine: forked by a server that has loaded what they have in common.

    Each still has to load the Go library, which takes it a twentieth of a second of processor time. Some can be made
    ready beforehand (:meth:`make_ready`), while whoever will need them is still busy with something else.

    Args:
        server: What forks them; one with this interpreter and this process's environment when None.
    """

    def __init__(self, server: ForkServer | None = None) -> None:
        self._server = ForkServer() if server is None else server
        self._ready: list[Newborn] = []
        self._discarded: list[Newborn] = []  # their ends are still to be seen
        self._closed = False

    def make_ready(self, count: int, endpoint: Endpoint | None) -> None:
        """Have so many workers forked that load the library for an endpoint and wait; a later :meth:`place` takes one.

        One that cannot be had now is not: :meth:`place` will tell. Ends by itself with this process.
        """
        order = encode(Prepare(endpoint=endpoint))
        with contextlib.suppress(OSError):
            for _ in range(count):
                self._ready.append(newborn := self._server.fork())
                newborn.channel.sendall(order)  # the socket's buffer takes it: nobody is waited for

    def dismiss(self) -> None:
        """End the workers that were made ready and not taken."""
        while self._ready:
            self._discard(self._ready.pop())

    async def place(self, worker_id: str) -> Placed:
        """Take a worker that was made ready, or have one forked, and connect to it."""
        try:
            return await self._place(worker_id)
        except ServerEndedError:
            if self._closed:
                raise
            return await self._place(worker_id)  # by a new one

    async def _place(self, worker_id: str) -> Placed:
        newborn = None
        try:
            newborn = self._take_ready() or self._server.fork()
            worker = await LocalWorker.attach(await newborn.child(), newborn.channel, newborn.output)
        except TimeoutError as error:
            self._server.close()  # it hangs; the next one is a new one
            raise _not_started(worker_id, "the server that forks workers does not answer") from error
        except OSError as error:
            raise _not_started(worker_id, os.strerror(error.errno) if error.errno else type(error).__name__) from error
        else:
            newborn.taken = True
            return worker
        finally:
            if newborn is not None and not newborn.taken:
                self._discard(newborn)

    def renew(self) -> None:
        """End what waits, and the server; the next worker is of what is installed by then."""
        self.dismiss()
        self._server.close()

    async def close(self) -> None:
        """End what waits, and the server, and see them gone."""
        self._closed = True
        self.dismiss()
        self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GONE_WITHIN):
                while self._discarded:
                    with contextlib.suppress(WorkerError):
                        await (await self._discarded.pop().child()).exited()

    def _discard(self, newborn: Newborn) -> None:
        newborn.end()
        self._discarded = [each for each in (*self._discarded, newborn) if each.usable]

    def _take_ready(self) -> Newborn | None:
        while self._ready:
            newborn = self._ready.pop(0)
            if newborn.usable:
                return newborn
            self._discard(newborn)  # whatever ended it, a new one will say
        return None


def _not_started(worker_id: str, why: str) -> WorkerError:
    hint = "check the limits on processes and open files (`ulimit -a`)"
    return WorkerError(f"Worker {worker_id} could not be started", why=why, hint=hint)


class LocalWorker:
    """A worker process of this machine (:class:`Placed`)."""

    def __init__(
        self,
        child: Child,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output: asyncio.StreamReader,
        output_transport: asyncio.BaseTransport,
    ) -> None:
        self._child = child
        self._output_transport = output_transport
        self.pid = child.pid
        self.reader = reader
        self.writer = writer
        self.output = output

    @classmethod
    async def attach(cls, child: Child, channel: socket.socket, output_fd: int) -> LocalWorker:
        """Wrap the parent's ends of a worker's socket and pipe."""
        channel.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=channel, limit=_BUFFER)
        loop = asyncio.get_running_loop()
        output = asyncio.StreamReader(limit=_BUFFER)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output),
            os.fdopen(output_fd, "rb", buffering=0),
        )
        return cls(child, reader, writer, output, transport)

    def kill(self) -> None:
        """Send SIGKILL unless it was reaped already."""
        self._child.kill()

    async def exited(self) -> int:
        """Wait for the end; the process is reaped when this returns."""
        return await self._child.exited()

    async def close(self) -> None:
        """Close the parent's ends of the socket and the pipe."""
        self._output_transport.close()
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
