"""``init``, ``plan`` and ``apply``: the file, and what follows from it."""
# ruff: noqa: PLC0415 - each command imports its own module when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wakit.cli.options import Config, Json, Sim, fleet_of


def init(context: typer.Context, *, config: Config = None) -> None:
    """Write a commented sessions.toml to start from.

    An existing file is never overwritten.
    """
    from wakit.cli import starter

    starter.write(config or context.obj or Path("sessions.toml"))


def plan(context: typer.Context, *, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Show what the loop would do now.

    Works without a daemon, too. Exit code 0: nothing to do, 2: changes, 1: an error, also in the file.
    """
    from wakit.cli import planning

    raise typer.Exit(planning.show(fleet_of(context, config, sim), as_json=json))


def apply(
    context: typer.Context,
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Also carry out what is held for confirmation.")] = False,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Run the loop once now.

    The daemon runs it by itself whenever the file changes; this is for what waits for a confirmation.
    """
    from wakit.cli import planning

    planning.apply(fleet_of(context, config, sim), confirm=confirm, as_json=json)
