"""``status``, ``restart``, ``park`` and ``resume``: one question or order to the daemon, and its answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from wakit.cli.fleet import Fleet
from wakit.cli.run import complain
from wakit.errors import ControlError, NoDaemonError, WakitError

if TYPE_CHECKING:
    from wakit.control.schemas import SessionInfo

Order: TypeAlias = Literal["restart", "park", "resume"]

_PARTICIPLE: Final = {"restart": "restarted", "park": "parked", "resume": "resumed"}


def show_status(fleet: Fleet, *, as_json: bool) -> None:
    """Print every session and the daemon."""
    told = fleet.client.status()
    if as_json:
        print_json(told.model_dump_json())
        return
    from wakit.cli import render  # noqa: PLC0415 - rich, only for people

    render.show(render.status(told, unicode=render.speaks_unicode()))


def give(fleet: Fleet, order: Order, names: Sequence[str], *, as_json: bool, **more: bool) -> int:
    """Give an order to each session, in turn, and say what keeps it from being done at once.

    A refusal is told on stderr, and keeps nobody else's order back.

    Returns:
        The exit code: of the gravest refusal, 0 if there was none.

    Raises:
        NoDaemonError: There is nobody who takes orders, or not any more.
    """
    refusals: dict[str, WakitError] = {}
    for name in names:
        try:
            told = _give(fleet, order, name, as_json=as_json, **more)
        except NoDaemonError:
            raise
        except WakitError as error:
            told = _refused(name, error) if as_json else ""
            if str(error) not in refusals:  # what is said of no session in particular is said once
                complain(error)
            refusals[str(error)] = error
        sys.stdout.write(told)
        sys.stdout.flush()
    return max((int(error.exit_code) for error in refusals.values()), default=0)


def _give(fleet: Fleet, order: Order, name: str, *, as_json: bool, **more: bool) -> str:
    """Give one order and return what is to be said of it."""
    told: SessionInfo = getattr(fleet.client, order)(name, **more)
    if order == "resume" and not told.enabled:  # undone all the same: it runs once the file allows it
        raise ControlError(
            f"{name} stays parked",
            why="sessions.toml says enabled = false",
            hint=f"take `enabled = false` out of [sessions.{name}]",
        )
    if as_json:
        return told.model_dump_json() + "\n"
    waits = None
    if order != "park":
        with suppress(WakitError):  # it was carried out, whatever becomes of the question
            waits = fleet.client.plan().waiting.get(name)
    done, state = _PARTICIPLE[order], told.state.replace("_", " ")
    if order == "park" and told.state == "parked":
        return f"{name} is parked\n"
    return f"{name} is being {done} (still {state}){f'; {waits}' if waits else ''}\n"


def _refused(name: str, error: WakitError) -> str:
    from wakit.control.refusals import to_info  # noqa: PLC0415 - pydantic, only where it is needed

    return json.dumps({"session": name, "error": to_info(error).model_dump(mode="json")}) + "\n"


def print_json(text: str) -> None:
    """Print one JSON value: on one line for a pipe, indented for a person."""
    if sys.stdout.isatty():
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    sys.stdout.write(text + "\n")
