"""From a command line to an exit code, whatever happens on the way.

A person's mistake ends as ``error: what: why`` and ``hint: …`` on stderr, with ``--json`` also as ``{"error": …}`` on
stdout. A mistake of ours ends as one line that says where its traceback was written (the texts of exceptions scrubbed),
and exit code 70, ``EX_SOFTWARE`` of sysexits(3). A traceback is never printed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, Final

from wakit.cli import streams
from wakit.errors import DeclarationError, Exit, WakitError

SOFTWARE: Final = 70
_NOT_WRITTEN: Final = "send it to a file, a pipe or /dev/null; what was asked for may have been done all the same"
_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, as a shell reports it
_COLOURS: Final = {"error": "31", "hint": "36"}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    Args:
        arguments: Without the program's name; None takes ``sys.argv``.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    streams.complete()
    try:
        return _concluded(given)
    except OSError as error:
        if not streams.reader_has_gone(error):
            raise
        # The reader (`| head`) has gone, of stdout or of both; also while it was told of an error.
        streams.let_go(sys.stdout)
        streams.let_go(sys.stderr)
        return _BROKEN_PIPE


def complain(error: WakitError, *, as_json: bool = False) -> None:
    """Print an error as people and, if asked, as scripts read it."""
    for problem in _problems(error):
        _say("error", str(problem))
        if problem.hint:
            _say("hint", problem.hint)
    if as_json:
        from wakit.control.refusals import to_info  # noqa: PLC0415 - pydantic, only where it is needed

        sys.stdout.write(f'{{"error":{to_info(error).model_dump_json()}}}\n')
        sys.stdout.flush()


def _concluded(arguments: list[str]) -> int:
    try:
        code = _carry_out(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except OSError as error:
        if streams.reader_has_gone(error):
            raise
        why = streams.why_it_failed(error)
        if why is None:
            return _confess(error)
        streams.let_go(sys.stdout)
        complain(WakitError("The output could not be written", why=why, hint=_NOT_WRITTEN))
        return int(Exit.ERROR)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return _confess(error)
    return code


def _carry_out(arguments: list[str]) -> int:
    from wakit.cli.app import ABORT, EXIT, USAGE_ERROR, whole  # noqa: PLC0415 - so that Ctrl-C is caught here, too
    from wakit.cli.options import JSON_WANTED  # noqa: PLC0415

    try:
        command = whole()
        # Not command.main(…): that would turn a reader that has gone into exit code 1 before it comes here.
        with command.make_context("wakit", arguments or ["--help"]) as context:
            try:
                command.invoke(context)
            except WakitError as error:
                complain(error, as_json=bool(context.meta.get(JSON_WANTED)))
                return int(error.exit_code)
        return int(Exit.OK)
    except EXIT as ended:
        return int(ended.exit_code)
    except ABORT:
        return int(Exit.INTERRUPTED)
    except USAGE_ERROR as error:
        where = error.ctx.command_path if error.ctx is not None else "wakit"
        _say("error", error.format_message() or "a command is missing")
        _say("hint", f"see `{where} --help`")
        return int(Exit.USAGE)


def _problems(error: WakitError) -> Sequence[WakitError]:
    several: Any = getattr(error, "problems", ())
    return list(several) if isinstance(error, DeclarationError) and several else [error]


def _say(kind: str, text: str) -> None:
    word = kind
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        word = f"\x1b[1;{_COLOURS[kind]}m{kind}\x1b[0m"
    try:
        sys.stderr.write(f"{word}: {text}\n")
    except OSError as error:
        if streams.reader_has_gone(error):
            raise
        streams.let_go(sys.stderr)  # closed, or a full disk: the exit code is all that is left to say


def _confess(error: Exception) -> int:
    from wakit.control.refusals import trace  # noqa: PLC0415 - only for a bug

    told = f"wakit made a mistake ({type(error).__name__})"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="wakit-crash-", suffix=".log", delete=False) as file:
            file.write(trace(error) + "\n")
        _say("error", f"{told}; the details are in {file.name}")
    except OSError:
        _say("error", f"{told} at\n{trace(error)}")
    _say("hint", "please report it with the details; they hold places in the code, and no messages, numbers or keys")
    streams.settle(sys.stdout)
    return SOFTWARE
