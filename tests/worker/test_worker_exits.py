"""Exit code and last words become a cause a person understands."""

from __future__ import annotations

import signal

import pytest

from wakit.worker.exits import EVIDENCE_LINES, ExitCode, LastWords, explain

MAP_WRITES = ["fatal error: concurrent map writes", "", "goroutine 19 [running]:", "main.Neonize(...)"]
PANIC = ["panic: runtime error: invalid memory address or nil pointer dereference", "[signal SIGSEGV]", "goroutine 1"]
TRACEBACK = ["Traceback (most recent call last):", '  File "x.py", line 1, in <module>', "ValueError: no such thing"]


@pytest.mark.parametrize(
    ("code", "lines", "words"),
    [
        (-signal.SIGABRT, MAP_WRITES, "two threads changed one of its maps"),
        (2, MAP_WRITES, "two threads changed one of its maps"),
        (2, PANIC, "the Go library aborted: runtime error: invalid memory address"),
        (-signal.SIGABRT, [], "aborted without saying why"),
        (-signal.SIGKILL, [], "SIGKILL"),
        (-signal.SIGSEGV, [], "native code (SIGSEGV)"),
        (-signal.SIGBUS, [], "native code (SIGBUS)"),
        (-signal.SIGTERM, [], "somebody ended the worker"),
        (-100, [], "signal 100"),
        (ExitCode.BUG, TRACEBACK, "the worker's own code failed: ValueError: no such thing"),
        (1, TRACEBACK, "the worker's own code failed: ValueError: no such thing"),
        (ExitCode.PARENT_GONE, [], "lost its connection to the daemon"),
        (ExitCode.BROKEN_FRAME, [], "could not read its orders"),
        (ExitCode.CANNOT_START, [], "could not start"),
        (ExitCode.ASKED, [], "without being asked"),
        (42, [], "exit code 42"),
    ],
)
def test_causes(code: int, lines: list[str], words: str):
    assert words in explain(code, lines).cause


def test_the_out_of_memory_killer_is_suspected_and_the_next_step_named():
    ending = explain(-signal.SIGKILL, [])
    assert "memory" in ending.cause
    assert "dmesg" in ending.next_step


def test_evidence_begins_with_the_panic():
    ending = explain(2, ["INFO chatter", *PANIC])
    assert ending.evidence.splitlines() == PANIC


def test_an_old_traceback_is_not_the_cause_of_a_kill():
    assert "killed" in explain(-signal.SIGKILL, TRACEBACK).cause


def test_the_start_of_a_long_panic_is_kept():
    words = LastWords()
    for line in ("before", *PANIC, *(f"goroutine {number}" for number in range(10_000))):
        words.hear(line)
    assert words.lines[:3] == tuple(PANIC)
    assert len(words.lines) == EVIDENCE_LINES


def test_without_a_panic_the_last_lines_are_kept():
    words = LastWords()
    for number in range(1000):
        words.hear(str(number))
    assert words.lines[-1] == "999"
    assert len(words.lines) < 100
