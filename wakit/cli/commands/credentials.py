"""``export``, ``import``, ``backup`` and ``restore``: credentials go to other places and come back."""
# ruff: noqa: PLC0415 - each command imports its own module when it runs

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wakit.cli.options import Config, Json, Name, Names, Sim, fleet_of

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="F", help="A file with a passphrase in it; nobody else may read it."),
]


class Foreign(StrEnum):
    """Whose credentials ``import --from`` understands."""

    BAILEYS = "baileys"
    WHATSMEOW = "whatsmeow"


def export(
    context: typer.Context,
    *,
    names: Names,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The bundle's file, which is new.")],
    recipient: Annotated[
        list[str] | None,
        typer.Option("--recipient", metavar="KEY", help="Who can open it: a public age or ssh key; repeatable."),
    ] = None,
    passphrase_file: Passphrase = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also what was given away already, if that bundle is lost and was used nowhere."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Give sessions to another place, in an encrypted bundle.

    They must be stopped (`wakit park`, or no daemon). Here they are not started any more; their credentials stay.
    """
    from wakit.cli import moving

    asked = moving.Export(names, output, recipient or [], passphrase_file, again, force)
    moving.give(fleet_of(context, config, sim), asked, as_json=json)


def import_(
    context: typer.Context,
    *,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A bundle of `wakit export`; with --from a folder or database."),
    ],
    foreign: Annotated[
        Foreign | None, typer.Option("--from", help="Take another tool's credential in, as --name NAME.")
    ] = None,
    identity: Annotated[
        list[Path] | None,
        typer.Option("--identity", metavar="KEYFILE", help="An age identity file or ssh private key; repeatable."),
    ] = None,
    passphrase_file: Passphrase = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="OLD=NEW", help="Take a session in under another name; repeatable. With --from: NAME."
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="NUMBER", help="With --from: which of several; `-` reads it from stdin."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Take sessions in that another place gave away.

    They connect without a QR as soon as the file has them. A bundle is taken in once. With --from the credential of a
    Baileys folder or a whatsmeow database becomes a session; that tool must never use it again.
    """
    if foreign is not None:
        if identity or passphrase_file:
            raise typer.BadParameter("--identity and --passphrase-file are for bundles; --from takes what is open")
        from wakit.cli import migrating

        migration = migrating.Migration(file, foreign.value, migrating.one_name(name), account, dry_run)
        raise typer.Exit(migrating.bring(fleet_of(context, config, sim), migration, as_json=json))
    if account is not None:
        raise typer.BadParameter("--account belongs to --from: a bundle names its sessions itself")
    from wakit.cli import moving

    asked = moving.Import(file, identity or [], passphrase_file, name or [], dry_run)
    raise typer.Exit(moving.take(fleet_of(context, config, sim), asked, as_json=json))


def backup(
    context: typer.Context,
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Sessions; all if none is named.")
    ] = None,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Back credentials up now.

    Also while they are in use. The daemon does it by itself: after linking, after a start, every `[vault] interval`.
    """
    from wakit.cli import copies

    copies.back_up(fleet_of(context, config, sim), names or [], as_json=json)


def restore(
    context: typer.Context,
    *,
    name: Name,
    backup: Annotated[
        str | None,
        typer.Option("--backup", metavar="ID", help="Which one, as --list names it; else the newest good one."),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only list what there is, newest first.")] = False,
    identity: Annotated[
        Path | None, typer.Option("--identity", metavar="KEYFILE", help="The age or ssh key of a sealed backup.")
    ] = None,
    config: Config = None,
    sim: Sim = None,
    json: Json = False,
) -> None:
    """Put a backup of a credential back.

    What is in its place is kept as evidence, never deleted. Messages since the backup may stay undecryptable. A damaged
    credential is replaced by its newest good backup without being asked; this is for everything else.
    """
    from wakit.cli import copies

    fleet = fleet_of(context, config, sim)
    if list_only:
        copies.show(fleet, name, as_json=json)
    else:
        copies.restore(fleet, name, backup, identity=identity, as_json=json)
