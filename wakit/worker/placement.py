"""Where a worker runs. The host needs a stream, the worker's output, its end, and a way to kill it; nothing more.

:class:`LocalPlacer` starts a process on this machine and is the default. Another placer (Ray, a container) has to
give the same four things; everything else about a worker is in the frames that go over the stream.

A local worker is **spawned, never forked**: the Go library does not survive a fork, and a daemon with threads must not
be copied. It is the leader of its own session, so that Ctrl-C in the daemon's terminal does not reach it before the
daemon has decided what to do, and it asks the kernel to be killed when the daemon dies (see :mod:`wakit.worker.child`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import wakit
from wakit.core.declaration import Endpoint
from wakit.errors import WorkerError
from wakit.worker.messages import Prepare, encode

_BUFFER: Final = 1 << 16


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


@dataclass(frozen=True, slots=True)
class _Spawned:
    """A process and the parent's ends of its socket and its pipe; nobody reads them yet."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    output: int

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()
        os.close(self.output)


class LocalPlacer:
    """Starts workers as processes of this machine, with this interpreter.

    The event loop that places a worker must run in a thread that lives as long as the worker: Linux ties "die with the
    parent" to the thread that spawned (prctl(2), PR_SET_PDEATHSIG).

    A worker takes a quarter of a second of processor time to load the library. Some can be made ready beforehand
    (:meth:`make_ready`), while whoever will need them is still busy with something else.

    Args:
        environment: The worker's environment variables; this process's own when None.
        interpreter: Path of the Python interpreter.
    """

    def __init__(self, *, environment: Mapping[str, str] | None = None, interpreter: str = sys.executable) -> None:
        self._environment = environment
        self._interpreter = interpreter
        self._ready: list[_Spawned] = []

    def make_ready(self, count: int, endpoint: Endpoint | None) -> None:
        """Spawn so many workers that load the library for an endpoint and wait; a later :meth:`place` takes one.

        One that cannot be spawned now is not: :meth:`place` will tell. Ends by itself with this process.
        """
        order = encode(Prepare(endpoint=endpoint))
        with contextlib.suppress(OSError):
            for _ in range(count):
                self._ready.append(spawned := self._spawn_connected())
                spawned.channel.sendall(order)  # the socket's buffer takes it: nobody is waited for

    def dismiss(self) -> None:
        """End the workers that were made ready and not taken."""
        while self._ready:
            self._ready.pop().end()

    async def place(self, worker_id: str) -> Placed:
        """Take a worker that was made ready, or spawn ``python -m wakit.worker``, and connect to it."""
        try:
            spawned = self._take_ready() or self._spawn_connected()
        except OSError as error:
            raise WorkerError(
                f"Worker {worker_id} could not be spawned",
                why=os.strerror(error.errno) if error.errno else type(error).__name__,
                hint="check the limits on processes and open files (`ulimit -a`)",
            ) from error
        try:
            return await LocalWorker.attach(spawned.process, spawned.channel, spawned.output)
        except BaseException:
            spawned.process.kill()
            spawned.process.wait()
            raise

    def _take_ready(self) -> _Spawned | None:
        while self._ready:
            spawned = self._ready.pop(0)
            if spawned.process.poll() is None:
                return spawned
            spawned.end()  # whatever ended it, a new one will say
        return None

    def _spawn_connected(self) -> _Spawned:
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        try:
            return _Spawned(self._spawn(theirs.fileno(), write_end), ours, read_end)
        except OSError:
            ours.close()
            os.close(read_end)
            raise
        finally:
            # The parent must not keep the worker's ends open: it would never see their end.
            theirs.close()
            os.close(write_end)

    def _spawn(self, channel: int, output: int) -> subprocess.Popen[bytes]:
        environment = dict(os.environ if self._environment is None else self._environment)
        # The worker runs the wakit that is running here, whether that is installed or a checkout; -P keeps whatever
        # lies in the current folder (a neonize.py, say) out of the import path.
        root = str(Path(wakit.__file__).parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
        environment.setdefault("GOTRACEBACK", "single")  # one goroutine tells the cause; 300 of them bury it
        # With more, each byte that comes in wakes threads that look for work and find none; a worker has little to do.
        environment.setdefault("GOMAXPROCS", "1")
        return subprocess.Popen(  # noqa: S603 - our own module, no shell, no user input among the arguments
            [self._interpreter, "-P", "-m", "wakit.worker", str(channel), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(channel,),
            close_fds=True,
            start_new_session=True,
            env=environment,
            cwd="/",
        )


class LocalWorker:
    """A worker process of this machine (:class:`Placed`)."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output: asyncio.StreamReader,
        output_transport: asyncio.BaseTransport,
    ) -> None:
        self._process = process
        self._output_transport = output_transport
        self.pid = process.pid
        self.reader = reader
        self.writer = writer
        self.output = output
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # A pidfd tells the end of exactly this process to the event loop: no thread per worker, no SIGCHLD handler
        # that another library could take away, and no reuse of the number before we have reaped it.
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @classmethod
    async def attach(cls, process: subprocess.Popen[bytes], channel: socket.socket, output_fd: int) -> LocalWorker:
        """Wrap the parent's ends of a spawned worker's socket and pipe."""
        channel.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=channel, limit=_BUFFER)
        loop = asyncio.get_running_loop()
        output = asyncio.StreamReader(limit=_BUFFER)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output),
            os.fdopen(output_fd, "rb", buffering=0),
        )
        return cls(process, reader, writer, output, transport)

    def _reap(self) -> None:
        code = self._process.wait()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        if not self._exited.done():
            self._exited.set_result(code)

    def kill(self) -> None:
        """Send SIGKILL unless it was reaped already (its number may belong to another process by then)."""
        if not self._exited.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def exited(self) -> int:
        """Wait for the end; the process is reaped when this returns."""
        return await asyncio.shield(self._exited)

    async def close(self) -> None:
        """Close the parent's ends of the socket and the pipe."""
        self._output_transport.close()
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
