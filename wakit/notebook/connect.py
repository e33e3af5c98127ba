"""``wakit.connect()``: find the daemon of the nearest sessions.toml, and attach to it.

Nothing is started silently. Where no daemon runs, the error says how to start one, and ``connect(start=True)`` is the
way to do it from the notebook: it runs the very command it would have told you.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wakit.errors import NoDaemonError
from wakit.notebook.fleet import Fleet

if TYPE_CHECKING:
    from wakit.runtime import Place

_OPEN: Final[dict[Path, Fleet]] = {}
_TURNS: Final[dict[Path, threading.Lock]] = {}
_START_SECONDS: Final = 120.0


def connect(path: str | os.PathLike[str] | None = None, *, sim: bool | None = None, start: bool = False) -> Fleet:
    """Attach to the daemon that keeps the nearest sessions.toml.

    Calling it again for the same daemon gives the same fleet, so running a cell twice does no harm. Several that start
    it at one moment (kernels, threads) get the one daemon that the first of them started.

    Args:
        path: The declaration's file, or its folder; else it is looked for from the current folder upwards.
        sim: True for the daemon of ``wakit up --sim``, False for the real one; None takes the one that runs.
        start: Start the daemon (``wakit up --detach``) if none runs, and wait until it serves.

    Returns:
        The fleet; as the last line of a cell it shows its live board.

    Raises:
        NoDaemonError: None runs, and ``start`` is False; or it could not be started.
        DeclarationError: There is no sessions.toml, or it is not one.

    Example:
        >>> with wakit.connect(folder) as fleet:
        ...     fleet["sales"].state
        'connected'
    """
    from wakit.runtime import locate  # noqa: PLC0415 - the parser, only where a fleet is looked for

    given = None if path is None else Path(path).expanduser()
    if given is not None and given.is_dir():
        given /= "sessions.toml"
    place = locate(given, sim=sim)
    # Kernels may be threads of one process (marimo): they share the fleet, and one of them starts the daemon.
    with _TURNS.setdefault(place.state_dir, threading.Lock()):
        return _attach(place, path, start=start)


def _attach(place: Place, path: str | os.PathLike[str] | None, *, start: bool) -> Fleet:
    from wakit.declare import load  # noqa: PLC0415 - the parser, only where a fleet is looked for

    known = _OPEN.get(place.state_dir)
    if known is not None and not known.closed:
        return known
    try:
        fleet = Fleet(place.config, place.state_dir)
    except NoDaemonError as error:
        load(place.config, git=False)  # a file that is missing or wrong is the first thing to mend
        command = _command(place.config, sim=place.sim)
        if not start:
            raise _not_running(error, command, _again(path, sim=place.sim)) from None
        _start(command)
        fleet = Fleet(place.config, place.state_dir)
    _OPEN[place.state_dir] = fleet
    return fleet


def _command(config: Path, *, sim: bool) -> list[str]:
    return ["up", "--detach", "--config", str(config), *(["--sim"] if sim else [])]


def _again(path: str | os.PathLike[str] | None, *, sim: bool) -> str:
    """Say the call that starts what this one has not found: the very same, with ``start=True``."""
    given = [] if path is None else [repr(os.fspath(path))]
    return f"wakit.connect({', '.join([*given, *(['sim=True'] if sim else []), 'start=True'])})"


def _not_running(error: NoDaemonError, command: Sequence[str], again: str) -> NoDaemonError:
    return NoDaemonError(
        error.what, why=error.why, hint=f"start one with {again}, or in a terminal: `wakit {shlex.join(command)}`"
    )


def _start(command: Sequence[str]) -> None:
    """Run ``wakit up --detach``, which returns when the daemon serves, or says why it does not."""
    try:
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [sys.executable, "-m", "wakit", *command],
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise NoDaemonError(
            "The daemon was started and does not serve",
            why=f"{_START_SECONDS:.0f} s went by",
            hint=f"run `wakit {shlex.join(command)}` in a terminal to see what it says",
        ) from None
    if done.returncode != 0:
        raise _failed(done.stderr.strip().splitlines(), done.returncode)


def _failed(said: Sequence[str], code: int) -> NoDaemonError:
    hints = [line.removeprefix("hint: ") for line in said if line.startswith("hint: ")]
    return NoDaemonError(
        "The daemon could not be started",
        why=said[0].removeprefix("error: ") if said else f"it ended with exit code {code}",
        hint=hints[0] if hints else "`wakit doctor` looks for the cause",
    )
