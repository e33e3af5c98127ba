"""A worker's lines: however long, and however they arrive, no half of a secret is seen in them."""

from __future__ import annotations

import asyncio

import pytest

from wakit.redact import Secret
from wakit.whatsapp.port import CodeShown, SessionStart, WorkerLaunch
from wakit.worker.bounds import Window
from wakit.worker.lines import Lines

PASSWORD = "correct-horse-battery"
LAUNCH = WorkerLaunch(
    worker_id="w1",
    sessions=(
        SessionStart(name="sales", directory="/sales", epoch=1, proxy=Secret(f"socks5://me:{PASSWORD}@there:1")),
    ),
)


def heard() -> tuple[Lines, list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    return Lines(LAUNCH, Window(1000, lambda: 0.0), lambda source, line: told.append((source, line))), told


class Chunks(asyncio.StreamReader):
    """Gives exactly what was written at once with each read."""

    def __init__(self, *chunks: bytes) -> None:
        super().__init__()
        self._chunks = iter(chunks)

    async def read(self, n: int = -1) -> bytes:
        return next(self._chunks, b"")


async def printed(*chunks: bytes) -> list[str]:
    lines, told = heard()
    await lines.read(Chunks(*chunks))
    assert {source for source, _ in told} <= {"w1"}
    return [line for _, line in told]


def is_clean(line: str) -> bool:
    """Whether there is no piece of the password in the line from which it could be told."""
    return not any(PASSWORD[at : at + 4] in line for at in range(len(PASSWORD) - 3))


@pytest.mark.parametrize("edge", [4096, 8192])
async def test_a_secret_at_the_edge_of_a_long_line_is_masked_whole(edge: int) -> None:
    for inside in range(1, len(PASSWORD)):
        line = "~" * (edge - inside) + PASSWORD + "~" * 10_000
        lines, told = heard()
        lines.log("sales", line)
        assert [len(each) for _, each in told] == [4096]
        assert is_clean(told[0][1])
        (shown,) = await printed(line.encode() + b"\n")
        assert len(shown) == 4096
        assert is_clean(shown)


@pytest.mark.parametrize("secrets", [100, 350, 380])
async def test_many_secrets_in_a_long_line_do_not_bring_its_cut_end_to_light(secrets: int) -> None:
    line = PASSWORD * secrets
    line = line + "~" * (8192 - 10 - len(line)) + PASSWORD + "~" * 100
    lines, told = heard()
    lines.log("sales", line)
    assert is_clean(told[0][1])
    (shown,) = await printed(line.encode())
    assert is_clean(shown)


async def test_of_a_line_that_is_nothing_but_secrets_not_much_is_left() -> None:
    lines, told = heard()
    for shown in ("A1B2-C3D4", "E5F6-G7H8"):
        lines.learn(CodeShown(code=Secret(shown * 50), expires_at=None))
    lines.log("sales", "A1B2-C3D4" * 50 * 18 + "E5F6-G7H8" * 50)
    assert told == [("sales", "")]


async def test_a_secret_between_two_reads_of_a_line_without_an_end_is_not_seen() -> None:
    for inside in range(1, len(PASSWORD)):
        long = b"~" * 20_000 + PASSWORD.encode()[:inside]
        shown = await printed(long, PASSWORD.encode()[inside:] + b" and more\nthe next\n")
        assert [len(line) for line in shown] == [4096, 8]
        assert all(is_clean(line) for line in shown)
        assert shown[-1] == "the next"


async def test_lines_are_told_as_they_are_however_they_arrive() -> None:
    assert await printed(b"one\ntw", b"o\n\nPress Ctrl+C to exit\nthr", b"ee") == ["one", "two", "three"]
