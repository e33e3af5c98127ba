"""``import --from``: another tool's credential becomes a session's, without a phone."""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from wakit import coredumps
from wakit.cli.fleet import Fleet
from wakit.cli.moving import tell_daemon
from wakit.cli.orders import print_json
from wakit.errors import CredentialError, Exit
from wakit.redact import PhoneNumber

if TYPE_CHECKING:
    from wakit.vault.migration import Migrated


@dataclass(frozen=True, slots=True)
class Migration:
    """What is asked of an import from another tool.

    Attributes:
        source: Its folder or file.
        kind: Whose.
        name: The session it becomes.
        account: Which of several devices, as typed; ``-`` is read from stdin.
        dry_run: Only say what it is.
    """

    source: Path
    kind: Literal["baileys", "whatsmeow"]
    name: str
    account: str | None
    dry_run: bool


def bring(fleet: Fleet, asked: Migration, *, as_json: bool) -> int:
    """Take another tool's credential in; return the exit code."""
    if asked.dry_run:
        return _recognise(asked, as_json=as_json)
    from wakit.runtime import import_foreign  # noqa: PLC0415 - SQLite and the library's process, only where needed

    coredumps.forbid()
    migrated = import_foreign(fleet.place, asked.name, asked.source, asked.kind, _account(asked))
    tell_daemon(fleet)
    _tell(fleet, asked.name, migrated, as_json=as_json)
    return Exit.OK


def _recognise(asked: Migration, *, as_json: bool) -> int:
    from wakit.vault.migration import recognise  # noqa: PLC0415

    found = recognise(asked.source)
    fits = found.kind == asked.kind
    if as_json:
        print_json(json.dumps({"name": asked.name, "dry_run": True, "kind": found.kind, "what": found.what}))
    else:
        sys.stdout.write(f"{asked.source}: {found.what}" + ("" if fits else f"; {found.way}") + "\n")
        sys.stdout.write("This was a dry run: nothing was changed\n")
    return Exit.OK if fits else Exit.ERROR


def _account(asked: Migration) -> PhoneNumber | None:
    given = asked.account
    if given == "-":
        on_terminal = sys.stdin is not None and sys.stdin.isatty()
        given = getpass.getpass("The account's number (it is not shown): ") if on_terminal else sys.stdin.readline()
    if given is None:
        return None
    try:
        return PhoneNumber(given.strip())
    except ValueError as error:
        raise CredentialError(
            "The account is not understood", why=str(error), hint="give it as --account +34600000001"
        ) from None


def _tell(fleet: Fleet, name: str, migrated: Migrated, *, as_json: bool) -> None:
    from wakit.declare import load  # noqa: PLC0415

    declared = name in load(fleet.place.config).sessions
    if as_json:
        told = {
            "name": name,
            "declared": declared,
            "carried": dict(migrated.carried),
            "left": list(migrated.left),
            "advice": list(migrated.advice),
        }
        print_json(json.dumps(told))
        return
    carried = ", ".join(f"{count} {what}" for what, count in migrated.carried.items() if count)
    then = "" if declared else f"; add [sessions.{name}] to {fleet.place.config.name}"
    sys.stdout.write(f"{name}: imported ({carried}){then}\n")
    for sentence in (*migrated.left, *migrated.advice):
        sys.stdout.write(f"  {sentence}\n")


def one_name(names: list[str] | None) -> str:
    """Return the one name that a migration takes."""
    if names is None or len(names) != 1 or "=" in names[0]:
        raise typer.BadParameter("--from takes in one session: give --name NAME")
    return names[0]
