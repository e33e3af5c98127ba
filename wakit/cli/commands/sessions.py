"""``pair``, ``restart``, ``park`` and ``resume``: what a person asks for a session."""
# ruff: noqa: PLC0415 - each command imports its own module when it runs

from __future__ import annotations

from typing import Annotated

import typer

from wakit.cli.options import Config, Json, Name, Names, Sim, fleet_of


def pair(
    context: typer.Context,
    *,
    name: Name,
    code: Annotated[
        bool | None, typer.Option("--code/--qr", help="By eight characters, or by a QR; for this once.")
    ] = None,
    phone: Annotated[
        str | None,
        typer.Option(
            "--phone",
            metavar="NUMBER",
            help="The account's number, for --code; `-` reads it from stdin. A number written here is seen by others "
            "on this machine and kept by the shell: better write it into the file, or leave it out and be asked.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="Give up after so long.")
    ] = 300.0,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Link a phone by QR or code.

    Shows what is to be scanned or typed, renewed as WhatsApp does, until the session is connected.
    """
    from wakit.cli import pairing, pairing_steps

    method: pairing_steps.Method | None = None if code is None else "code" if code else "qr"
    asked = pairing_steps.Asked(name, method, phone, timeout)
    raise typer.Exit(pairing.pair(fleet_of(context, config, sim), asked, as_json=json))


def restart(
    context: typer.Context,
    *,
    names: Names,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Use the credential here from now on, although it was used elsewhere since this copy was made. "
            "It is refused there then, and messages that came since may stay unreadable.",
        ),
    ] = False,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Replace the clients of sessions.

    Also clears verdicts that wait for a person, like a conflict with another client.
    """
    from wakit.cli import orders

    _end(orders.give(fleet_of(context, config, sim), "restart", names, as_json=json, take_over=take_over))


def park(context: typer.Context, *, names: Names, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Stop sessions until they are resumed.

    Whatever the file says, and over restarts. Credentials stay.
    """
    from wakit.cli import orders

    _end(orders.give(fleet_of(context, config, sim), "park", names, as_json=json))


def resume(context: typer.Context, *, names: Names, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Undo park."""
    from wakit.cli import orders

    _end(orders.give(fleet_of(context, config, sim), "resume", names, as_json=json))


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
