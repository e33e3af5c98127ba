"""What several commands take: the file, which fleet, names, ``--json``; and how that becomes a :class:`Fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from wakit.cli.fleet import Fleet

# In the context's meta, which all its commands share: an error is told as JSON where the command was to tell JSON.
JSON_WANTED: Final = "wakit.json"


def _note_json(context: typer.Context, wanted: bool) -> bool:
    context.meta[JSON_WANTED] = wanted
    return wanted


Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", metavar="FILE", help="The sessions.toml; else the nearest one, upwards from here."),
]
Sim = Annotated[
    bool | None,
    typer.Option("--sim/--no-sim", help="The simulated fleet, or the real one; else whichever daemon runs."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.", callback=_note_json)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A session's name.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of sessions.")]


def fleet_of(context: typer.Context, config: Path | None, sim: bool | None, *, phones_by_hand: bool = False) -> Fleet:
    """Return the fleet a command means: by its own ``-c``, or the one before its name."""
    from wakit.cli.fleet import Fleet  # noqa: PLC0415 - the runtime, only where a fleet is needed

    return Fleet(config or context.obj, sim=sim, phones_by_hand=phones_by_hand)
