"""The host's contract, against workers that a test plays itself: honest, hung, flooding, broken, dying."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from wakit.core.health import lateness
from wakit.errors import EndpointError, WorkerError
from wakit.redact import Secret
from wakit.whatsapp.port import (
    CodeShown,
    Connected,
    Dial,
    Pulse,
    SessionStart,
    WentDeaf,
    WorkerBeat,
    WorkerExited,
    WorkerLaunch,
    WorkerReport,
    WorkerSilent,
)
from wakit.worker import granting
from wakit.worker.bounds import Limits
from wakit.worker.host import WorkerHost
from wakit.worker.messages import (
    PROTOCOL,
    CannotStart,
    Done,
    FrameSplitter,
    Heartbeat,
    Hello,
    Launch,
    Line,
    LogoutSession,
    Permit,
    PermitAsked,
    PermitReturned,
    PermitUsed,
    Shutdown,
    Told,
    Traffic,
    decode_to_worker,
    encode,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
HELLO = encode(Hello(protocol=PROTOCOL, pid=4711))


class Played:
    """A worker that a test plays: its end of the socket, what it prints, and its end."""

    def __init__(self, script: Callable[[Played], Awaitable[None]]) -> None:
        self.pid = 4711
        self._script = script
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.output = asyncio.StreamReader()
        self.killed = False
        self.closed = False
        self._splitter = FrameSplitter()
        self._bodies: list[bytes] = []

    async def open(self) -> None:
        ours, theirs = socket.socketpair()
        self.reader, self.writer = await asyncio.open_connection(sock=ours)
        self.host_reader, self.host_writer = await asyncio.open_connection(sock=theirs)
        self._task = asyncio.create_task(self._play())

    async def _play(self) -> None:
        try:
            await self._script(self)
        except ConnectionError:
            pass
        finally:
            self.end(0)

    def end(self, code: int) -> None:
        if not self._code.done():
            self.host_writer.close()
            self.output.feed_eof()
            self._code.set_result(code)

    def kill(self) -> None:
        if not self._code.done():
            self.killed = True
            self._task.cancel()
            self.end(-9)

    async def exited(self) -> int:
        return await asyncio.shield(self._code)

    async def close(self) -> None:
        self.closed = True
        await asyncio.gather(self._task, return_exceptions=True)
        for writer in (self.writer, self.host_writer):
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    # --- what a script uses

    async def hear(self) -> object:
        while not self._bodies:
            data = await self.host_reader.read(65536)
            if not data:
                raise ConnectionResetError
            self._bodies = self._splitter.feed(data)
        return decode_to_worker(self._bodies.pop(0))

    async def say(self, *frames: bytes) -> None:
        self.host_writer.write(b"".join(frames))
        await self.host_writer.drain()

    async def greet(self) -> None:
        assert isinstance(await self.hear(), Launch)
        await self.say(HELLO)


async def honest(worker: Played) -> None:
    """Say hello and wait for the end."""
    await worker.greet()
    while not isinstance(await worker.hear(), Shutdown):
        pass


class Stage:
    """A host whose workers are played."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.script: Callable[[Played], Awaitable[None]] = honest
        self.played: list[Played] = []
        self.reports: list[WorkerReport] = []
        self.beats: list[WorkerBeat] = []
        self.lines: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.was_placed = asyncio.Event()
        self.permit = asyncio.Event()
        self.gave_up = asyncio.Event()
        self.dials: list[Dial] = []
        self.unused: list[str] = []
        self.was_unused = asyncio.Event()
        self.reported = asyncio.Event()
        self.host = WorkerHost(
            on_report=self._take,
            permit=self._permit,
            on_log=lambda source, line: self.lines.append((source, line)),
            on_beat=self.beats.append,
            on_dial=self.dials.append,
            on_unused=self._unused,
            placer=self,
            limits=limits,
            clock=clock,
        )

    async def place(self, _worker_id: str) -> Played:
        worker = Played(self.script)
        await worker.open()
        self.played.append(worker)
        self.was_placed.set()
        return worker

    def dismiss(self) -> None:
        """Nobody is made ready here."""

    def renew(self) -> None:
        """Nothing is loaded here."""

    async def close(self) -> None:
        """Nothing is kept here."""

    def _take(self, report: WorkerReport) -> None:
        self.reports.append(report)
        self.reported.set()

    async def _permit(self, session: str) -> None:
        self.asked.append(session)
        self.was_asked.set()
        try:
            await self.permit.wait()
        except asyncio.CancelledError:
            self.gave_up.set()
            raise

    def _unused(self, session: str) -> None:
        self.unused.append(session)
        self.was_unused.set()

    async def launch(self, script: Callable[[Played], Awaitable[None]], worker_id: str = "w1") -> int:
        self.script = script
        order = WorkerLaunch(
            worker_id=worker_id,
            sessions=tuple(SessionStart(name=name, directory=f"/{name}", epoch=1) for name in ("sales", "support")),
        )
        return await self.host.launch(order)

    async def ended(self) -> WorkerExited:
        async with asyncio.timeout(10):
            while not (self.reports and isinstance(self.reports[-1], WorkerExited)):
                self.reported.clear()
                await self.reported.wait()
        last = self.reports[-1]
        assert isinstance(last, WorkerExited)
        return last


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(Limits(hello_within=5, silent_after=5, frames=1000, lines=100, unread=1 << 16, drain=0.5))
    yield stage
    await stage.host.close(grace=0.2)
    assert not stage.host.workers()
    assert all(worker.closed for worker in stage.played)


async def test_a_worker_from_hello_to_its_polite_end(stage: Stage):
    assert await stage.launch(honest) == 4711
    info = stage.host.workers()["w1"]
    assert (info.pid, info.sessions) == (4711, ("sales", "support"))
    await stage.host.stop("w1", grace=5, why="the file says so")
    exited = await stage.ended()
    assert (exited.asked, exited.cause, exited.exit_code) == (True, "the file says so", 0)
    assert not stage.played[0].killed
    assert stage.host.workers() == {}


async def test_events_come_before_the_end_and_the_end_comes_once(stage: Stage):
    async def talkative(worker: Played) -> None:
        await worker.greet()
        await worker.say(*(encode(Told(session="sales", at=AT, event=WentDeaf(errors=n))) for n in range(200)))
        worker.end(-11)

    await stage.launch(talkative)
    exited = await stage.ended()
    assert [each.event.errors for each in stage.reports[:-1]] == list(range(200))  # type: ignore[union-attr]
    assert sum(isinstance(each, WorkerExited) for each in stage.reports) == 1
    assert not exited.asked
    assert "SIGSEGV" in exited.cause
    assert exited.sessions == ("sales", "support")


async def test_a_worker_that_cannot_start_is_told_in_its_own_words_and_not_reported(stage: Stage):
    async def refuses(worker: Played) -> None:
        await worker.hear()
        await worker.say(encode(CannotStart(what="No library", why="it is gone", hint="install it")))
        worker.end(69)

    with pytest.raises(WorkerError) as failed:
        await stage.launch(refuses)
    assert (failed.value.what, failed.value.why, failed.value.hint) == ("No library", "it is gone", "install it")
    assert stage.reports == []
    assert stage.host.workers() == {}


async def test_a_refused_endpoint_is_an_endpoint_error(stage: Stage):
    async def refuses(worker: Played) -> None:
        await worker.hear()
        await worker.say(encode(CannotStart(what="no", why="not loopback", endpoint=True)))

    with pytest.raises(EndpointError):
        await stage.launch(refuses)


async def test_a_worker_that_dies_before_its_hello_says_why(stage: Stage):
    async def dies(worker: Played) -> None:
        await worker.hear()
        worker.output.feed_data(b"Traceback (most recent call last):\n  File x\nImportError: no libmagic\n")
        worker.end(1)

    with pytest.raises(WorkerError, match="ImportError: no libmagic"):
        await stage.launch(dies)
    assert stage.reports == []


async def test_a_worker_that_never_says_hello_is_killed():
    stage = Stage(Limits(hello_within=0.05))

    async def mute(worker: Played) -> None:
        await asyncio.Event().wait()

    with pytest.raises(WorkerError, match="said nothing for"):
        await stage.launch(mute)
    assert stage.played[0].killed
    assert stage.reports == []


async def test_a_start_that_is_given_up_leaves_no_worker(stage: Stage):
    async def mute(worker: Played) -> None:
        await worker.hear()
        await asyncio.Event().wait()

    launching = asyncio.create_task(stage.launch(mute))
    await stage.was_placed.wait()
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    assert stage.played[0].killed
    assert stage.reports == []


async def test_closing_while_a_worker_starts(stage: Stage):
    async def mute(worker: Played) -> None:
        await worker.hear()
        await asyncio.Event().wait()

    launching = asyncio.create_task(stage.launch(mute))
    await stage.was_placed.wait()
    await stage.host.close()
    with pytest.raises(WorkerError):
        await launching
    with pytest.raises(WorkerError, match="the daemon is ending"):
        await stage.launch(honest, "w2")


async def test_an_older_protocol_is_said(stage: Stage):
    async def old(worker: Played) -> None:
        await worker.hear()
        await worker.say(encode(Hello(protocol=99, pid=1)))
        await worker.hear()

    with pytest.raises(WorkerError, match="version 99"):
        await stage.launch(old)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (b"\xff\xff\xff\xff", "over the limit"),
        (b"\x00\x00\x00\x05hello", "no message"),
        (encode(Told(session="stranger", at=AT, event=Connected())), "not aboard"),
        (encode(Line(session="sales", line="x")) * 1001, "more than anybody"),
        (encode(Permit(session="sales", number=1)), "no message"),
    ],
)
async def test_a_worker_that_breaks_its_contract_is_killed_and_others_go_on(stage: Stage, noise: bytes, words: str):
    async def rude(worker: Played) -> None:
        await worker.greet()
        await worker.hear()
        await worker.say(noise)
        await asyncio.Event().wait()

    await stage.launch(honest, "good")
    await stage.launch(rude, "rude")
    await stage.host.cut("rude", "sales")
    exited = await stage.ended()
    assert exited.worker_id == "rude"
    assert words in exited.cause
    assert not exited.asked
    assert list(stage.host.workers()) == ["good"]


async def test_a_worker_that_closes_its_socket_and_lives_on_is_killed(stage: Stage):
    async def closes(worker: Played) -> None:
        await worker.greet()
        worker.host_writer.close()
        await asyncio.Event().wait()

    await stage.launch(closes)
    assert "closed its connection" in (await stage.ended()).cause
    assert stage.played[0].killed


async def test_a_silent_worker_is_killed():
    stage = Stage(Limits(silent_after=0.1))

    async def falls_silent(worker: Played) -> None:
        await worker.greet()
        await asyncio.Event().wait()

    await stage.launch(falls_silent)
    exited = await stage.ended()
    assert exited.cause == "it fell silent for 0.1 s and was ended by force"
    assert not exited.asked
    assert stage.reports == [WorkerSilent(worker_id="w1", sessions=("sales", "support"), seconds=0.1), exited]


async def test_a_worker_that_is_still_loading_the_library_is_not_silent():
    stage = Stage(Limits(silent_after=0.1))

    async def takes_its_time(worker: Played) -> None:
        assert isinstance(await worker.hear(), Launch)
        await asyncio.sleep(0.5)
        await worker.say(HELLO)
        await asyncio.Event().wait()

    await stage.launch(takes_its_time)
    assert isinstance(await stage.ended(), WorkerExited), "only after its hello"


async def test_a_standstill_of_the_host_is_not_held_against_a_worker(monkeypatch: pytest.MonkeyPatch):
    """A frozen machine, a stopped daemon: the worker had no chance to be heard."""
    ahead, forgave = [0.0], asyncio.Event()

    def watched(due: float, now: float) -> float:
        late = lateness(due, now)
        if late:
            forgave.set()
        return late

    monkeypatch.setattr("wakit.worker.silence.lateness", watched)
    stage = Stage(Limits(silent_after=2), clock=lambda: time.monotonic() + ahead[0])
    await stage.launch(honest)
    for _ in range(5):  # the watch has begun its first step
        await asyncio.sleep(0)
    ahead[0] = 100.0
    async with asyncio.timeout(10):
        await forgave.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.reports == []
    assert not stage.played[0].killed
    await stage.host.close()


async def test_after_a_standstill_of_the_machine_a_worker_has_its_whole_time_again():
    jumped: list[float] = []
    stage = Stage(Limits(silent_after=0.2), lambda: time.monotonic() + sum(jumped))

    async def falls_silent(worker: Played) -> None:
        await worker.greet()
        for _ in range(20):  # the watch has begun its first step
            await asyncio.sleep(0)
        jumped.append(1000.0)
        await asyncio.Event().wait()

    begun = time.monotonic()
    await stage.launch(falls_silent)
    await stage.ended()
    # Twice the time: it was not judged by what the clock said after it had jumped.
    assert time.monotonic() - begun >= 0.4


async def test_a_worker_that_does_not_read_is_killed_before_it_costs_memory(stage: Stage):
    async def deaf(worker: Played) -> None:
        await worker.greet()
        await asyncio.Event().wait()

    await stage.launch(deaf)
    for _ in range(100_000):
        await stage.host.cut("w1", "sales")
        if stage.played[0].killed:
            break
    assert "no longer read its orders" in (await stage.ended()).cause


async def test_a_worker_that_ignores_the_shutdown_is_killed(stage: Stage):
    async def stubborn(worker: Played) -> None:
        await worker.greet()
        await asyncio.Event().wait()

    await stage.launch(stubborn)
    await stage.host.stop("w1", grace=0.05)
    assert stage.played[0].killed
    assert (await stage.ended()).asked


async def test_a_kill_has_its_reason(stage: Stage):
    await stage.launch(honest)
    await stage.host.kill("w1", why="its credential was retired")
    exited = await stage.ended()
    assert (exited.asked, exited.cause, exited.exit_code) == (True, "its credential was retired", -9)
    await stage.host.kill("w1", why="again")
    assert len(stage.reports) == 1


async def test_two_workers_of_one_id_are_refused(stage: Stage):
    await stage.launch(honest)
    with pytest.raises(WorkerError, match="of that id"):
        await stage.launch(honest)
    assert len(stage.played) == 1


async def test_each_permit_becomes_a_dial_or_is_given_back(stage: Stage):
    heard: list[object] = []

    async def dials(worker: Played) -> None:
        await worker.greet()
        await worker.say(encode(PermitAsked(session="sales", number=1)) * 3)
        heard.append(await worker.hear())
        await worker.say(encode(PermitUsed(session="sales", number=1)) * 2)
        await worker.say(encode(PermitAsked(session="sales", number=2)))
        heard.append(await worker.hear())
        await worker.say(encode(PermitReturned(session="sales", number=1)))  # a late word about the first one
        await worker.say(encode(PermitReturned(session="sales", number=2)))
        await worker.say(encode(PermitUsed(session="sales", number=2)))
        await worker.say(encode(PermitAsked(session="sales", number=3)))
        heard.append(await worker.hear())
        await worker.say(encode(Told(session="sales", at=AT, event=Connected())))
        await worker.hear()

    await stage.launch(dials)
    await stage.was_asked.wait()
    assert stage.asked == ["sales"]
    stage.permit.set()
    async with asyncio.timeout(5):
        await stage.reported.wait()
    assert heard == [Permit(session="sales", number=number) for number in (1, 2, 3)]
    assert stage.asked == ["sales"] * 3
    assert [dial.session for dial in stage.dials] == ["sales"]
    assert stage.dials[0].pid == stage.played[0].pid
    assert stage.dials[0].waited >= 0
    assert stage.unused == ["sales"]
    await stage.host.close()
    assert stage.unused == ["sales"] * 2, "the worker ended with the third one"


async def test_a_question_that_is_taken_back_is_given_up(stage: Stage):
    async def dials(worker: Played) -> None:
        await worker.greet()
        await worker.say(encode(PermitAsked(session="sales", number=1)))
        await stage.was_asked.wait()
        await worker.say(encode(PermitReturned(session="sales", number=1)))
        await worker.say(encode(Told(session="sales", at=AT, event=Connected())))
        await worker.hear()

    await stage.launch(dials)
    async with asyncio.timeout(5):
        await stage.reported.wait()
        await stage.gave_up.wait()
    assert stage.unused == []


async def test_a_worker_that_stands_still_does_not_keep_its_permit(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(granting, "LAPSES", 0.01)
    stage.permit.set()

    async def dials(worker: Played) -> None:
        await worker.greet()
        await worker.say(encode(PermitAsked(session="sales", number=1)))
        await worker.hear()
        await stage.was_unused.wait()
        await worker.say(encode(PermitUsed(session="sales", number=1)))
        await worker.say(encode(Told(session="sales", at=AT, event=Connected())))
        await worker.hear()

    await stage.launch(dials)
    async with asyncio.timeout(5):
        await stage.reported.wait()
    assert stage.unused == ["sales"]
    assert stage.dials == []


async def test_logout_and_what_becomes_of_it(stage: Stage):
    async def answers(worker: Played) -> None:
        await worker.greet()
        for ok in (True, False):
            request = await worker.hear()
            assert isinstance(request, LogoutSession)
            await worker.say(encode(Done(request=request.request, ok=ok)))
        await worker.hear()
        worker.end(-9)

    await stage.launch(answers)
    assert await stage.host.logout("w1", "sales", 5)
    assert not await stage.host.logout("w1", "sales", 5)
    assert not await stage.host.logout("w1", "sales", 5)  # the worker dies over it
    await stage.ended()
    with pytest.raises(WorkerError, match="not aboard"):
        await stage.host.logout("w1", "sales", 5)


async def test_an_answer_that_does_not_come_is_a_no(stage: Stage):
    await stage.launch(honest)
    assert not await stage.host.logout("w1", "sales", 0.05)
    assert not await stage.host.stop_session("w1", "sales", 0.05)
    with pytest.raises(WorkerError):
        await stage.host.cut("w1", "stranger")


async def test_heartbeats_carry_the_age_of_the_last_byte(stage: Stage):
    async def beats(worker: Played) -> None:
        await worker.greet()
        traffic = Traffic(1, 1, last_byte=970.0, heard_at=969.0, spoke_at=970.0)
        await worker.say(encode(Heartbeat(at=1000.0, sessions={"sales": traffic})))
        await worker.say(encode(Told(session="sales", at=AT, event=Connected())))
        await worker.hear()

    await stage.launch(beats)
    await stage.reported.wait()
    info = stage.host.workers()["w1"]
    last = info.last_byte["sales"]
    assert last is not None
    assert abs((info.last_heartbeat - last).total_seconds() - 30) < 1
    assert info.last_byte["support"] is None
    assert stage.beats == [WorkerBeat(worker_id="w1", pulses={"sales": Pulse(unheard_for=31.0, unsent_for=30.0)})]


async def test_what_a_heartbeat_does_not_mention_grows_older_by_the_workers_clock(stage: Stage):
    async def beats(worker: Played) -> None:
        await worker.greet()
        sales = Traffic(1, 1, last_byte=10.0, heard_at=9.0, spoke_at=10.0)
        support = Traffic(1, 1, last_byte=14.0, heard_at=14.0, spoke_at=13.0)
        await worker.say(encode(Heartbeat(at=10.0, sessions={"sales": sales})))
        await worker.say(encode(Heartbeat(at=15.0, sessions={"support": support})))
        await worker.say(encode(Told(session="sales", at=AT, event=Connected())))
        await worker.hear()

    await stage.launch(beats)
    await stage.reported.wait()
    assert stage.beats[1].pulses == {
        "sales": Pulse(unheard_for=6.0, unsent_for=5.0, fresh=False, heard=False),
        "support": Pulse(unheard_for=1.0, unsent_for=2.0),
    }


async def test_a_heartbeat_for_a_stranger_breaks_the_contract(stage: Stage):
    async def lies(worker: Played) -> None:
        await worker.greet()
        await worker.say(encode(Heartbeat(at=1.0, sessions={"stranger": Traffic()})))
        await worker.hear()

    await stage.launch(lies)
    assert "broke its contract" in (await stage.ended()).cause


@pytest.mark.parametrize(("silent_after", "heartbeat"), [(90.0, 5.0), (6.0, 2.0), (1.0, 1 / 3)])
async def test_heartbeats_are_ordered_as_often_as_silence_asks_for(silent_after: float, heartbeat: float):
    ordered: list[float] = []

    async def listens(worker: Played) -> None:
        order = await worker.hear()
        assert isinstance(order, Launch)
        ordered.append(order.heartbeat)
        await worker.say(HELLO)

    stage = Stage(Limits(silent_after=silent_after))
    await stage.launch(listens)
    await stage.host.close()
    assert ordered == [heartbeat]


async def test_output_is_scrubbed_cut_and_kept_as_evidence(stage: Stage):
    async def prints(worker: Played) -> None:
        await worker.greet()
        await worker.say(encode(Told(session="sales", at=AT, event=CodeShown(code=Secret("WXYZ-2345"), expires_at=AT))))
        await worker.hear()
        worker.output.feed_data(b"Press Ctrl+C to exit\nWXYZ2345 for 34600000001@s.whatsapp.net\n" + b"y" * 100_000)
        worker.output.feed_data(b"\nfatal error: concurrent map writes\n\ngoroutine 7 [running]:\n")
        await worker.say(encode(Line(session="sales", line="INFO Client: 34600000001@s.whatsapp.net")))
        worker.end(-6)

    await stage.launch(prints)
    await stage.reported.wait()
    await stage.host.cut("w1", "sales")
    exited = await stage.ended()
    everything = " ".join(line for _, line in stage.lines) + exited.evidence
    assert "2345" not in everything
    assert "34600000001" not in everything
    assert "Ctrl+C" not in everything
    assert max(len(line) for _, line in stage.lines) <= 4096
    assert ("sales", "INFO Client: [jid]") in stage.lines
    assert exited.evidence.startswith("fatal error: concurrent map writes")
    assert "two threads" in exited.cause


async def test_a_flood_of_lines_is_dropped_and_said(stage: Stage):
    async def chatters(worker: Played) -> None:
        await worker.greet()
        worker.output.feed_data(b"la la la\n" * 5000)

    await stage.launch(chatters)
    await stage.ended()
    assert len(stage.lines) == 101
    assert "dropped" in stage.lines[-1][1]


async def test_listeners_that_fail_disturb_no_worker(stage: Stage):
    caught: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: caught.append(context))
    told: Counter[str] = Counter()
    everything_heard = asyncio.Event()

    def failing(name: str) -> Callable[..., None]:
        def fail(*_told: object) -> None:
            told[name] += 1
            if told["on_report"] == 3 and told["on_log"] == 2:
                everything_heard.set()
            raise ZeroDivisionError

        return fail

    async def tells(worker: Played) -> None:
        await worker.greet()
        await worker.say(encode(Told(session="sales", at=AT, event=Connected())) * 2)
        await worker.say(encode(Line(session="sales", line="INFO Client: hello")))
        await worker.say(encode(Heartbeat(at=0.0, sessions={})))
        for number, becomes in ((1, PermitUsed), (2, PermitReturned)):
            await worker.say(encode(PermitAsked(session="sales", number=number)))
            assert isinstance(await worker.hear(), Permit)
            await worker.say(encode(becomes(session="sales", number=number)))
        worker.output.feed_data(b"la la la\n")
        await worker.say(encode(Told(session="support", at=AT, event=Connected())))
        assert isinstance(await worker.hear(), Shutdown)

    async def permit(_session: str) -> None:
        """Permit every dial at once."""

    names = ("on_report", "on_log", "on_beat", "on_dial", "on_unused")
    stage.host = WorkerHost(placer=stage, permit=permit, **{name: failing(name) for name in names})
    await stage.launch(tells)
    async with asyncio.timeout(10):
        await everything_heard.wait()
    assert "w1" in stage.host.workers()
    await stage.host.close(grace=5)
    assert not stage.played[0].killed
    assert told == {"on_report": 4, "on_log": 2, "on_beat": 1, "on_dial": 1, "on_unused": 1}
    assert len(caught) == told.total()
