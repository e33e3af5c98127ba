"""The host's end of one worker: what it is told, what is heard of it, and its end.

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
from types import MappingProxyType

from wakit.errors import WakitError, WorkerError
from wakit.whatsapp.port import AccountHold, SessionStart, WorkerExited, WorkerLaunch, WorkerSilent
from wakit.worker.bounds import Limits, Outlets, Window, WorkerInfo
from wakit.worker.exits import explain
from wakit.worker.granting import Granting
from wakit.worker.hearing import Hearing
from wakit.worker.lines import Lines
from wakit.worker.messages import (
    PROTOCOL,
    AskSession,
    Call,
    Cut,
    Done,
    FrameError,
    HoldAccount,
    Launch,
    LogoutSession,
    Seal,
    Shutdown,
    StopSession,
    ToWorker,
    encode,
)
from wakit.worker.placement import Placed
from wakit.worker.requests import Requests
from wakit.worker.silence import SilenceWatch


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
        self._sessions = tuple(start.name for start in launch.sessions)
        self._end: tuple[str, bool] | None = None  # the cause, and whether wakit asked for it
        self._lines = Lines(launch, Window(limits.lines, outlets.clock), outlets.on_log)
        self._granting = Granting(outlets, self.send, placed.pid)
        self._requests = Requests(self.send)
        self._hearing = Hearing(
            launch,
            Window(limits.frames, outlets.clock),
            outlets,
            lines=self._lines,
            granting=self._granting,
            answered=self._requests.answered,
        )
        self._silence = SilenceWatch(limits.silent_after, limits.heartbeat, outlets.clock)
        self._life = asyncio.create_task(self._live(), name=f"worker {launch.worker_id}")

    # --- what the host asks

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._placed.pid

    @property
    def info(self) -> WorkerInfo:
        """What is known of it now."""
        vitals = self._hearing.vitals
        return WorkerInfo(
            worker_id=self._launch.worker_id,
            pid=self._placed.pid,
            sessions=self._sessions,
            started_at=vitals.started_at,
            last_heartbeat=vitals.heard_at,
            last_byte=MappingProxyType({name: vitals.last_byte(name) for name in sorted(self._sessions)}),
        )

    async def greeted(self) -> None:
        """Wait for its hello; if none comes it is killed and reaped before this raises.

        Raises:
            WorkerError: It could not start, with its own words where it said any.
            EndpointError: The endpoint cannot be used.
        """
        try:
            async with asyncio.timeout(self._limits.hello_within):
                await asyncio.shield(self._hearing.hello)
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
        return await self._requests.ask(StopSession, session, within)

    async def request_logout(self, session: str, within: float) -> Done:
        """Ask for one device to be unlinked; a worker that does not answer in time counts as no."""
        return await self._requests.ask(LogoutSession, session, within)

    async def request_answer(self, session: str, within: float) -> Done:
        """Have a session ask WhatsApp something; a worker that does not answer in time counts as no."""
        return await self._requests.ask(AskSession, session, within)

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
        reading = {asyncio.create_task(self._read_frames()), asyncio.create_task(self._lines.read(self._placed.output))}
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
        self._requests.end()
        exited = self._exited(code)
        hello = self._hearing.hello
        if not hello.done():
            hello.set_exception(self._failed(exited.cause, exited.next_step))
            hello.exception()  # nobody may be waiting any more; that is no lost exception
        return exited

    def _order(self) -> None:
        try:
            self.send(Launch(protocol=PROTOCOL, launch=self._launch, heartbeat=self._limits.heartbeat))
        except FrameError as error:
            self.kill(str(error), asked=False)

    async def _read_frames(self) -> None:
        try:
            await self._hearing.read(self._placed.reader, self._silence.heard)
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

    async def _watch_silence(self) -> None:
        # Before its hello it loads the library and can say nothing; `greeted` gives up on one that takes too long.
        await asyncio.wait({self._hearing.hello})
        await self._silence.too_long()
        names, seconds = tuple(sorted(self._sessions)), self._limits.silent_after
        self._outlets.on_report(WorkerSilent(worker_id=self._launch.worker_id, sessions=names, seconds=seconds))
        self.kill(f"it fell silent for {seconds:g} s and was ended by force", asked=False)

    # --- its end

    def _exited(self, code: int) -> WorkerExited:
        ending = explain(code, self._lines.last_words)
        cause, asked = self._end or (ending.cause, False)
        return WorkerExited(
            worker_id=self._launch.worker_id,
            pid=self._placed.pid,
            sessions=self._sessions,
            asked=asked,
            cause=cause,
            next_step="" if self._end else ending.next_step,
            evidence="" if asked else ending.evidence,
            exit_code=code,
        )

    def _failed(self, why: str, hint: str = "") -> WorkerError:
        return WorkerError(f"Worker {self._launch.worker_id} could not start", why=why, hint=hint)
