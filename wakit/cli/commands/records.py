"""``events`` and ``logs``: what happened."""
# ruff: noqa: PLC0415 - each command imports its own module when it runs

from __future__ import annotations

from typing import Annotated

import typer

from wakit.cli.options import Config, Json, Sim, fleet_of


def events(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this session's.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="AGE", help="Only newer than 90s, 15m, 1h or 7d, or than a time (UTC)."),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="At most so many, the newest ones.")] = 100,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones until Ctrl-C.")] = False,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Show the journal's events.

    Works without a daemon, too. With --json one object a line.
    """
    from wakit.cli import history

    asked = history.Asked(name, since, limit)
    history.show(fleet_of(context, config, sim), asked, follow=follow, as_json=json)


def logs(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A session's name; `_daemon` is the daemon's own log.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines to begin with.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines until Ctrl-C.")] = False,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Show a session's log.

    Works without a daemon, too. With --json the lines as they are stored.
    """
    from wakit.cli import logbook

    logbook.show(fleet_of(context, config, sim), name, lines, follow=follow, as_json=json)
