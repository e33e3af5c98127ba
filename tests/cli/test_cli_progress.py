"""How far a fleet has come up, as a bar and as lines."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from rich.console import Console

from wakit.cli import progress
from wakit.control.schemas import SessionInfo

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def session(name: str, state: str, *, enabled: bool = True) -> SessionInfo:
    return SessionInfo(name=name, state=state, status="pending", since=T0, enabled=enabled)


def shown(*sessions: SessionInfo) -> str:
    screen = Console(width=100, color_system=None, force_terminal=True)
    with screen.capture() as captured:
        screen.print(progress.bar(sessions))
    return captured.get().strip()


def test_a_bar_counts_those_that_should_be_connected_by_state() -> None:
    coming = [session(f"s{n}", "connected" if n < 30 else "starting") for n in range(40)]
    told = shown(*coming, session("p", "parked"), session("off", "declared", enabled=False), session("x", "pairing"))
    assert told.endswith("30 of 41 connected: 10 starting, 1 pairing")
    assert told.startswith("━")


def test_there_is_no_bar_when_everybody_is_there_or_nobody_else() -> None:
    assert shown(session("a", "connected"), session("b", "connected"), session("c", "parked")) == ""
    assert shown(session("a", "starting")) == ""


def test_a_line_a_second_and_one_when_everybody_is_there() -> None:
    said: list[str] = []
    now = 0.0
    lines = progress.Lines(said.append, lambda: now)
    lines.tell()
    for name in ("a", "b", "c"):
        lines.take(session(name, "starting"))
        lines.tell()
    now = 0.5
    lines.take(session("a", "connected"))
    lines.tell()
    now = 1.5
    lines.take(session("b", "connected"))
    lines.tell()
    lines.forget("c")
    lines.tell()
    lines.tell()
    words = [re.sub(r"^\S+Z ", "", line) for line in said]
    assert words == ["2 of 3 connected: 1 starting", "2 of 2 connected"]
    lines.take(session("a", "reconnecting"))
    lines.tell()
    assert said[-1].endswith("1 of 2 connected: 1 reconnecting")


def test_a_single_session_needs_no_lines() -> None:
    said: list[str] = []
    lines = progress.Lines(said.append, lambda: 0.0)
    lines.take(session("a", "starting"))
    lines.tell()
    assert said == []
