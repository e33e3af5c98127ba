"""The host's end of one worker: its frames, its output, its silence, and its end.

Everything a worker sends is held at arm's length. Frames are bounded in size and in number, output in line length and
in lines a second, what waits to be written to it in bytes; a worker that goes over a bound, sends what is no message,
or falls silent is killed, with the cause said. Nothing it does makes the host wait: the host only ever awaits one
worker in that worker's own tasks.

The order at the end matters to whoever listens: the process is reaped first (its locks are free then), what it wrote
before is read to the end, and only then is its end told. So a worker's last report always comes before its exit.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import Final, assert_never

from wakit.core.clock import grid
from wakit.core.health import lateness
from wakit.errors import EndpointError, WakitError, WorkerError
from wakit.whatsapp.port import (
    AccountHold,
    Pulse,
    SessionReport,
    SessionStart,
    WorkerBeat,
    WorkerExited,
    WorkerLaunch,
    WorkerSilent,
)
from wakit.worker.bounds import Limits, Outlets, Window, WorkerInfo
from wakit.worker.exits import LastWords, explain
from wakit.worker.granting import Granting
from wakit.worker.messages import (
    PROTOCOL,
    AskSession,
    Call,
    CannotStart,
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
    PermitAsked,
    PermitReturned,
    PermitUsed,
    Seal,
    Shutdown,
    StopSession,
    ToHost,
    Told,
    ToWorker,
    Traffic,
    decode_to_host,
    encode,
)
from wakit.worker.placement import Placed
from wakit.worker.scrubbing import Scrubber

_CHUNK: Final = 1 << 16
_LONGEST_LINE: Final = 4096
_READ_FIRST: Final = 0.1
_STOOD_STILL: Final = 5.0  # seconds that a timer is late only if nothing ran
_NOISE: Final = frozenset({"", "Press Ctrl+C to exit"})  # the library prints the latter at every connect


class WorkerLink:
    """One placed worker, from its launch order to its end.

    Args:
        launch: The order it is given.
        placed: Where it runs.
        outlets: Who is told.
        limits: What it may do.
    """

    def __init__(self, launch: WorkerLaunch, placed: Placed, outlets: Outlets, limits: Limits) -> None:
        self._launch, self._placed, self._outlets, self._limits = launch, placed, outlets, limits
        self._names = frozenset(start.name for start in launch.sessions)
        self._scrubber = Scrubber()
        for start in launch.sessions:
            self._scrubber.learn_start(start)
        self._words = LastWords()
        self._frames = Window(limits.frames, outlets.clock)
        self._lines = Window(limits.lines, outlets.clock)
        self._hello: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end: tuple[str, bool] | None = None  # the cause, and whether wakit asked for it
        self._heard_at = outlets.clock()
        self._traffic: dict[str, Traffic] = {}
        self._started_at = self._heartbeat_at = outlets.now()
        self._beat_at, self._beaten_at = 0.0, self._started_at  # the newest heartbeat: by its clock, and by ours
        self._requests: dict[int, asyncio.Future[Done]] = {}
        self._numbers = count(1)
        self._granting = Granting(outlets, self.send, placed.pid)
        self._life = asyncio.create_task(self._live(), name=f"worker {launch.worker_id}")

    # --- what the host asks

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._placed.pid

    @property
    def info(self) -> WorkerInfo:
        """What is known of it now."""
        return WorkerInfo(
            worker_id=self._launch.worker_id,
            pid=self._placed.pid,
            sessions=tuple(start.name for start in self._launch.sessions),
            started_at=self._started_at,
            last_heartbeat=self._heartbeat_at,
            last_byte=MappingProxyType({name: self._last_byte(name) for name in sorted(self._names)}),
        )

    async def greeted(self) -> None:
        """Wait for its hello; if none comes it is killed and reaped before this raises.

        Raises:
            WorkerError: It could not start, with its own words where it said any.
            EndpointError: The endpoint cannot be used.
        """
        try:
            async with asyncio.timeout(self._limits.hello_within):
                await asyncio.shield(self._hello)
        except TimeoutError:
            self.kill(f"it said nothing for {self._limits.hello_within:g} s after its birth", asked=False)
            await self.gone()
            raise self._failed(f"it said nothing for {self._limits.hello_within:g} s after its birth") from None
        except (WakitError, asyncio.CancelledError):
            self.kill("its start was given up", asked=True)
            await self.gone()
            raise

    async def gone(self) -> WorkerExited:
        """Wait until it is reaped and everything it said was told."""
        return await asyncio.shield(self._life)

    def kill(self, why: str, *, asked: bool) -> None:
        """End it now; the first cause given is the one that is told."""
        self._end = self._end or (why, asked)
        self._placed.kill()

    async def shut_down(self, grace: float, why: str) -> None:
        """Ask it to end, and kill it if it has not after ``grace`` seconds; returns when it is reaped."""
        self._end = self._end or (why, True)
        self.send(Shutdown(grace=grace))
        await asyncio.wait({self._life}, timeout=grace)
        self._placed.kill()
        await self.gone()

    def call(self, start: SessionStart) -> None:
        """Have it start one of its sessions, which waits for that."""
        self.send(Call(start=start))

    def seal(self) -> None:
        """Tell it that nobody is called any more."""
        self.send(Seal())

    def set_cut(self, session: str, *, cut: bool) -> None:
        """Close one session's network, or open it again."""
        self.send(Cut(session=session, cut=cut))

    def hold_account(self, session: str, account: AccountHold) -> None:
        """Have it hold an account; it tells only if it cannot."""
        self.send(HoldAccount(session=session, account=account))

    async def request_stop(self, session: str, within: float) -> Done:
        """Ask for one client's end; a worker that does not answer in time counts as no."""
        number = next(self._numbers)
        return await self._ask(StopSession(request=number, session=session), number, within)

    async def request_logout(self, session: str, within: float) -> Done:
        """Ask for one device to be unlinked; a worker that does not answer in time counts as no."""
        number = next(self._numbers)
        return await self._ask(LogoutSession(request=number, session=session), number, within)

    async def request_answer(self, session: str, within: float) -> Done:
        """Have a session ask WhatsApp something; a worker that does not answer in time counts as no."""
        number = next(self._numbers)
        return await self._ask(AskSession(request=number, session=session), number, within)

    def send(self, message: ToWorker) -> None:
        """Write a frame without waiting; a worker that does not read is killed instead of waited for."""
        writer = self._placed.writer
        if self._life.done() or writer.is_closing():
            return
        writer.write(encode(message))
        if writer.transport.get_write_buffer_size() > self._limits.unread:
            self.kill("it no longer read its orders", asked=False)

    # --- its life

    async def _live(self) -> WorkerExited:
        self._order()
        reading = {asyncio.create_task(self._read_frames()), asyncio.create_task(self._read_output())}
        watching = asyncio.create_task(self._watch_silence())
        try:
            code = await self._placed.exited()
            # What it wrote before its end still lies in the socket and the pipe.
            await asyncio.wait(reading, timeout=self._limits.drain)
        finally:
            for task in (watching, *reading):
                task.cancel()
            await asyncio.gather(watching, *reading, self._granting.close(), return_exceptions=True)
            await self._placed.close()
        for waiting in self._requests.values():
            if not waiting.done():
                waiting.set_result(Done(request=0, ok=False, why="the worker ended"))
        exited = self._exited(code)
        if not self._hello.done():
            self._hello.set_exception(self._failed(exited.cause, exited.next_step))
            self._hello.exception()  # nobody may be waiting any more; that is no lost exception
        return exited

    def _order(self) -> None:
        try:
            self.send(Launch(protocol=PROTOCOL, launch=self._launch, heartbeat=self._limits.heartbeat))
        except FrameError as error:
            self.kill(str(error), asked=False)

    async def _read_frames(self) -> None:
        splitter = FrameSplitter()
        try:
            while data := await self._placed.reader.read(_CHUNK):
                self._heard_at = self._outlets.clock()
                self._heartbeat_at = self._outlets.now()
                for body in splitter.feed(data):
                    if not self._frames.admit():
                        raise FrameError("the worker sent more than anybody could want to hear")  # noqa: TRY301
                    self._take(decode_to_host(body))
        except FrameError as error:
            self.kill(f"it broke its contract: {error}", asked=False)
        except ConnectionError:
            pass  # it died while it wrote; its exit code says more
        # It closed its end: either it is about to exit, or it is beyond our control.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.drain):
                await self._placed.exited()
                return
        self.kill("it closed its connection without ending", asked=False)

    def _take(self, message: ToHost) -> None:
        match message:
            case Hello(protocol=protocol):
                if protocol != PROTOCOL:
                    raise FrameError(f"it speaks version {protocol} of the protocol, the daemon speaks {PROTOCOL}")
                self._started_at = self._outlets.now()
                if not self._hello.done():
                    self._hello.set_result(None)
            case CannotStart():
                if not self._hello.done():
                    kind = EndpointError if message.endpoint else WorkerError
                    self._hello.set_exception(kind(message.what, why=message.why, hint=message.hint))
            case Told(session=session, at=at, event=event):
                self._require(session)
                self._scrubber.learn_event(event)
                self._outlets.on_report(
                    SessionReport(worker_id=self._launch.worker_id, session=session, at=at, event=event)
                )
            case PermitAsked(session=session, number=number):
                self._require(session)
                self._granting.asked(session, number)
            case PermitReturned(session=session, number=number):
                self._granting.returned(session, number)
            case PermitUsed(session=session, number=number):
                self._granting.used(session, number)
            case Line(session=session, line=line):
                self._require(session)
                self._log(session, line)
            case Heartbeat(at=at, sessions=sessions):
                for session in sessions:
                    self._require(session)
                self._beat(at, sessions)
            case Done(request=request):
                waiting = self._requests.pop(request, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case _:
                assert_never(message)

    def _beat(self, at: float, news: dict[str, Traffic]) -> None:
        self._traffic |= news
        self._beat_at, self._beaten_at = at, self._heartbeat_at
        pulses = {
            session: Pulse(
                unheard_for=_since(traffic.heard_at, at), unsent_for=_since(traffic.spoke_at, at), fresh=session in news
            )
            for session, traffic in self._traffic.items()
        }
        self._outlets.on_beat(WorkerBeat(worker_id=self._launch.worker_id, pulses=pulses))

    def _last_byte(self, session: str) -> datetime | None:
        """Return when a byte passed last; the worker's clock as of its newest heartbeat is all that is known of it."""
        traffic = self._traffic.get(session)
        if traffic is None or (silent_for := _since(traffic.last_byte, self._beat_at)) is None:
            return None
        return self._beaten_at - timedelta(seconds=silent_for)

    def _require(self, session: str) -> None:
        if session not in self._names:
            raise FrameError("it spoke for a session that is not aboard")

    async def _ask(self, message: StopSession | LogoutSession | AskSession, number: int, within: float) -> Done:
        if self._life.done():
            return Done(request=number, ok=False, why="the worker ended")
        waiting: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._requests[number] = waiting
        self.send(message)
        try:
            async with asyncio.timeout(within):
                return await waiting
        except TimeoutError:
            return Done(request=number, ok=False, why=f"no answer within {within:g} s")
        finally:
            self._requests.pop(number, None)

    async def _read_output(self) -> None:
        rest = b""
        while data := await self._placed.output.read(_CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LONGEST_LINE:  # a line without an end must not grow without one
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._hear(line)
        self._hear(rest)

    def _hear(self, raw: bytes) -> None:
        line = raw[:_LONGEST_LINE].decode("utf-8", "replace").rstrip()
        if line not in _NOISE:
            clean = self._scrubber.clean(line)
            self._words.hear(clean)
            self._log(self._launch.worker_id, clean, cleaned=True)

    def _log(self, source: str, line: str, *, cleaned: bool = False) -> None:
        if self._lines.admit():
            self._outlets.on_log(source, line if cleaned else self._scrubber.clean(line[:_LONGEST_LINE]))
        elif self._lines.first_too_many:
            self._outlets.on_log(self._launch.worker_id, "too many lines: the rest of these ten seconds is dropped")

    async def _watch_silence(self) -> None:
        clock, allowed = self._outlets.clock, self._limits.silent_after
        # Before its hello it loads the library and can say nothing; `greeted` gives up on one that takes too long.
        await asyncio.wait({self._hello})
        self._heard_at = clock()
        while True:
            left = self._heard_at + allowed - clock()
            if left <= 0:
                return self._give_up(allowed)
            # A little longer than needed: what lies in the socket has to be read before the worker is judged. In steps:
            # a standstill of the daemon itself (a stopped process, a frozen machine) may be one of the worker, too, and
            # shows as a step that took too long.
            now, step = clock(), max(allowed / 4, _READ_FIRST)
            due = now + left + _READ_FIRST if left <= step else grid(now + step, self._limits.heartbeat)
            await asyncio.sleep(due - now)
            late, now = lateness(due, clock()), clock()
            # After a long one the machine itself was asleep, or moved: the worker has its whole time again.
            self._heard_at = now if late > _STOOD_STILL else min(self._heard_at + late, now)

    def _give_up(self, seconds: float) -> None:
        names = tuple(sorted(self._names))
        self._outlets.on_report(WorkerSilent(worker_id=self._launch.worker_id, sessions=names, seconds=seconds))
        self.kill(f"it fell silent for {seconds:g} s and was ended by force", asked=False)

    # --- its end

    def _exited(self, code: int) -> WorkerExited:
        ending = explain(code, self._words.lines)
        cause, asked = self._end or (ending.cause, False)
        return WorkerExited(
            worker_id=self._launch.worker_id,
            pid=self._placed.pid,
            sessions=tuple(start.name for start in self._launch.sessions),
            asked=asked,
            cause=cause,
            next_step="" if self._end else ending.next_step,
            evidence="" if asked else ending.evidence,
            exit_code=code,
        )

    def _failed(self, why: str, hint: str = "") -> WorkerError:
        return WorkerError(f"Worker {self._launch.worker_id} could not start", why=why, hint=hint)


def _since(moment: float | None, now: float) -> float | None:
    return None if moment is None else max(0.0, now - moment)
