"""``doctor`` and ``sim``: this machine, and a WhatsApp of its own."""
# ruff: noqa: PLC0415 - each command imports its own module when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wakit.cli.options import Config, Json, Sim, fleet_of


def doctor(
    context: typer.Context,
    *,
    ask: Annotated[
        bool, typer.Option("--ask", help="Have each connected session ask WhatsApp whether it answers.")
    ] = False,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Check this machine, the file and the state.

    Changes nothing. Exit code 1 if anything fails.
    """
    from wakit.cli.doctor import examining

    raise typer.Exit(examining.examine(config or context.obj, sim=sim, as_json=json, ask=ask))


def sim(
    context: typer.Context,
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND...]", help="scan, type, unlink, kick, …; `wakit sim help` lists them."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="Its folder; else the one of `wakit up --sim`.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="A port of 127.0.0.1; 0 takes the last one again, or any.")
    ] = 0,
    refs: Annotated[int, typer.Option("--refs", min=1, max=32, help="QR codes a registering client gets.")] = 6,
    config: Config = None,
) -> None:
    """Run or command WhatsApp on loopback.

    Without a COMMAND it runs on its own and takes commands from stdin; with one it is given to the one that runs.
    """
    from wakit.cli import simulating

    folder = state or fleet_of(context, config, True).place.state_dir / "whatsapp"
    raise typer.Exit(simulating.run(folder, words or [], port=port, refs=refs))
