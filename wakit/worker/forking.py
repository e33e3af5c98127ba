"""The host's end of the fork server, and the processes that come of it (:mod:`wakit.worker.forkserver`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from wakit import process
from wakit.errors import WorkerError
from wakit.redact import scrub
from wakit.worker.children import Child, Orphans
from wakit.worker.forkserver import decoded

_LAST_WORDS: Final = 1 << 16
_ENDS_WITHIN: Final = 0.5  # seconds for a server that was killed
_BORN_WITHIN: Final = 60.0
"""Seconds until a worker must be there: a server that was started just now loads its modules first."""


class ServerEndedError(WorkerError):
    """The server ended before the worker was there; a new one may do better."""


class Newborn:
    """A worker that was asked for, and the parent's ends of its socket and its pipe; nobody reads them yet.

    Attributes:
        channel: The socket.
        output: The descriptor of the pipe it prints into.
        taken: Whether these are somebody else's by now.
    """

    def __init__(self, channel: socket.socket, output: int) -> None:
        self.channel, self.output = channel, output
        self.taken = False
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
        if self._child is not None:
            self._child.kill()
        self.channel.close()
        with contextlib.suppress(OSError):
            os.close(self.output)

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
        self._loop: asyncio.AbstractEventLoop | None = None  # that hears it
        self._asked: deque[Newborn] = deque()
        self._orphans = Orphans()

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
        self._orphans.sessions.append(self._process.pid)

    def fork(self) -> Newborn:
        """Ask for a worker; it is there when :meth:`Newborn.child` returns.

        Raises:
            OSError: The system allows no process, or no descriptor.
        """
        self.start()
        assert self._channel is not None
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._channel, self._hear)
        channel, theirs = socket.socketpair()
        output, printed = os.pipe()
        newborn = Newborn(channel, output)
        process.adopt_orphans(True)
        self._asked.append(newborn)
        try:
            socket.send_fds(self._channel, [b"\0"], [theirs.fileno(), printed])
        except OSError as error:
            if not isinstance(error, ConnectionError):
                self._asked.remove(newborn)
                newborn.end()
                self._nobody_awaited()
                raise
            # It has ended, and its end is about to be heard; this one is told then, as the others are.
        finally:
            theirs.close()
            os.close(printed)
        return newborn

    def close(self) -> None:
        """End the process. The workers it forked live on."""
        if self._process is not None:
            self._lost()

    def _hear(self) -> None:
        assert self._channel is not None
        try:
            answer = self._channel.recv(64)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if answer:
            self._answered(decoded(answer))
        else:
            self._lost()

    def _answered(self, number: int) -> None:
        newborn = self._asked.popleft()
        try:
            if number < 0:
                newborn.fail(_refused(os.strerror(-number)))
            else:
                self._orphans.sessions.append(number)
                newborn.become(Child(number))
        except OSError as error:  # there is no descriptor for it
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(number, signal.SIGKILL)
                os.waitpid(number, 0)
            newborn.fail(_refused(os.strerror(error.errno or 0)))
        finally:
            self._nobody_awaited()

    def _lost(self) -> None:
        """Its process ended, or is ended: whoever waits for a worker is told."""
        server, channel = self._process, self._channel
        assert server is not None
        assert channel is not None
        self._process = self._channel = None
        server.kill()
        try:
            code = server.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:  # it hangs in the system; the kernel ends it when it can
            code = -signal.SIGKILL
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(channel)
            while self._asked and (answer := _waiting_in(channel)):
                self._answered(decoded(answer))
        self._loop = None
        channel.close()
        why = f"the server that forks workers ended with code {code}{_last_words(server)}"
        while self._asked:
            self._asked.popleft().fail(_refused(why, ServerEndedError))
        self._nobody_awaited()

    def _nobody_awaited(self) -> None:
        """Adopt no more orphans once no worker is awaited, and reap those that came meanwhile and are nobody's."""
        if not self._asked:
            process.adopt_orphans(False)
            self._orphans.reap()

    def _spawn(self, channel: int) -> subprocess.Popen[bytes]:
        environment = dict(os.environ if self._environment is None else self._environment)
        # -P keeps whatever lies in the current folder (a neonize.py, say) out of the import path.
        environment["PYTHONPATH"] = process.import_path(environment)
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


def _waiting_in(channel: socket.socket) -> bytes:
    try:
        return channel.recv(64)
    except OSError:
        return b""


def _last_words(server: subprocess.Popen[bytes]) -> str:
    words = b""
    assert server.stderr is not None
    with server.stderr as said, contextlib.suppress(BlockingIOError):
        os.set_blocking(said.fileno(), False)
        words = os.read(said.fileno(), _LAST_WORDS)
    last = scrub(words.decode(errors="replace").strip().rpartition("\n")[2])
    return f": {last}" if last else ""


def _refused(why: str, kind: type[WorkerError] = WorkerError) -> WorkerError:
    return kind(
        "A worker could not be started", why=why, hint="check the limits on processes and open files (`ulimit -a`)"
    )
