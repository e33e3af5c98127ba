"""What a worker says in frames: each is checked and passed to whom it concerns, in the order in which they came.

It is held at arm's length: frames are bounded in size and number, and one that is no message, or speaks for a session
that is not aboard, is the worker's end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

from wakit.errors import EndpointError, WorkerError
from wakit.whatsapp.port import SessionReport, WorkerBeat, WorkerLaunch
from wakit.worker.bounds import Outlets, Window
from wakit.worker.granting import Granting
from wakit.worker.lines import Lines
from wakit.worker.messages import (
    PROTOCOL,
    CannotStart,
    Done,
    FrameError,
    FrameSplitter,
    Heartbeat,
    Hello,
    Line,
    PermitAsked,
    PermitReturned,
    PermitUsed,
    ToHost,
    Told,
    decode_to_host,
)
from wakit.worker.vitals import Vitals

_CHUNK: Final = 1 << 16


class Hearing:
    """Hears one worker.

    Attributes:
        hello: Done with its hello, or with why it cannot start (WorkerError, EndpointError).
        vitals: What its frames say of its life.

    Args:
        launch: Who is aboard.
        window: How many frames it may send.
        outlets: Who is told of events and heartbeats.
        lines: Takes what sessions log, and learns from events.
        granting: Takes what is said of permits.
        answered: Takes answers to requests.
    """

    def __init__(
        self,
        launch: WorkerLaunch,
        window: Window,
        outlets: Outlets,
        *,
        lines: Lines,
        granting: Granting,
        answered: Callable[[Done], None],
    ) -> None:
        self.hello: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        self.vitals: Final = Vitals(outlets.now)
        self._worker_id = launch.worker_id
        self._names = frozenset(start.name for start in launch.sessions)
        self._window, self._outlets = window, outlets
        self._lines, self._granting, self._answered = lines, granting, answered

    async def read(self, frames: asyncio.StreamReader, heard: Callable[[], None]) -> None:
        """Take what comes until the worker closes its end.

        Args:
            frames: From the worker.
            heard: Called whenever bytes have come, before they are looked at.

        Raises:
            FrameError: It broke its contract.
            ConnectionError: It died while it wrote.
        """
        splitter = FrameSplitter()
        while data := await frames.read(_CHUNK):
            heard()
            self.vitals.heard()
            for body in splitter.feed(data):
                if not self._window.admit():
                    raise FrameError("the worker sent more than anybody could want to hear")
                self._take(decode_to_host(body))

    def _take(self, message: ToHost) -> None:
        match message:
            case Hello(protocol=protocol):
                if protocol != PROTOCOL:
                    raise FrameError(f"it speaks version {protocol} of the protocol, the daemon speaks {PROTOCOL}")
                self.vitals.started()
                if not self.hello.done():
                    self.hello.set_result(None)
            case CannotStart():
                if not self.hello.done():
                    kind = EndpointError if message.endpoint else WorkerError
                    self.hello.set_exception(kind(message.what, why=message.why, hint=message.hint))
            case Told(session=session, at=at, event=event):
                self._require(session)
                self._lines.learn(event)
                self._outlets.on_report(SessionReport(worker_id=self._worker_id, session=session, at=at, event=event))
            case PermitAsked(session=session, number=number):
                self._require(session)
                self._granting.asked(session, number)
            case PermitReturned(session=session, number=number):
                self._granting.returned(session, number)
            case PermitUsed(session=session, number=number):
                self._granting.used(session, number)
            case Line(session=session, line=line):
                self._require(session)
                self._lines.log(session, line)
            case Heartbeat(sessions=sessions):
                for session in sessions:
                    self._require(session)
                self._outlets.on_beat(WorkerBeat(worker_id=self._worker_id, pulses=self.vitals.beat(message)))
            case Done():
                self._answered(message)
            case _:
                assert_never(message)

    def _require(self, session: str) -> None:
        if session not in self._names:
            raise FrameError("it spoke for a session that is not aboard")
