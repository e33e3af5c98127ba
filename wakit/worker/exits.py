"""Why a worker ended: exit code and last words in, a sentence and the next step out. Pure.

Exit codes below 64 other than 0 are nobody's agreement; the ones wakit's own child uses are in :class:`ExitCode`. A
negative code is the signal that ended the process, as :mod:`subprocess` has it.

What a Go panic looks like comes from Go's runtime (``panic.go``): the first line is ``panic: …`` or
``fatal error: …``, then the goroutines. As a library inside another process the runtime ends with SIGABRT after a
fatal error, and with exit code 2 after a panic.
"""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

EVIDENCE_LINES: Final = 12
"""How many lines of a panic or traceback are kept."""


class ExitCode(IntEnum):
    """How a worker ends by its own decision (the numbers follow sysexits.h where one fits)."""

    ASKED = 0
    BROKEN_FRAME = 65  # EX_DATAERR: what came from the host is no message
    CANNOT_START = 69  # EX_UNAVAILABLE: the library or the endpoint cannot be used; told in a frame before
    BUG = 70  # EX_SOFTWARE: an unforeseen exception in wakit's own code
    PARENT_GONE = 75  # EX_TEMPFAIL: the host's end of the socket closed


@dataclass(frozen=True, slots=True)
class Ending:
    """A worker's end in words.

    Attributes:
        cause: One plain sentence without a final stop.
        next_step: What a person could do, or "" if nothing.
        evidence: First lines of the panic or traceback, or "".
    """

    cause: str
    next_step: str = ""
    evidence: str = ""


_GO_PANIC: Final = re.compile(r"fatal error: |panic: |SIG[A-Z]+: ")
_FIRST_WORDS: Final = re.compile(_GO_PANIC.pattern + r"|Traceback \(most recent call last\)")
_REPORT: Final = "report it with the evidence; wakit starts the sessions again by itself"


class LastWords:
    """Listens to a worker's output, one scrubbed line after the other, and keeps what explains its end.

    A Go panic prints its cause first and then, perhaps, thousands of lines, so the first lines are kept from the
    moment a panic begins; otherwise the last ones are.

    Example:
        >>> words = LastWords()
        >>> for line in ("hello", "panic: boom", "goroutine 1 [running]:"):
        ...     words.hear(line)
        >>> words.lines
        ('panic: boom', 'goroutine 1 [running]:')
    """

    def __init__(self) -> None:
        self._tail: deque[str] = deque(maxlen=3 * EVIDENCE_LINES)
        self._panic: list[str] = []

    def hear(self, line: str) -> None:
        """Take the next line."""
        self._tail.append(line)
        if (self._panic or _GO_PANIC.match(line)) and len(self._panic) < EVIDENCE_LINES:
            self._panic.append(line)

    @property
    def lines(self) -> tuple[str, ...]:
        """The panic from its first line, or else the last lines."""
        return tuple(self._panic or self._tail)


def find_evidence(lines: Sequence[str]) -> str:
    r"""Return the lines from the first one that begins a Go panic or a Python traceback, a few of them.

    Example:
        >>> find_evidence(["hello", "panic: boom", "goroutine 1 [running]:"])
        'panic: boom\ngoroutine 1 [running]:'
    """
    for index, line in enumerate(lines):
        if _FIRST_WORDS.match(line):
            return "\n".join(lines[index : index + EVIDENCE_LINES])
    return ""


def explain(code: int, lines: Sequence[str]) -> Ending:
    """Say why a worker ended that nobody asked to end.

    Args:
        code: As :attr:`subprocess.Popen.returncode` has it.
        lines: The last lines it printed, scrubbed, oldest first.

    Example:
        >>> explain(-9, []).cause
        'the worker was killed (SIGKILL), perhaps because memory ran out'
    """
    evidence = find_evidence(lines)
    if "concurrent map" in evidence:
        return Ending(
            "the Go library aborted: two threads changed one of its maps at once",
            "keep fewer sessions in a worker ([wakit] sessions_per_worker); wakit starts them again by itself",
            evidence,
        )
    if evidence.startswith(("panic: ", "fatal error: ")) and code in (2, -signal.SIGABRT, 134):
        return Ending(f"the Go library aborted: {_headline(evidence)}", _REPORT, evidence)
    if code < 0:
        return _explain_signal(-code, evidence)
    if code in (ExitCode.BUG, 1) and evidence.startswith("Traceback"):
        return Ending(f"the worker's own code failed: {_exception(lines)}", _REPORT, "\n".join(lines[-EVIDENCE_LINES:]))
    match code:
        case ExitCode.ASKED:
            return Ending("the worker ended without being asked", _REPORT, evidence)
        case ExitCode.BROKEN_FRAME:
            return Ending("the worker could not read its orders", "restart the daemon: wakit may have been upgraded")
        case ExitCode.CANNOT_START:
            return Ending("the worker could not start", "see its log, and run `wakit doctor`", evidence)
        case ExitCode.PARENT_GONE:
            return Ending("the worker lost its connection to the daemon and ended itself", "", evidence)
        case _:
            return Ending(f"the worker ended with exit code {code}", _REPORT, evidence)


def _explain_signal(number: int, evidence: str) -> Ending:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    match number:
        case signal.SIGKILL:
            return Ending(
                f"the worker was killed ({name}), perhaps because memory ran out",
                "if it happens again, look for the kernel's OOM messages (`dmesg`) and lower sessions_per_worker",
                evidence,
            )
        case signal.SIGSEGV | signal.SIGBUS | signal.SIGILL | signal.SIGFPE:
            return Ending(f"the worker crashed in native code ({name})", _REPORT, evidence)
        case signal.SIGABRT:
            return Ending("the Go library aborted without saying why (SIGABRT)", _REPORT, evidence)
        case signal.SIGTERM | signal.SIGINT | signal.SIGHUP | signal.SIGQUIT:
            return Ending(f"somebody ended the worker ({name})", "", evidence)
        case _:
            return Ending(f"the worker was ended by {name}", _REPORT, evidence)


def _headline(evidence: str) -> str:
    return evidence.splitlines()[0].partition(": ")[2]


def _exception(lines: Sequence[str]) -> str:
    """Return the last line that is not indented: where a traceback names its exception."""
    return next((line for line in reversed(lines) if line and not line[0].isspace()), "an unknown exception")
