"""Listeners at their own speed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from wakit.control.schemas import (
    DaemonChanged,
    DaemonInfo,
    DeclarationInfo,
    EventInfo,
    EventLogged,
    Gap,
    PairingFrame,
    SessionChanged,
    SessionGone,
    SessionInfo,
)
from wakit.reconciler import feed as room
from wakit.reconciler.feed import Feed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAEMON = DaemonInfo(
    pid=1, run_id="r", version="0", started_at=NOW, state_dir="/x", socket="/y", declaration=DeclarationInfo(path="/z")
)


class Board:
    """What the feed asks about, as it is at that moment."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {"a": "declared", "b": "declared"}
        self.feed = Feed(lambda: DAEMON, self.session, lambda _name: None)

    def session(self, name: str) -> SessionInfo | None:
        state = self.states.get(name)
        return SessionInfo(name=name, state=state, status="pending", since=NOW) if state else None


def event(seq: int) -> EventInfo:
    return EventInfo(seq=seq, ts=NOW, kind="warning")


def told(frames: list[Any]) -> list[Any]:
    short: dict[type, Any] = {
        SessionChanged: lambda f: f"{f.session.name}={f.session.state}",
        SessionGone: lambda f: f"{f.name} gone",
        EventLogged: lambda f: f.event.seq,
        Gap: lambda f: (f.first, f.last),
        DaemonChanged: lambda _: "daemon",
        PairingFrame: lambda f: f"pairing {f.session}",
    }
    return [short[type(frame)](frame) for frame in frames]


async def read(listener: Any) -> list[Any]:
    listener.close()
    return told([frame async for frame in listener.frames()])


async def test_a_slow_listener_is_told_each_session_once_as_it_is_now() -> None:
    board = Board()
    with board.feed.listening() as listener:
        for state in ("starting", "pairing", "paired", "connected"):
            board.states["b"] = state
            board.feed.session("b")
            board.feed.session("a")
        del board.states["a"]
        board.feed.daemon()
        board.feed.daemon()
        assert await read(listener) == ["daemon", "b=connected", "a gone"]


async def test_a_session_is_described_when_its_frame_is_read() -> None:
    board = Board()
    with board.feed.listening() as listener:
        frames = listener.frames()
        board.feed.session("a")
        board.feed.session("b")
        assert told([await anext(frames)]) == ["a=declared"]
        board.states["b"] = "connected"
        assert told([await anext(frames)]) == ["b=connected"]
        await frames.aclose()


async def test_events_are_never_merged_and_gaps_stand_where_they_belong() -> None:
    board = Board()
    with board.feed.listening() as listener:
        for seq in (1, 2):
            board.feed.event(event(seq))
        board.feed.gap(3, 9)
        board.feed.event(event(10))
        assert await read(listener) == [1, 2, (3, 9), 10]


async def test_what_a_listener_was_too_slow_for_is_a_gap_of_exactly_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_EVENTS_KEPT", 3)
    board = Board()
    with board.feed.listening() as slow, board.feed.listening() as quick:
        for seq in range(1, 8):
            board.feed.event(event(seq))
        board.feed.gap(8, 20)
        board.feed.event(event(21))
        items = await read(slow)
        covered = [n for item in items for n in (range(item[0], item[1] + 1) if isinstance(item, tuple) else [item])]
        assert covered == list(range(1, 22)), "every number once: told, or told as missing"
        assert (await read(quick))[-1] == 21


async def test_who_asked_for_a_pairing_is_told_at_once_and_after_every_change() -> None:
    board = Board()
    with board.feed.listening("a") as listener:
        board.feed.session("b")
        frames = listener.frames()
        assert told([await anext(frames), await anext(frames)]) == ["b=declared", "pairing a"]
        board.feed.session("a")
        assert told([await anext(frames), await anext(frames)]) == ["a=declared", "pairing a"]
        await frames.aclose()


async def test_a_listener_waits_without_a_frame_and_ends_with_the_feed() -> None:
    board = Board()
    with board.feed.listening() as listener:
        reading = asyncio.ensure_future(anext(listener.frames(), None))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not reading.done()
        board.feed.close()
        assert await reading is None
    with board.feed.listening() as late:
        assert await read(late) == []
    board.feed.session("a")
    assert not board.feed._listeners, "who is gone is forgotten"
