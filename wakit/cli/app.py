"""Every command with its options and help; what they do stands in the module each one names.

Only typer is imported here, and each command imports its own module when it runs: ``wakit --help`` and ``wakit status``
are typed often and should not wait for what other commands need.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.main import get_command

__all__ = ["ABORT", "EXIT", "JSON_WANTED", "USAGE_ERROR", "app", "get_command"]

if TYPE_CHECKING:
    from wakit.cli.fleet import Fleet

# typer carries its own copy of click since 0.26 and used the package before; this finds the right class in both.
USAGE_ERROR: Final[Any] = typer.BadParameter.__mro__[1]
EXIT: Final[Any] = typer.Exit
ABORT: Final[Any] = typer.Abort

_PATIENCE: Final = 60.0  # seconds `up --wait` waits

# In the context's meta, which all its commands share: an error is told as JSON where the command was to tell JSON.
JSON_WANTED: Final = "wakit.json"

app = typer.Typer(
    name="wakit",
    help="Keep many WhatsApp sessions exactly as sessions.toml says.",
    epilog="Exit codes: 0 done, 1 error, 2 `plan` has changes, 3 timeout, 4 no daemon, 5 held by another, 64 usage.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Foreign(StrEnum):
    """Whose credentials ``import --from`` understands."""

    BAILEYS = "baileys"
    WHATSMEOW = "whatsmeow"


class SimPhones(StrEnum):
    """Who operates the virtual phones of ``up --sim``."""

    AUTO = "auto"
    MANUAL = "manual"


Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", metavar="FILE", help="The sessions.toml; else the nearest one, upwards from here."),
]
Sim = Annotated[
    bool | None,
    typer.Option("--sim/--no-sim", help="The simulated fleet, or the real one; else whichever daemon runs."),
]


def _note_json(context: typer.Context, wanted: bool) -> bool:
    context.meta[JSON_WANTED] = wanted
    return wanted


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.", callback=_note_json)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A session's name.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of sessions.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from wakit import __version__

        typer.echo(f"wakit {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    context: typer.Context,
    *,
    config: Config = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version
    context.obj = config


def _fleet(context: typer.Context, config: Path | None, sim: bool | None) -> Fleet:
    from wakit.cli.fleet import Fleet

    return Fleet(config or context.obj, sim=sim)


@app.command()
def init(context: typer.Context, *, config: Config = None) -> None:
    """Write a commented sessions.toml to start from.

    An existing file is never overwritten.
    """
    from wakit.cli import starter

    starter.write(config or context.obj or Path("sessions.toml"))


@app.command()
def plan(context: typer.Context, *, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Show what the loop would do now.

    Works without a daemon, too. Exit code 0: nothing to do, 2: changes, 1: an error, also in the file.
    """
    from wakit.cli import planning

    raise typer.Exit(planning.show(_fleet(context, config, sim), as_json=json))


@app.command()
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

    planning.apply(_fleet(context, config, sim), confirm=confirm, as_json=json)


@app.command()
def up(
    context: typer.Context,
    *,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Run in the background; return when it serves.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Run in the background; return when every enabled session is connected.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long --wait waits at most (60).")
    ] = None,
    config: Config = None,
    sim: Annotated[
        bool, typer.Option("--sim", help="Against a WhatsApp on loopback, with phones that pair by themselves.")
    ] = False,
    sim_phones: Annotated[
        SimPhones,
        typer.Option(
            "--sim-phones",
            envvar="WAKIT_SIM_PHONES",
            help="With --sim: who operates the phones, they themselves or you.",
        ),
    ] = SimPhones.AUTO,
    json: Json = False,
) -> None:
    """Start the daemon, here or in the background.

    In the foreground it shows a live table (plain lines where stdout is no terminal) until Ctrl-C. With -d or --wait it
    outlives this command. Where a daemon runs already and wakit was upgraded since, its workers are replaced one at a
    time.
    """
    from wakit.cli.fleet import Fleet

    if timeout is not None and not wait:
        raise typer.BadParameter("it is how long --wait waits, which was not given", context, param_hint="--timeout")
    typed = context.get_parameter_source("sim_phones")
    if typed is not None and typed.name == "COMMANDLINE" and not sim:
        raise typer.BadParameter("it is about --sim, which was not given", context, param_hint="--sim-phones")
    fleet = Fleet(config or context.obj, sim=sim, phones_by_hand=sim_phones is SimPhones.MANUAL)
    if wait:
        from wakit.cli import background

        background.bring_up_and_wait(fleet, seconds=_PATIENCE if timeout is None else timeout, as_json=json)
    elif detach:
        from wakit.cli import background

        background.bring_up(fleet, as_json=json)
    else:
        from wakit.cli import foreground, upgrading

        if upgrading.replace(fleet, quiet=json):
            return
        raise typer.Exit(foreground.run(fleet, as_json=json))


@app.command()
def down(
    context: typer.Context,
    *,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long to wait for its end.")
    ] = 15.0,
    config: Config = None,
    sim: Sim = None,
) -> None:
    """End the daemon in order.

    Waits until it is gone. The sessions stay paired.
    """
    from wakit.cli import ending

    ending.bring_down(_fleet(context, config, sim), seconds=timeout)


@app.command()
def status(context: typer.Context, *, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Show every session and the daemon."""
    from wakit.cli import orders

    orders.show_status(_fleet(context, config, sim), as_json=json)


@app.command()
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
    from wakit.cli import pairing

    method: pairing.Method | None = None if code is None else "code" if code else "qr"
    asked = pairing.Asked(name, method, phone, timeout)
    raise typer.Exit(pairing.pair(_fleet(context, config, sim), asked, as_json=json))


@app.command()
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
    history.show(_fleet(context, config, sim), asked, follow=follow, as_json=json)


@app.command()
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

    orders.give(_fleet(context, config, sim), "restart", names, as_json=json, take_over=take_over)


@app.command()
def park(context: typer.Context, *, names: Names, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Stop sessions until they are resumed.

    Whatever the file says, and over restarts. Credentials stay.
    """
    from wakit.cli import orders

    orders.give(_fleet(context, config, sim), "park", names, as_json=json)


@app.command()
def resume(context: typer.Context, *, names: Names, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Undo park."""
    from wakit.cli import orders

    orders.give(_fleet(context, config, sim), "resume", names, as_json=json)


Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="F", help="A file with a passphrase in it; nobody else may read it."),
]


@app.command()
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
    moving.give(_fleet(context, config, sim), asked, as_json=json)


@app.command("import")
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
        raise typer.Exit(migrating.bring(_fleet(context, config, sim), migration, as_json=json))
    if account is not None:
        raise typer.BadParameter("--account belongs to --from: a bundle names its sessions itself")
    from wakit.cli import moving

    asked = moving.Import(file, identity or [], passphrase_file, name or [], dry_run)
    raise typer.Exit(moving.take(_fleet(context, config, sim), asked, as_json=json))


@app.command()
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

    logbook.show(_fleet(context, config, sim), name, lines, follow=follow, as_json=json)


@app.command()
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

    copies.back_up(_fleet(context, config, sim), names or [], as_json=json)


@app.command()
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

    fleet = _fleet(context, config, sim)
    if list_only:
        copies.show(fleet, name, as_json=json)
    else:
        copies.restore(fleet, name, backup, identity=identity, as_json=json)


@app.command()
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
    from wakit.cli import checks

    raise typer.Exit(checks.examine(config or context.obj, sim=sim, as_json=json, ask=ask))


@app.command()
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
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="A port of 127.0.0.1; 0 takes any.")] = 0,
    refs: Annotated[int, typer.Option("--refs", min=1, max=32, help="QR codes a registering client gets.")] = 6,
    config: Config = None,
) -> None:
    """Run or command WhatsApp on loopback.

    Without a COMMAND it runs on its own and takes commands from stdin; with one it is given to the one that runs.
    """
    from wakit.cli import simulating

    folder = state or _fleet(context, config, True).place.state_dir / "whatsapp"
    raise typer.Exit(simulating.run(folder, words or [], port=port, refs=refs))
