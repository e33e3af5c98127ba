"""``export`` and ``import``: credentials leave for another place, or arrive from one.

Both work beside a daemon as well as without one. What they did, a running daemon is told by asking it to look again.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from wakit import coredumps
from wakit.cli.fleet import Fleet
from wakit.cli.orders import print_json
from wakit.cli.words import size
from wakit.errors import BundleError, ControlError, Exit, NoDaemonError
from wakit.redact import Secret

if TYPE_CHECKING:
    from wakit.vault.bundle import Bundle
    from wakit.vault.taking import Taken
    from wakit.vault.vault import Vault

_LONGEST_PASSPHRASE = 4096


@dataclass(frozen=True, slots=True)
class Export:
    """What is asked of an export.

    Attributes:
        names: The sessions.
        output: The bundle's file.
        recipients: Public keys to seal it for; or
        passphrase_file: the file with a passphrase.
        again: Sessions that were given away already may be, once more.
        force: An existing file may be replaced.
    """

    names: Sequence[str]
    output: Path
    recipients: Sequence[str]
    passphrase_file: Path | None
    again: bool
    force: bool


@dataclass(frozen=True, slots=True)
class Import:
    """What is asked of an import.

    Attributes:
        file: The bundle.
        identities: Files with private keys that may open it; or
        passphrase_file: the file with a passphrase.
        names: New names, each as ``OLD=NEW``.
        dry_run: Only say what would happen.
    """

    file: Path
    identities: Sequence[Path]
    passphrase_file: Path | None
    names: Sequence[str]
    dry_run: bool


def give(fleet: Fleet, asked: Export, *, as_json: bool) -> None:
    """Write credentials into a bundle, and mark them as given away."""
    if bool(asked.recipients) == (asked.passphrase_file is not None):
        raise typer.BadParameter("a bundle is always encrypted: give --recipient or --passphrase-file, one of the two")
    if str(asked.output) == "-":
        raise typer.BadParameter("a bundle is not written to stdout: it must be safe on a disk before anything else")
    from wakit.runtime import looked_at, open_vault  # noqa: PLC0415 - SQLite and the rest, only where they are needed
    from wakit.vault import giving, sealing  # noqa: PLC0415

    coredumps.forbid()
    passphrase = _passphrase(asked.passphrase_file)
    sealing.check_recipients(asked.recipients)

    def seal(data: bytes) -> bytes:
        if passphrase is not None:
            return sealing.seal_with_passphrase(data, passphrase)
        return sealing.seal(data, asked.recipients)

    if fleet.place.state_dir.exists():
        given = giving.give(
            open_vault(fleet.place), asked.names, asked.output, seal, overwrite=asked.force, again=asked.again
        )
    else:
        with looked_at(fleet.place) as nothing:
            given = giving.give(nothing, asked.names, asked.output, seal)
    tell_daemon(fleet)
    sessions = given.manifest.sessions
    if as_json:
        told = [{"name": s.name, "size": s.size, "rows": sum(s.rows.values()), "epoch": s.epoch} for s in sessions]
        _print({"bundle": given.manifest.bundle, "file": str(asked.output), "size": given.size, "sessions": told})
        return
    for session in sessions:
        sys.stdout.write(f"{session.name}: given away; it is not started here any more\n")
    sys.stdout.write(
        f"The bundle {given.manifest.bundle} is in {asked.output} ({size(given.size)}); "
        "`wakit import` takes it in elsewhere, once\n"
    )


def take(fleet: Fleet, asked: Import, *, as_json: bool) -> int:
    """Take the credentials of a bundle in; return the exit code."""
    if bool(asked.identities) == (asked.passphrase_file is not None):
        raise typer.BadParameter("give --identity or --passphrase-file, as the bundle was sealed")
    names = _names(asked.names)
    from wakit.runtime import looked_at, open_vault  # noqa: PLC0415
    from wakit.vault import taking  # noqa: PLC0415

    coredumps.forbid()
    bundle = _open(asked)

    def taken_by(vault: Vault) -> Sequence[Taken]:
        return taking.take(vault, bundle, names=names, dry_run=asked.dry_run)

    if asked.dry_run:
        with looked_at(fleet.place) as vault:
            taken = taken_by(vault)
    else:
        taken = taken_by(open_vault(fleet.place))
        tell_daemon(fleet)
    declared = _declared(fleet)
    if as_json:
        told = [_described(one, declared=one.name in declared) for one in taken]
        _print({"bundle": bundle.manifest.bundle, "dry_run": asked.dry_run, "sessions": told})
    else:
        for one in taken:
            sys.stdout.write(_line(one, fleet, dry_run=asked.dry_run, declared=one.name in declared) + "\n")
        if asked.dry_run:
            sys.stdout.write("This was a dry run: nothing was changed\n")
    return Exit.ERROR if any(one.problem for one in taken) else Exit.OK


def _open(asked: Import) -> Bundle:
    from wakit.vault import bundle, sealing  # noqa: PLC0415

    for identity in asked.identities:
        _check_private(identity)
    passphrase = _passphrase(asked.passphrase_file)
    sealed = _read(asked.file, bundle.MAX_FILE)
    return bundle.read(sealing.unseal(sealed, identities=asked.identities, passphrase=passphrase))


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read", why=error.strerror or type(error).__name__, hint="check the path"
        ) from None
    if len(data) > most:
        raise BundleError(f"{path} is refused", why="it is too large for what it should be", hint="check the path")
    return data


def _passphrase(path: Path | None) -> Secret | None:
    if path is None:
        return None
    _check_private(path)
    try:
        text = _read(path, _LONGEST_PASSPHRASE).decode()
    except UnicodeDecodeError:
        raise BundleError(f"{path} is refused", why="it is no text", hint="write the passphrase as UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise BundleError(f"{path} is refused", why="there is no passphrase in it", hint="write one into it")
    return Secret(text)


def _check_private(path: Path) -> None:
    """Refuse a secret that others may have read, as ssh does; a pipe has no readers but ours."""
    try:
        status = path.stat()
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read", why=error.strerror or type(error).__name__, hint="check the path"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        return
    if status.st_mode & 0o077:
        why = f"others on this machine can read it (its mode is {stat.S_IMODE(status.st_mode):04o})"
        raise BundleError(f"{path} is refused", why=why, hint=f"run `chmod 600 {path}`")
    if status.st_uid not in (os.geteuid(), 0):
        raise BundleError(f"{path} is refused", why=f"it belongs to user {status.st_uid}", hint="use a file of yours")


def _names(given: Sequence[str]) -> dict[str, str]:
    names = {}
    for text in given:
        old, sign, new = text.partition("=")
        if not (old and sign and new):
            raise typer.BadParameter(f"{text!r} is no renaming: give --name OLD=NEW")
        names[old] = new
    return names


def tell_daemon(fleet: Fleet) -> None:
    """Have a daemon look at what this command did, if there is one."""
    try:
        fleet.client.apply()
    except NoDaemonError:
        return
    except ControlError as error:  # what was asked for is done all the same
        sys.stderr.write(f"note: the daemon was not told ({error}); `wakit apply` has it look\n")


def _declared(fleet: Fleet) -> frozenset[str]:
    from wakit.declare import load  # noqa: PLC0415

    return frozenset(load(fleet.place.config).sessions)


def _described(one: Taken, *, declared: bool) -> dict[str, Any]:
    return {
        "name": one.name,
        "source": one.source,
        "outcome": one.outcome.value,
        "size": one.size,
        "declared": declared,
        "parked": one.parked,
        "problem": one.problem or None,
        "hint": one.hint or None,
    }


def _line(one: Taken, fleet: Fleet, *, dry_run: bool, declared: bool) -> str:
    from wakit.vault.taking import Outcome  # noqa: PLC0415

    source = f" (as {one.source} in the bundle)" if one.source != one.name else ""
    if one.outcome is Outcome.REFUSED:
        return f"{one.name}: refused: {one.problem}; {one.hint}{source}"
    done = {
        Outcome.NEW: "would be imported" if dry_run else "imported",
        Outcome.BACK: "would be taken back" if dry_run else "taken back",
        Outcome.HERE: "is here already",
    }[one.outcome]
    then = ""
    if not declared:
        then = f"; add [sessions.{one.name}] to {fleet.place.config.name}"
    elif one.parked:
        then = f"; it is parked: `wakit resume {one.name}` runs it"
    return f"{one.name}: {done}{source}{then}"


def _print(told: dict[str, Any]) -> None:
    print_json(json.dumps(told))
