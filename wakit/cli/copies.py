"""``backup`` and ``restore``: copies of credentials, and putting one back. With the daemon, or without one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wakit.cli.fleet import Fleet
from wakit.cli.orders import print_json
from wakit.cli.words import size
from wakit.control.schemas import BackupInfo, BackupList, BackupTaken
from wakit.errors import NoDaemonError, UnknownSessionError


def back_up(fleet: Fleet, names: Sequence[str], *, as_json: bool) -> None:
    """Back the named sessions up, or all that have a credential; the first refusal ends it."""
    for taken in _taken(fleet, names):
        if as_json:
            print_json(taken.model_dump_json())
        elif taken.new:
            sys.stdout.write(f"{taken.session}: backed up as {taken.backup.id} ({size(taken.backup.size)})\n")
        else:
            sys.stdout.write(f"{taken.session}: nothing has changed since {taken.backup.id}\n")


def _taken(fleet: Fleet, names: Sequence[str]) -> list[BackupTaken]:
    client = fleet.client
    try:
        wanted = names or [session.name for session in client.status().sessions if session.paired]
        return [client.backup(name) for name in wanted]
    except NoDaemonError:
        from wakit.runtime import copies  # noqa: PLC0415 - the vault, only where no daemon has it

        return copies.back_up(fleet.place, names)


def show(fleet: Fleet, name: str, *, as_json: bool) -> None:
    """List the backups of a session, newest first."""
    listed = _listed(fleet, name)
    if as_json:
        print_json(listed.model_dump_json())
        return
    if not listed.backups:
        sys.stdout.write(f"{name} has no backup\n")
    for backup in listed.backups:
        sys.stdout.write(_line(backup) + "\n")


def _listed(fleet: Fleet, name: str) -> BackupList:
    try:
        return fleet.client.backups(name)
    except (NoDaemonError, UnknownSessionError):  # retired ones have backups, too, and are on no board
        from wakit.runtime import copies  # noqa: PLC0415

        return copies.listed(fleet.place, name)


def restore(fleet: Fleet, name: str, backup: str | None, *, identity: Path | None, as_json: bool) -> None:
    """Put a backup in the place of the credential in use.

    Args:
        fleet: The fleet.
        name: The session.
        backup: The backup's id; None takes the newest good one.
        identity: The key file of a sealed one.
        as_json: Print JSON.
    """
    if identity is None:
        try:
            told = fleet.client.restore(name, backup)
        except NoDaemonError:
            pass
        else:
            said = f"it is {told.state}"
            sys.stdout.write(told.model_dump_json() + "\n" if as_json else f"{name}: a backup was put back; {said}\n")
            return
    from wakit.runtime import copies  # noqa: PLC0415

    recovery = copies.put_back(fleet.place, name, backup, identity=identity)
    try:
        fleet.client.restart(name)
    except (NoDaemonError, UnknownSessionError):
        after = "it is used by the next start"
    else:
        after = "it is being started"
    if as_json:
        print_json(json.dumps({"session": name, "backup": recovery.backup, "reason": recovery.said}))
    else:
        sys.stdout.write(f"{name}: the backup {recovery.backup} was put back; {after}\n")


def _line(backup: BackupInfo) -> str:
    when = f"{backup.created_at:%Y-%m-%d %H:%M:%S}" if backup.created_at else "?" * 19
    note = f"  {backup.problem}" if backup.problem else "  sealed" if backup.sealed else ""
    return f"{backup.id}  {when} UTC  {size(backup.size):>9}  {backup.why}{note}"
