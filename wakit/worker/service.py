"""What a worker does between its hello and its end: one event loop, one relay, one thread a client.

The main thread runs the loop. Each client's blocking call has a thread of its own; Go's callbacks come on Go's threads
and only ever post to the loop. Commands that call into the library run on threads of their own as well, since some of
those calls never return, and only once every client is started (the library's maps are not to be read before).

Nothing here waits for the library to end. A polite shutdown closes what can be closed in the time given, and the
process leaves by ``os._exit``: the interpreter's own way out would wait for the threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar, assert_never

from wakit.core.clock import grid
from wakit.core.health import lateness
from wakit.errors import HeldError
from wakit.redact import scrub
from wakit.whatsapp.port import (
    AccountHeld,
    AccountHold,
    ClientEnded,
    CredentialBad,
    DialFailed,
    News,
    SessionStart,
    WorkerLaunch,
)
from wakit.whatsapp.translation import Ear
from wakit.worker.custody import Custody, take
from wakit.worker.dialing import LOGIN_HOST, DialError, NotYetError, SharedLookUps, route_for
from wakit.worker.exits import ExitCode
from wakit.worker.messages import (
    PROTOCOL,
    AskSession,
    Call,
    Cut,
    Done,
    FrameError,
    FrameSplitter,
    Heartbeat,
    Hello,
    HoldAccount,
    Launch,
    Line,
    LogoutSession,
    Permit,
    Prepare,
    Seal,
    Shutdown,
    StopSession,
    ToHost,
    Told,
    ToWorker,
    decode_to_worker,
    encode,
)
from wakit.worker.relay import Relay
from wakit.worker.starting import Permits, Start, StartGate

if TYPE_CHECKING:
    from wakit.whatsapp.neonize_client import NeonizeClient

HELD: Final = (25.0, 50.0)
"""Seconds a dial is held for its turn, drawn between these. The library gives up on a proxy that is silent for a minute
(net/http), and hundreds that were refused together would pause and come back together."""

LOCK_PATIENCE: Final = 2.0
"""Seconds for the locks of a predecessor to become free: after ``kill -9`` it may still be dying."""

_T = TypeVar("_T")
_CHUNK: Final = 1 << 16
_UNREAD: Final = 1 << 20  # bytes the host has not read, above which log lines are dropped


def leave(code: ExitCode) -> NoReturn:
    """End the process now, after what was printed is out."""
    with contextlib.suppress(OSError):  # nobody may be there to read it
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


@dataclass(frozen=True, slots=True)
class Channel:
    """The worker's end of the socket, after the launch order was read from it.

    Attributes:
        socket: Connected to the host.
        splitter: With what it holds of a frame that is not complete.
        bodies: Frames that came along with the launch order.
    """

    socket: socket.socket
    splitter: FrameSplitter
    bodies: list[bytes]


class Service:
    """One worker at work. Made and run inside the event loop.

    Args:
        launch: The orders.
        library: The client class, loaded and prepared.
        channel: The socket to the host.
        heartbeat: Seconds between heartbeats.
    """

    def __init__(
        self, launch: WorkerLaunch, library: type[NeonizeClient], channel: Channel, *, heartbeat: float
    ) -> None:
        self._launch, self._library, self._channel, self._heartbeat = launch, library, channel, heartbeat
        self._loop = asyncio.get_running_loop()
        self._permits = Permits(self._send, time.monotonic)
        self._gate = StartGate(self._permits)
        resolve = SharedLookUps()
        self._relay = Relay(
            {start.name: route_for(start, launch.endpoint, resolve) for start in launch.sessions},
            clearance=self._clear,
            on_failure=self._dial_failed,
            clock=time.monotonic,
        )
        self._clients: dict[str, NeonizeClient] = {}
        self._custody: dict[str, Custody] = {}  # a lock that is collected is released
        self._calls: asyncio.Queue[SessionStart | None] = asyncio.Queue()
        self._asking: set[str] = set()
        self._all_started = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> ExitCode:
        """Say hello, start the sessions, obey until told to end; returns how the process should end."""
        self._channel.socket.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=self._channel.socket)
        await self._relay.open()
        self._send(Hello(protocol=PROTOCOL, pid=os.getpid()))
        self._spawn(self._beat())
        self._spawn(self._start_sessions())
        bodies = self._channel.bodies
        try:
            while True:
                for body in bodies:
                    message = decode_to_worker(body)
                    if isinstance(message, Shutdown):
                        await self._shut_down(message.grace)
                        return ExitCode.ASKED
                    self._obey(message)
                data = await reader.read(_CHUNK)
                if not data:
                    return ExitCode.PARENT_GONE
                bodies = self._channel.splitter.feed(data)
        except FrameError:
            return ExitCode.BROKEN_FRAME
        except ConnectionError:
            return ExitCode.PARENT_GONE

    # --- sessions

    async def _start_sessions(self) -> None:
        if self._launch.on_call:
            await self._start_called()
        else:
            await self._start_everybody()
        self._all_started.set()

    async def _start_called(self) -> None:
        """Start each session when it is called, one after the other, until the worker is sealed.

        Commands into the library wait until then, as they wait for the last start of any worker: what they read, a
        start writes.
        """
        while (order := await self._calls.get()) is not None:
            begin = await self._board(order, time.monotonic() + LOCK_PATIENCE)
            if begin is not None:
                await self._gate.start_all([begin])

    async def _start_everybody(self) -> None:
        patience_until = time.monotonic() + LOCK_PATIENCE
        starts: list[Start] = []
        for order in self._launch.sessions:
            begin = await self._board(order, patience_until)
            if begin is not None:
                starts.append(begin)
        await self._gate.start_all(starts)

    async def _board(self, order: SessionStart, patience_until: float) -> Start | None:
        """Lock one session's credential and make its client; None if it cannot be had, which is told."""
        name = order.name
        start = Start(session=name, run=lambda: None, called=self._relay.called(name))
        try:
            # On a thread: it may wait, and the heartbeat must not.
            patience = max(0.0, patience_until - time.monotonic())
            self._custody[name] = await asyncio.to_thread(take, order, patience=patience)
            client = self._library(order, self._relay.proxy_url(name), self._ear(name, start))
        except HeldError as error:
            self._tell(name, ClientEnded(why=str(error)))  # the holder will end: no verdict, another try
            return None
        except OSError as error:
            self._tell(name, ClientEnded(why=f"the credential's folder cannot be used now: {error.strerror}"))
            return None
        except ValueError as error:
            self._tell(name, CredentialBad(why=f"the credential's folder cannot be used: {error}"))
            return None
        self._clients[name] = client
        thread = threading.Thread(target=self._run_client, args=(name, client, start), name=name, daemon=True)
        start.run = thread.start
        return start

    def _ear(self, name: str, start: Start) -> Ear:
        return Ear(
            tell=partial(self._post, self._tell, name),
            log=partial(self._post, self._log, name),
            settled=partial(self._post, start.settled.set),
            last_dial=partial(self._relay.last_dial, name),
        )

    def _run_client(self, name: str, client: NeonizeClient, start: Start) -> None:
        """Run on the client's own thread until it ends, if it does."""
        try:
            client.run()
        except Exception:  # noqa: BLE001 - one client's end must not pass in silence, nor end the others
            traceback.print_exc()
            self._post(self._tell, name, ClientEnded(why="the client's thread failed; see the worker's log"))
        self._post(start.called.set)
        self._post(start.settled.set)

    # --- what the relay asks and tells

    async def _clear(self, session: str, host: str) -> None:
        if host != LOGIN_HOST:  # pacing is about logins; who fetches a picture does not wait in line
            return await self._gate.passed()
        held = random.uniform(*HELD)  # noqa: S311 - it spreads, it hides nothing
        try:
            async with asyncio.timeout(held):
                await self._gate.cleared(session)
        except TimeoutError:
            raise NotYetError(f"it waited {held:.0f} s for its turn to dial; too many wait") from None

    def _dial_failed(self, session: str, host: str, error: DialError) -> None:
        if host == LOGIN_HOST:
            self._tell(session, DialFailed(cause=error.cause, detail=error.detail))
        else:  # the session's connection is not concerned
            self._log(session, f"WARN Relay: a dial to {scrub(host)} failed: {error.detail}")

    # --- to the host

    def _post(self, call: Callable[..., None], *arguments: object) -> None:
        """Call in the loop, from any thread."""
        self._loop.call_soon_threadsafe(call, *arguments)

    def _tell(self, session: str, event: News) -> None:
        if isinstance(event, CredentialBad | AccountHeld):
            # Whatever the client is about to do with this credential, it must not reach WhatsApp.
            self._relay.cut(session)
        self._send(Told(session=session, at=datetime.now(UTC), event=event))

    def _log(self, session: str, line: str) -> None:
        if self._writer is not None and self._writer.transport.get_write_buffer_size() < _UNREAD:
            self._send(Line(session=session, line=line))

    def _send(self, message: ToHost) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    async def _beat(self) -> None:
        while True:
            now = time.monotonic()
            self._send(Heartbeat(at=now, sessions=self._relay.news()))
            due = grid(now, self._heartbeat)  # with every other worker, so that the host wakes up once for all of them
            await asyncio.sleep(due - now)
            if late := lateness(due, time.monotonic()):
                self._relay.forgive(late)

    # --- from the host

    def _obey(self, message: ToWorker) -> None:
        match message:
            case Permit(session=session, number=number):
                self._permits.grant(session, number)
            case Call(start=start):
                self._calls.put_nowait(start)
            case Seal():
                self._calls.put_nowait(None)
            case Cut(session=session, cut=cut):
                (self._relay.cut if cut else self._relay.uncut)(session)
            case StopSession(request=request, session=session):
                self._spawn(self._let_go(request, session))
            case LogoutSession(request=request, session=session):
                self._spawn(self._answer(request, session, _log_out))
            case AskSession(request=request, session=session):
                self._spawn(self._ask(request, session))
            case HoldAccount(session=session, account=account):
                self._spawn(self._hold_account(session, account))
            case Prepare() | Launch() | Shutdown():  # both came before; a shutdown never comes here
                raise FrameError("a second launch order")
            case _:
                assert_never(message)

    async def _answer(self, request: int, session: str, action: Callable[[str, NeonizeClient], str]) -> None:
        await self._all_started.wait()
        client = self._clients.get(session)
        if client is None:
            self._send(Done(request=request, ok=False, why="it has no client here"))
            return
        why = await self._on_thread(partial(action, session, client))
        self._send(Done(request=request, ok=not why, why=why))

    async def _ask(self, request: int, session: str) -> None:
        """Ask once at a time: a question that is never answered keeps its thread for as long as the library likes."""
        if session in self._asking:
            self._send(Done(request=request, ok=False, why="an earlier question is not answered yet"))
            return
        self._asking.add(session)
        try:
            await self._answer(request, session, lambda _, client: client.ask())
        finally:
            self._asking.discard(session)

    async def _hold_account(self, session: str, account: AccountHold) -> None:
        custody = self._custody.get(session)
        if custody is None:
            return  # it has left
        try:
            await asyncio.to_thread(custody.hold_account, account, patience=LOCK_PATIENCE)
        except HeldError as error:
            self._tell(session, AccountHeld(why=error.why))
        except OSError as error:
            self._tell(session, ClientEnded(why=f"the account's lock cannot be taken now: {error.strerror}"))
        if self._custody.get(session) is not custody:  # it left meanwhile
            custody.release()

    async def _let_go(self, request: int, session: str) -> None:
        """Let a session leave: no dial of it goes out any more, its client is off, its credential is free.

        The order matters: once the lock is free, another worker may be using the credential.
        """
        await self._all_started.wait()
        self._relay.cut(session)
        client = self._clients.pop(session, None)
        if client is not None:
            await self._on_thread(client.disconnect)
        custody = self._custody.pop(session, None)
        if custody is not None:
            custody.release()
        self._send(Done(request=request, ok=True, why=""))

    async def _shut_down(self, grace: float) -> None:
        """Close every connection that can be closed in time; the end of the process closes the others."""
        if not self._all_started.is_set():
            return
        dialled = [client for name, client in self._clients.items() if self._relay.called(name).is_set()]
        closing = {asyncio.ensure_future(self._on_thread(client.disconnect)) for client in dialled}
        if closing:
            await asyncio.wait(closing, timeout=grace * 0.8)

    # --- small tools of the loop

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # A worker without its heartbeat or its start gate is no worker: say why, and make room for another.
            traceback.print_exception(error)
            leave(ExitCode.BUG)

    async def _on_thread(self, call: Callable[[], _T]) -> _T:
        """Call on a thread of its own, which may never come back; a pool would fill up with those."""
        result: asyncio.Future[_T] = self._loop.create_future()

        def work() -> None:
            value = call()
            self._post(lambda: None if result.done() else result.set_result(value))

        threading.Thread(target=work, daemon=True).start()
        return await result


def _log_out(_session: str, client: NeonizeClient) -> str:
    return client.logout()
