"""``sim``: WhatsApp on loopback, on its own or commanded from here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from wakit.errors import Exit


def run(state: Path, words: Sequence[str], *, port: int, refs: int) -> int:
    """Run the simulator in the foreground, or carry out one command against the one that runs.

    Args:
        state: The simulator's own folder.
        words: The command; none runs the simulator.
        port: A port of 127.0.0.1; 0 takes the last one again, or any.
        refs: How many QR codes a registering client gets.
    """
    from wakit.sim.console import COMMANDS, run_command, run_console  # noqa: PLC0415 - only when it runs

    if list(words) == ["help"]:
        for command in COMMANDS.values():
            say(f"{command.usage:<26}{command.meaning}")
    elif words:
        run_command(state, words, say)
    else:
        run_console(state, say, sys.stdin, port=port, refs=refs, stay=not sys.stdin.isatty())
    return Exit.OK


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
