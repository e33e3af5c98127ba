"""Credentials change their place: into the archive and back, to another name, in from elsewhere.

A credential is a folder, and moves whole, by one rename within one file system, while its lock is held, the same that a
worker holds for its life: nothing is ever moved under a client. Whatever moment the power goes, it is at one place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from wakit.core.observation import Credential
from wakit.durable import move
from wakit.errors import CredentialError
from wakit.vault.folder import DATABASE, in_use, locked, look, memory, present, set_aside
from wakit.vault.holdings import Holdings
from wakit.vault.layout import private_folder
from wakit.vault.record import SessionRecord, recording, write_record

NOTHING: Final = frozenset({Credential.ABSENT})
_MOST_NAMES: Final = 20  # before the present one that are remembered


def retire(holdings: Holdings, name: str, *, keep: bool) -> None:
    """Put a credential away; :meth:`wakit.vault.Vault.retire` says how."""
    folder = holdings.folder(name)
    if not in_use(folder) and look(folder).credential is Credential.ABSENT:
        return
    with locked(folder), recording(folder):
        record = memory(folder, holdings.now())
        if record.paired_at is None and record.verdict is None and not present(folder / DATABASE):
            write_record(folder, SessionRecord(epoch=record.epoch))
            return
        fresh = {"retired_at": holdings.now(), "verdict": None, "parked": False}
        write_record(folder, msgspec.structs.replace(record, **fresh))
        if keep:
            return
        target = private_folder(holdings.layout.archive / name) / holdings.stamp()
        move(folder, target)
        holdings.went[name] = target


def revive(holdings: Holdings, name: str) -> None:
    """Take the newest archived credential back; :meth:`wakit.vault.Vault.revive` says when."""
    source, trace = holdings.trace(name)
    if source is None or trace is None or trace.credential is not Credential.ARCHIVED:
        raise CredentialError(
            f"{name!r} cannot be revived",
            why="nothing is archived under that name that could be used",
            hint=f"look into {holdings.layout.archive}",
        )
    move_in(holdings, source, name, f"{name!r} cannot be revived")


def rename(holdings: Holdings, source: str, target: str) -> None:
    """Move the credential of one name to another; :meth:`wakit.vault.Vault.rename` says which."""
    old = holdings.folder(source)
    if not in_use(old) or (look(old).credential is Credential.ABSENT and not present(old / DATABASE)):
        archived, trace = holdings.trace(source)
        if archived is not None and trace is not None and trace.credential is not Credential.DAMAGED:
            old = archived
    if not in_use(old):
        raise CredentialError(f"{source!r} cannot be renamed", why="it has no credential", hint="check renamed_from")
    refused = f"{source!r} cannot be renamed to {target!r}"
    holdings.went[source] = move_in(holdings, old, target, refused, renamed_from=source)


def move_in(
    holdings: Holdings,
    old: Path,
    name: str,
    refused: str,
    *,
    instead_of: frozenset[Credential] = NOTHING,
    renamed_from: str = "",
) -> Path:
    """Move a credential's folder to where that name's is: from the archive, another name, or another place.

    Args:
        holdings: Where to.
        old: The folder, on the same file system.
        name: The session.
        refused: What to tell if it is not possible.
        instead_of: What may be in its place; it is archived.
        renamed_from: The name it had until now, if it had another one here.

    Returns:
        Where it is now.

    Raises:
        CredentialError: The name has a credential of its own.
        CredentialUnreadableError: What there is cannot be read now.
        HeldError: Somebody uses either.
    """
    new = holdings.folder(name)
    epoch = _make_room(holdings, name, refused, instead_of) if present(new) else 0
    with locked(old), recording(old):
        record = memory(old, holdings.now())
        archived = old.is_relative_to(holdings.layout.archive)
        retired_at = None if archived else record.retired_at
        # The name's starts go on counting, too: what still runs under it must not look newer.
        former = names_before(record, renamed_from, name) if renamed_from else record.former
        fresh = msgspec.structs.replace(record, retired_at=retired_at, epoch=max(record.epoch, epoch), former=former)
        if archived or fresh != record:
            write_record(old, fresh)
        private_folder(new.parent)
        move(old, new)
    return new


def names_before(record: SessionRecord, renamed_from: str, name: str) -> tuple[str, ...]:
    """Return the names that a credential had before, once it is renamed again."""
    others = [each for each in record.former if each not in (renamed_from, name)]
    return (*others, renamed_from)[-_MOST_NAMES:]


def _make_room(holdings: Holdings, name: str, refused: str, instead_of: frozenset[Credential]) -> int:
    """Archive what is in a name's place and may go; return how many starts it has seen."""
    new = holdings.folder(name)
    with locked(new), recording(new):
        here = look(new)
        fresh_link = here.credential is Credential.ABSENT or here.record.pairing
        linked = fresh_link and present(new / DATABASE) and holdings.inspect(new).linked
        if here.credential not in instead_of or linked:
            raise CredentialError(refused, why="the target has a credential of its own", hint=f"retire {name!r} first")
        set_aside(new, holdings.stamp())
        move(new, private_folder(holdings.layout.archive / name) / holdings.stamp())
    return here.record.epoch
