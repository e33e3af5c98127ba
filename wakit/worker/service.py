"""What a worker does between its hello and its end: one event loop, one relay, one thread a client.

The main thread runs the loop. Each client's blocking call has a thread of its own; Go's callbacks come on Go's threads
and only ever post to the loop. Commands that call into the library run on threads of their own as well, since some of
those calls never return, and only once every client is started (the library's maps are not to be read before).

Nothing here waits for the library to end. A polite shutdown closes what can be closed in the time given, and the
process leaves by ``os._exit``: the interpreter's own way out would wait for the threads.

This module joins the parts and reads the orders; each part knows no other's inside: how sessions come aboard
(:mod:`wakit.worker.boarding`), what can be asked of them (:mod:`wakit.worker.commands`), what the host is told
(:mod:`wakit.worker.reports`), what runs beside the loop (:mod:`wakit.worker.tasks`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass
from typing import Final, assert_never

from wakit.core.clock import grid
from wakit.core.health import lateness
from wakit.whatsapp.port import AccountHeld, CredentialBad, News, WorkerLaunch
from wakit.worker.aboard import Aboard
from wakit.worker.boarding import Boarding, Library
from wakit.worker.commands import Commands
from wakit.worker.dialing import SharedLookUps, route_for
from wakit.worker.exits import ExitCode
from wakit.worker.messages import (
    PROTOCOL,
    AskSession,
    Call,
    Cut,
    FrameError,
    FrameSplitter,
    Heartbeat,
    Hello,
    HoldAccount,
    Launch,
    LogoutSession,
    Permit,
    Prepare,
    Seal,
    Shutdown,
    StopSession,
    ToWorker,
    decode_to_worker,
)
from wakit.worker.relay import Relay
from wakit.worker.reports import Reports
from wakit.worker.starting import Permits, StartGate
from wakit.worker.tasks import Tasks

_CHUNK: Final = 1 << 16


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

    def __init__(self, launch: WorkerLaunch, library: Library, channel: Channel, *, heartbeat: float) -> None:
        self._launch, self._channel, self._heartbeat = launch, channel, heartbeat
        self._tasks = Tasks()
        self._reports = Reports()
        self._permits = Permits(self._reports.send, time.monotonic)
        gate = StartGate(self._permits)
        resolve = SharedLookUps()
        self._relay = Relay(
            {start.name: route_for(start, launch.endpoint, resolve) for start in launch.sessions},
            clearance=gate.clear,
            on_failure=self._reports.dial_failed,
            clock=time.monotonic,
        )
        aboard = Aboard()
        self._boarding = Boarding(
            library,
            aboard,
            self._relay,
            gate,
            post=self._tasks.post,
            tell=self._tell,
            log=self._reports.log,
        )
        self._commands = Commands(
            aboard,
            self._relay,
            on_thread=self._tasks.on_thread,
            tell=self._tell,
            answer=self._reports.send,
        )

    async def run(self) -> ExitCode:
        """Say hello, start the sessions, obey until told to end; returns how the process should end."""
        self._channel.socket.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=self._channel.socket)
        self._reports.open(writer)
        await self._relay.open()
        self._reports.send(Hello(protocol=PROTOCOL, pid=os.getpid()))
        self._tasks.spawn(self._beat())
        self._tasks.spawn(self._boarding.run(self._launch))
        bodies = self._channel.bodies
        try:
            while True:
                for body in bodies:
                    message = decode_to_worker(body)
                    if isinstance(message, Shutdown):
                        await self._commands.shut_down(message.grace)
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

    def _obey(self, message: ToWorker) -> None:
        match message:
            case Permit(session=session, number=number):
                self._permits.grant(session, number)
            case Call(start=start):
                self._boarding.call(start)
            case Seal():
                self._boarding.seal()
            case Cut(session=session, cut=cut):
                (self._relay.cut if cut else self._relay.uncut)(session)
            case StopSession(request=request, session=session):
                self._tasks.spawn(self._commands.let_go(request, session))
            case LogoutSession(request=request, session=session):
                self._tasks.spawn(self._commands.log_out(request, session))
            case AskSession(request=request, session=session):
                self._tasks.spawn(self._commands.ask(request, session))
            case HoldAccount(session=session, account=account):
                self._tasks.spawn(self._commands.hold_account(session, account))
            case Prepare() | Launch() | Shutdown():  # both came before; a shutdown never comes here
                raise FrameError("a second launch order")
            case _:
                assert_never(message)

    def _tell(self, session: str, event: News) -> None:
        if isinstance(event, CredentialBad | AccountHeld):
            # Whatever the client is about to do with this credential, it must not reach WhatsApp.
            self._relay.cut(session)
        self._reports.tell(session, event)

    async def _beat(self) -> None:
        while True:
            now = time.monotonic()
            self._reports.send(Heartbeat(at=now, sessions=self._relay.news()))
            due = grid(now, self._heartbeat)  # with every other worker, so that the host wakes up once for all of them
            await asyncio.sleep(due - now)
            if late := lateness(due, time.monotonic()):
                self._relay.forgive(late)
