"""``status``, ``restart``, ``park`` and ``resume``: one question or order to the daemon, and its answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Literal

from wakit.cli.fleet import Fleet
from wakit.errors import ControlError


def show_status(fleet: Fleet, *, as_json: bool) -> None:
    """Print every session and the daemon."""
    told = fleet.client.status()
    if as_json:
        print_json(told.model_dump_json())
        return
    from wakit.cli import render  # noqa: PLC0415 - rich, only for people

    render.show(render.status(told, unicode=render.speaks_unicode()))


def give(
    fleet: Fleet, order: Literal["restart", "park", "resume"], names: Sequence[str], *, as_json: bool, **more: bool
) -> None:
    """Give an order to each session, in turn, and say what keeps it from being done at once; a refusal ends it.

    Raises:
        ControlError: It was refused, or changes nothing because the file says otherwise.
    """
    client = fleet.client
    for name in names:
        told = getattr(client, order)(name, **more)
        if order == "resume" and not told.enabled:  # undone all the same: it runs once the file allows it
            raise ControlError(
                f"{name} stays parked",
                why="sessions.toml says enabled = false",
                hint=f"take `enabled = false` out of [sessions.{name}]",
            )
        if as_json:
            print_json(told.model_dump_json())
        else:
            waits = client.plan().waiting.get(name) if order != "park" else None
            sys.stdout.write(f"{name}: {order} asked for; it is {told.state}{f'; {waits}' if waits else ''}\n")


def print_json(text: str) -> None:
    """Print one JSON value: on one line for a pipe, indented for a person."""
    if sys.stdout.isatty():
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    sys.stdout.write(text + "\n")
