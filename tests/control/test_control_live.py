from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from fake_fleet import FakeFleet, session
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from wakit.control.client import Client, SyncClient
from wakit.control.finding import backoff
from wakit.control.schemas import (
    DaemonChanged,
    Disconnected,
    EventInfo,
    EventLogged,
    Gap,
    Hello,
    LiveFrame,
    PairingFrame,
    SessionChanged,
    SessionGone,
)
from wakit.control.server import create_app, serve_unix
from wakit.control.server.outbox import Outbox
from wakit.errors import ControlError, NoDaemonError, UnknownSessionError


async def soon(frames: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(10):
        return await anext(frames)


async def test_hello_comes_first_then_what_changes(client: Client, fleet: FakeFleet) -> None:
    async with aclosing(client.live()) as frames:
        hello = await soon(frames)
        assert isinstance(hello, Hello)
        assert [s.name for s in hello.sessions] == ["sales", "support"]
        fleet.change("sales", "reconnecting", reason="name look-up failed")
        changed = await soon(frames)
        assert isinstance(changed, SessionChanged)
        assert changed.session.reason == "name look-up failed"
        fleet.log(session="sales")
        assert isinstance(await soon(frames), EventLogged)
        fleet.change_daemon(converged=True)
        assert isinstance(await soon(frames), DaemonChanged)
        fleet.tell(SessionGone(name="sales"))
        assert isinstance(await soon(frames), SessionGone)
    await fleet.readers_are(0)


async def test_a_qr_is_only_on_a_stream_that_asked_for_it(client: Client, fleet: FakeFleet) -> None:
    async with aclosing(client.live()) as blind, aclosing(client.live(pairing="support")) as seeing:
        await soon(blind)
        await soon(seeing)
        fleet.show("support")
        fleet.unshow("support")
        fleet.log()
        shown = [await soon(seeing), await soon(seeing)]
        assert isinstance(shown[0], PairingFrame)
        assert isinstance(await soon(blind), EventLogged)


async def test_events_after_since_are_replayed(client: Client, fleet: FakeFleet) -> None:
    for _ in range(5):
        fleet.log()
    async with aclosing(client.live(since=3)) as frames:
        assert (await soon(frames)).seq == 5
        assert [(await soon(frames)).event.seq for _ in range(2)] == [4, 5]


async def test_a_past_longer_than_the_outbox_is_replayed_whole(client: Client, fleet: FakeFleet) -> None:
    for _ in range(5_000):
        fleet.log()
    async with aclosing(client.watch(since=0)) as frames:
        assert isinstance(await soon(frames), Hello)
        told = [await soon(frames) for _ in range(5_000)]
        assert [getattr(frame, "event", frame) for frame in told] == fleet.events
        fleet.log()
        assert (await soon(frames)).event.seq == 5_001


async def test_who_has_read_enough_leaves_at_once_however_much_is_still_to_come(
    client: Client, fleet: FakeFleet, folder: Path
) -> None:
    for _ in range(5_000):
        fleet.log(reason="x" * 2000)
    async with asyncio.timeout(8):  # the library alone waits ten seconds for an answer that lies behind all of it
        async with aclosing(client.live(since=0)) as frames:
            assert isinstance(await soon(frames), Hello)
        await fleet.readers_are(0)

    def read_one() -> LiveFrame:
        frames = SyncClient(folder).live(since=0)
        first = next(iter(frames))
        frames.close()
        return first

    async with asyncio.timeout(8):
        assert isinstance(await asyncio.to_thread(read_one), Hello)
        await fleet.readers_are(0)


async def test_a_sleeping_reader_of_the_past_hinders_neither_others_nor_the_end(fleet: FakeFleet, folder: Path) -> None:
    for _ in range(5_000):
        fleet.log(reason="x" * 2000)
    with socket.socket(socket.AF_UNIX) as sleeper:
        async with asyncio.timeout(10):
            async with serve_unix(create_app(fleet), folder / "control.sock"):
                sleeper.connect(str(folder / "control.sock"))
                sleeper.send(
                    b"GET /v1/live?since=0 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                )
                await fleet.readers_are(1)
                assert (await Client(folder).status()).sessions
            await fleet.readers_are(0)


async def test_an_unknown_session_and_a_wrong_question_are_refused(client: Client, folder: Path) -> None:
    with pytest.raises(UnknownSessionError):
        await soon(client.live(pairing="ventas"))
    with pytest.raises(ControlError, match="since: Input should be greater than or equal to 0"):
        await soon(client.live(since=-1))
    with pytest.raises(ControlError, match="a name is small letters"):
        await soon(client.live(pairing="../x"))
    with pytest.raises(UnknownSessionError):
        await soon(client.watch(pairing="ventas"))
    with pytest.raises(UnknownSessionError):
        await asyncio.to_thread(next, SyncClient(folder).live(pairing="ventas"))


async def test_the_daemon_s_end_ends_the_stream_with_a_reason(fleet: FakeFleet, folder: Path) -> None:
    client = Client(folder)
    async with asyncio.timeout(10):
        async with serve_unix(create_app(fleet), folder / "control.sock"):
            frames, blocking = client.live(), SyncClient(folder).live()
            await soon(frames)
            await asyncio.to_thread(next, blocking)
        with pytest.raises(NoDaemonError, match="it ended in order"):
            await anext(frames)
        with pytest.raises(NoDaemonError, match="it ended in order"):
            await asyncio.to_thread(next, blocking)


async def test_an_error_in_the_fleet_s_stream_is_the_reason(client: Client, fleet: FakeFleet) -> None:
    async with aclosing(client.live()) as frames:
        await soon(frames)
        fleet.refusal = ControlError("The stream is over", why="x" * 300)
        fleet.log()
        assert isinstance(await soon(frames), EventLogged)
        with pytest.raises(NoDaemonError, match="The stream is over"):
            await soon(frames)


async def test_a_reader_that_sleeps_holds_nobody_up_and_is_told_what_it_missed(
    client: Client, fleet: FakeFleet, folder: Path
) -> None:
    """The sleeper reads nothing at all until everything has happened, so every buffer on the way is full."""
    big = "x" * 2000
    with socket.socket(socket.AF_UNIX) as sleeper:
        sleeper.connect(str(folder / "control.sock"))
        sleeper.send(
            b"GET /v1/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await fleet.readers_are(1)
        async with aclosing(client.live()) as awake:
            await soon(awake)
            for round_ in range(40):
                for _ in range(100):
                    fleet.log(reason=big)
                fleet.change("sales", "reconnecting", attempt=round_)
                while not isinstance(frame := await soon(awake), SessionChanged):
                    pass
            assert frame.session.attempt == 39
        told = await asyncio.to_thread(read_frames, sleeper, len(fleet.events))
    gaps = [frame for frame in told if isinstance(frame, Gap)]
    seen = [frame.event.seq for frame in told if isinstance(frame, EventLogged)]
    missed = [seq for gap in gaps for seq in range(gap.first, gap.last + 1)]
    assert gaps
    assert sorted(seen + missed) == list(range(1, 4001))
    attempts = [frame.session.attempt for frame in told if isinstance(frame, SessionChanged)]
    assert attempts[-1] == 39
    assert len(attempts) < 40


def read_frames(connection: socket.socket, last: int) -> list[LiveFrame]:
    adapter: TypeAdapter[LiveFrame] = TypeAdapter(LiveFrame)
    connection.settimeout(10)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    protocol = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=None)
    told: list[LiveFrame] = []
    while not any(isinstance(f, EventLogged) and f.event.seq == last for f in told):
        protocol.receive_data(connection.recv(1 << 16))
        texts = (e for e in protocol.events_received() if isinstance(e, Frame) and e.opcode is Opcode.TEXT)
        told.extend(adapter.validate_json(text.data) for text in texts)
    return told


async def test_a_reader_that_never_reads_does_not_hold_up_the_end(fleet: FakeFleet, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sleeper:
        async with asyncio.timeout(5):
            async with serve_unix(create_app(fleet), folder / "control.sock"):
                sleeper.connect(str(folder / "control.sock"))
                sleeper.send(
                    b"GET /v1/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                )
                await fleet.readers_are(1)
                for _ in range(1000):
                    fleet.log(reason="x" * 2000)
            await fleet.readers_are(0)


async def test_many_clients_at_once(client: Client, fleet: FakeFleet) -> None:
    streams = [client.live() for _ in range(60)]
    await asyncio.gather(*(soon(stream) for stream in streams))
    fleet.change("sales", "failed")
    for frame in await asyncio.gather(*(soon(stream) for stream in streams)):
        assert frame.session.state == "failed"
    await asyncio.gather(*(client.status() for _ in range(60)))
    for stream in streams:
        await stream.aclose()
    await fleet.readers_are(0)


async def test_a_client_that_vanishes_leaves_nothing(client: Client, fleet: FakeFleet) -> None:
    frames = client.live()
    await soon(frames)
    waiting = asyncio.create_task(anext(frames))  # type: ignore[arg-type]
    await fleet.readers_are(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await frames.aclose()
    await fleet.readers_are(0)


async def test_watch_outlives_the_daemon_and_misses_no_event(fleet: FakeFleet, folder: Path) -> None:
    back = asyncio.Event()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await back.wait()

    frames = Client(folder).watch(pause=pause, chance=lambda: 0.5)
    async with asyncio.timeout(20):
        assert isinstance(await anext(frames), Disconnected)
        waiting = asyncio.create_task(anext(frames))  # type: ignore[arg-type]
        async with serve_unix(create_app(fleet), folder / "control.sock"):
            back.set()
            assert isinstance(await waiting, Hello)
            fleet.log()
            assert (await anext(frames)).event.seq == 1
        gone = await anext(frames)
        assert isinstance(gone, Disconnected)
        assert "ended in order" in gone.reason
        fleet.log()
        fleet.log()
        async with serve_unix(create_app(fleet), folder / "control.sock"):
            while not isinstance(await anext(frames), Hello):
                pass
            assert [(await anext(frames)).event.seq for _ in range(2)] == [2, 3]
            await frames.aclose()
    assert pauses[0] == pytest.approx(0.075)


async def test_the_blocking_watch_outlives_the_daemon_too(fleet: FakeFleet, folder: Path) -> None:
    frames = SyncClient(folder).watch(chance=lambda: 0.0)
    async with asyncio.timeout(20):
        assert isinstance(await asyncio.to_thread(next, frames), Disconnected)
        async with serve_unix(create_app(fleet), folder / "control.sock"):
            while not isinstance(await asyncio.to_thread(next, frames), Hello):
                pass
        assert isinstance(await asyncio.to_thread(next, frames), Disconnected)
        await asyncio.to_thread(frames.close)


def test_the_pause_grows_and_is_capped() -> None:
    pauses = [backoff(attempt, chance=0.999) for attempt in range(1, 12)]
    assert pauses == sorted(pauses)
    assert 0.05 < pauses[0] <= 0.1
    assert pauses[-1] <= 2.0
    assert backoff(10**6, chance=0.0) == 1.0


def event(seq: int) -> EventLogged:
    return EventLogged(event=EventInfo(seq=seq, ts="2026-01-01T00:00:00Z", kind="state"))


frames_in_order = st.lists(
    st.one_of(
        st.just("event"),
        st.tuples(st.sampled_from("abc"), st.integers(0, 99)).map(
            lambda drawn: SessionChanged(session=session(drawn[0], attempt=drawn[1]))
        ),
        st.sampled_from("abc").map(lambda name: SessionGone(name=name)),
        st.sampled_from("abc").map(lambda name: PairingFrame(session=name, shown=None)),
        st.just("take"),
    ),
    max_size=60,
)


@given(moves=frames_in_order, limit=st.integers(1, 5))
def test_an_outbox_loses_no_event_silently_and_ends_on_the_latest_state(moves: list[Any], limit: int) -> None:
    async def play() -> None:
        outbox = Outbox(limit)
        out: list[LiveFrame] = []
        seq = 0
        latest: dict[str, LiveFrame] = {}
        for move in moves:
            if move == "take":
                if len(outbox):
                    out.append(await outbox.take())
            elif move == "event":
                seq += 1
                outbox.put(event(seq))
            else:
                outbox.put(move)
                if not isinstance(move, PairingFrame):
                    latest[move.session.name if isinstance(move, SessionChanged) else move.name] = move
            assert len(outbox) <= limit + 1 + 3 + 3
        while len(outbox):
            out.append(await outbox.take())
        told: list[int] = []
        for frame in out:
            if isinstance(frame, EventLogged):
                told.append(frame.event.seq)
            elif isinstance(frame, Gap):
                told.extend(range(frame.first, frame.last + 1))
        assert told == list(range(1, seq + 1))
        last: dict[str, LiveFrame] = {}
        for frame in out:
            if isinstance(frame, SessionChanged | SessionGone):
                last[frame.session.name if isinstance(frame, SessionChanged) else frame.name] = frame
        assert last == latest

    asyncio.run(play())


async def test_an_outbox_passes_the_fleet_s_own_gaps_and_forgets_what_a_hello_says(fleet: FakeFleet) -> None:
    outbox = Outbox()
    outbox.put(SessionGone(name="a"))
    outbox.put(Gap(first=3, last=4))
    outbox.put(Gap(first=1, last=2))
    outbox.put(event(5))
    outbox.put(Hello(seq=5, daemon=fleet.daemon, sessions=[]))
    assert [type(await outbox.take()) for _ in range(3)] == [Gap, EventLogged, Hello]
    assert len(outbox) == 0
