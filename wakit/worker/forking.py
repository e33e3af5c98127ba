"""The host's end of the fork server, and the processes that come of it (:mod:`wakit.worker.forkserver`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import wakit
from wakit import process
from wakit.errors import WorkerError
from wakit.redact import scrub
from wakit.worker.forkserver import decoded

_LAST_WORDS: Final = 1 << 16
_BORN_WITHIN: Final = 60.0
"""Seconds until a worker must be there: a server that was started just now loads its modules first."""


class ServerEndedError(WorkerError):
    """The server ended before the worker was there; a new one may do better."""


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
        loop.add_reader(self._pidfd, self._reap)

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


class Newborn:
    """A worker that was asked for, and the parent's ends of its socket and its pipe; nobody reads them yet.

    Attributes:
        channel: The socket.
        output: The descriptor of the pipe it prints into.
    """

    def __init__(self, channel: socket.socket, output: int) -> None:
        self.channel, self.output = channel, output
        self._child: Child | None = None
        self._failure: WorkerError | None = None
        self._known = asyncio.Event()
        self._unwanted = False

    @property
    def usable(self) -> bool:
        """Whether it lives, as far as is known."""
        return self._failure is None and (self._child is None or not self._child.ended)

    async def child(self) -> Child:
        """Wait until it is there.

        Raises:
            WorkerError: It could not be forked.
            ServerEndedError: What was to fork it has ended.
            TimeoutError: The server does not answer.
        """
        async with asyncio.timeout(_BORN_WITHIN):
            await self._known.wait()
        if self._child is None:
            raise self._failure or WorkerError("A worker was not started")
        return self._child

    def end(self) -> None:
        """Do without it."""
        self._unwanted = True
        self.channel.close()
        with contextlib.suppress(OSError):
            os.close(self.output)
        if self._child is not None:
            self._child.kill()

    def become(self, child: Child) -> None:
        """Take the process that was forked."""
        self._child = child
        self._known.set()
        if self._unwanted:
            child.kill()

    def fail(self, failure: WorkerError) -> None:
        """There will be none."""
        self._failure = failure
        self._known.set()


class ForkServer:
    """Has workers forked. The server's process is started when it is first needed, and anew when it has ended.

    The thread that starts it must live as long as it: Linux ties "die with the parent" to the thread (prctl(2),
    PR_SET_PDEATHSIG).

    Args:
        environment: Its environment variables and those of the workers; this process's own when None.
        interpreter: Path of the Python interpreter.
    """

    def __init__(self, *, environment: Mapping[str, str] | None = None, interpreter: str = sys.executable) -> None:
        self._environment = environment
        self._interpreter = interpreter
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._heard = False
        self._asked: deque[Newborn] = deque()

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process unless it runs; it loads its modules by itself. Needs no event loop.

        Raises:
            OSError: The system allows no process.
        """
        if self._process is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = self._spawn(theirs.fileno())
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()  # kept here, its end would never be seen
        ours.setblocking(False)
        self._channel = ours

    def fork(self) -> Newborn:
        """Ask for a worker; it is there when :meth:`Newborn.child` returns.

        Raises:
            OSError: The system allows no process, or no descriptor.
        """
        self.start()
        assert self._channel is not None
        if not self._heard:
            asyncio.get_running_loop().add_reader(self._channel, self._hear)
            self._heard = True
        channel, theirs = socket.socketpair()
        output, printed = os.pipe()
        newborn = Newborn(channel, output)
        process.adopt_orphans(True)
        self._asked.append(newborn)
        try:
            socket.send_fds(self._channel, [b"\0"], [theirs.fileno(), printed])
        except OSError as error:
            if not isinstance(error, (BrokenPipeError, ConnectionError)):
                self._asked.remove(newborn)
                newborn.end()
                raise
            # It has ended, and its end is about to be heard; this one is told then, as the others are.
        finally:
            theirs.close()
            os.close(printed)
        return newborn

    def close(self) -> None:
        """End the process. The workers it forked live on."""
        if self._process is not None:
            self._process.kill()
            self._lost()

    def _hear(self) -> None:
        assert self._channel is not None
        try:
            answer = self._channel.recv(64)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if not answer:
            self._lost()
            return
        number = decoded(answer)
        newborn = self._asked.popleft()
        if number < 0:
            newborn.fail(_refused(os.strerror(-number)))
        else:
            newborn.become(Child(number))
        if not self._asked:
            process.adopt_orphans(False)

    def _lost(self) -> None:
        """Its process ended, or is ended: whoever waits for a worker is told."""
        assert self._channel is not None
        assert self._process is not None
        if self._heard:
            asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self._process.kill()
        code, words = self._process.wait(), b""
        assert self._process.stderr is not None
        with self._process.stderr as said, contextlib.suppress(BlockingIOError):
            os.set_blocking(said.fileno(), False)
            words = os.read(said.fileno(), _LAST_WORDS)
        self._process, self._channel, self._heard = None, None, False
        if self._asked:
            last = scrub(words.decode(errors="replace").strip().rpartition("\n")[2])
            why = f"the server that forks workers ended with code {code}" + (f": {last}" if last else "")
            while self._asked:
                self._asked.popleft().fail(_refused(why, ServerEndedError))
            process.adopt_orphans(False)

    def _spawn(self, channel: int) -> subprocess.Popen[bytes]:
        environment = dict(os.environ if self._environment is None else self._environment)
        # Workers run the wakit that is running here, whether that is installed or a checkout; -P keeps whatever
        # lies in the current folder (a neonize.py, say) out of the import path.
        root = str(Path(wakit.__file__).parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
        environment.setdefault("GOTRACEBACK", "single")  # one goroutine tells the cause; 300 of them bury it
        # With more, each byte that comes in wakes threads that look for work and find none; a worker has little to do.
        environment.setdefault("GOMAXPROCS", "1")
        return subprocess.Popen(  # noqa: S603 - our own module, no shell, no user input among the arguments
            [self._interpreter, "-P", "-m", "wakit.worker", str(channel), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(channel,),
            close_fds=True,
            start_new_session=True,
            env=environment,
            cwd="/",
        )


@contextlib.contextmanager
def started_ahead() -> Iterator[ForkServer]:
    """Start a server before anything else is loaded, so that both load side by side; ended when the block ends."""
    server = ForkServer()
    with contextlib.suppress(OSError):  # whoever needs a worker will be told
        server.start()
    try:
        yield server
    finally:
        server.close()


def _refused(why: str, kind: type[WorkerError] = WorkerError) -> WorkerError:
    return kind(
        "A worker could not be started", why=why, hint="check the limits on processes and open files (`ulimit -a`)"
    )
