"""An account's number, asked for where neither the process list nor a shell's history sees it."""

from __future__ import annotations

import getpass
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from wakit.errors import ControlError, DeclarationError

if TYPE_CHECKING:
    from wakit.cli.fleet import Fleet
    from wakit.cli.pairing_steps import Asked


def with_number(fleet: Fleet, asked: Asked) -> Asked:
    """Return what is asked with the number it needs: ``-`` is replaced, and one that is missing is asked for.

    It is asked for on a terminal only, and only if the file has none. A script that gives none gets the daemon's error.

    Raises:
        ControlError: Nothing was typed or piped.
        WakitError: No daemon runs, or it does not know the session: said before a person types.
    """
    if asked.phone == "-":
        return replace(asked, phone=_take(asked.name))
    if asked.method != "code" or asked.phone is not None or not _on_terminal():
        return asked
    if fleet.client.session(asked.name).state == "connected" or _is_declared(fleet, asked.name):
        return asked
    return replace(asked, phone=_take(asked.name))


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _is_declared(fleet: Fleet, name: str) -> bool:
    from wakit.declare import load  # noqa: PLC0415 - the parser, only to ask

    try:
        spec = load(fleet.place.config).sessions.get(name)
    except DeclarationError:  # the daemon knows the last file that was right
        return False
    return spec is not None and spec.phone is not None


def _take(name: str) -> str:
    try:
        if _on_terminal():
            given = getpass.getpass(f"The number of {name}, as +34600000001 (it is not shown): ")
        else:
            given = sys.stdin.readline() if sys.stdin is not None else ""
    except EOFError:
        given = ""
    if not given.strip():
        raise ControlError(
            f"{name} is not paired",
            why="no number was given",
            hint='write phone = "+…" into the session in the file, or type or pipe the number when it is asked for',
        )
    return given.strip()
