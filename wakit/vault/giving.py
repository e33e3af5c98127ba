"""Export: credentials leave for another place, and this one knows that it gave them away.

The order is what makes it safe. All credentials are locked, as a worker would; copies are taken and sealed; the bundle
is written whole and made durable; only then is each session marked. Whoever is killed before the marks has a bundle
too many, and everything as it was: a credential must never be given up for a file that may not be there. The mark is
one rename a session, and what is marked is not started here any more, by whatever way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from wakit.core.observation import Credential
from wakit.durable import write_file
from wakit.errors import BundleError, CredentialError, GivenAwayError, HeldError
from wakit.vault import bundle
from wakit.vault.bundle import BundledSession, Manifest
from wakit.vault.folder import DATABASE, locked, present
from wakit.vault.inspection import inspect
from wakit.vault.notes import given_away
from wakit.vault.snapshot import snapshot
from wakit.vault.transfer import scratch, told
from wakit.vault.vault import Vault

_PATIENCE: Final = 3.0  # seconds: a client that was parked just now still has to leave


@dataclass(frozen=True, slots=True)
class Given:
    """What was exported: the manifest, and how large the file is."""

    manifest: Manifest
    size: int


def give(
    vault: Vault,
    names: Sequence[str],
    target: Path,
    seal: Callable[[bytes], bytes],
    *,
    overwrite: bool = False,
    again: bool = False,
) -> Given:
    """Write credentials into a bundle and mark them as given away.

    Args:
        vault: Whose credentials.
        names: The sessions, each once.
        target: The bundle's file.
        seal: Encrypts it.
        overwrite: An existing file may be replaced.
        again: Sessions that were given away already may be, once more; the earlier bundle then brings them back no
            longer.

    Raises:
        BundleError: The file exists, or there cannot be one.
        CredentialError: A session has no credential that could be exported.
        GivenAwayError: A session was given away already.
        HeldError: A client uses one of them.
        StateDirectoryError: The disk does not take it.
    """
    wanted = sorted(set(names))  # in one order, so that two exports never wait for each other's locks
    _check_target(target, overwrite=overwrite)
    for name in wanted:
        _check(vault, name, again=again)
    with ExitStack() as stack:
        with told("The sessions cannot be exported", "mend the disk; nothing was given away"):
            for name in wanted:
                stack.enter_context(_still(vault, name))
                _check(vault, name, again=again)  # once more, now that nobody else changes it
            manifest, databases = _copy(vault, wanted, stack.enter_context(scratch(vault.layout)))
            sealed = seal(bundle.write(manifest, databases))
        _check_target(target, overwrite=overwrite)
        with told(f"{target} cannot be written", "nothing was given away; mend that, or name another file"):
            write_file(target, sealed)
        for name in wanted:
            redo = f"mend the disk, do not import {target}, which has it, and export anew what is not marked"
            with told(f"{name!r} could not be marked as given away", redo):
                given_away(vault.holdings, name, manifest.bundle)
    return Given(manifest, len(sealed))


def _check_target(target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        raise BundleError(f"{target} cannot be written", why="it is a folder", hint="name a file in it")
    if not target.parent.is_dir():
        raise BundleError(f"{target} cannot be written", why="there is no such folder", hint=f"make {target.parent}")
    if not overwrite and (target.exists() or target.is_symlink()):
        raise BundleError(
            f"{target} exists already",
            why="it may be the only copy of what was given away in it",
            hint="name another file, or give --force",
        )


def _check(vault: Vault, name: str, *, again: bool) -> None:
    finding = vault.find(name)
    match finding.credential:
        case Credential.PRESENT:
            return
        case Credential.GIVEN_AWAY:
            if again and present(vault.folder(name) / DATABASE):
                return
            raise GivenAwayError(
                f"{name!r} is not exported",
                why=finding.problem,
                hint="use that bundle; if it is lost and was imported nowhere, `wakit export --again` makes another",
            )
        case Credential.ABSENT:
            why, hint = "it was never linked here", "see `wakit status`, or link it with `wakit pair`"
        case Credential.ARCHIVED:
            why, hint = "its credential is in the archive", "add it to the file again, which takes it back"
        case Credential.UNLINKED:
            why, hint = "it was unlinked", f"link the phone anew with `wakit pair {name}`"
        case Credential.DAMAGED:
            why, hint = finding.problem, "put back a copy of it first"
    raise CredentialError(f"{name!r} is not exported", why=why, hint=hint)


@contextmanager
def _still(vault: Vault, name: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(vault.folder(name), patience=_PATIENCE))
        except HeldError as error:
            raise HeldError(f"{name!r} is live", why=error.why, hint=f"stop it first: `wakit park {name}`") from None
        yield


def _copy(vault: Vault, names: Sequence[str], folder: Path) -> tuple[Manifest, list[Path]]:
    sessions, databases = [], []
    ident, now = bundle.new_id(), vault.now()
    for index, name in enumerate(names):
        record, _ = vault.examine(name)
        database = folder / bundle.member(index)
        copied = snapshot(vault.folder(name) / DATABASE, database)
        sessions.append(
            BundledSession(
                name=name,
                namespace=vault.namespace,
                account=account_in(database, ident),
                paired_at=record.paired_at or now,
                epoch=record.epoch,
                sha256=copied.sha256,
                size=copied.size,
                rows=dict(copied.rows),
            )
        )
        databases.append(database)
    return _manifest(ident, now, sessions), databases


def _manifest(ident: str, now: datetime, sessions: Sequence[BundledSession]) -> Manifest:
    return Manifest(
        bundle=ident,
        created_at=now,
        wakit=version("wakit"),
        library=f"neonize {version('neonize')}",
        sessions=tuple(sessions),
    )


def account_in(database: Path, ident: str) -> str:
    """Name the account of a database as the bundle ``ident`` does: without its number, and as no other bundle does.

    Raises:
        BundleError: There is no device in it, or it cannot be looked at.
    """
    found = inspect(database, ident.encode())
    if found.account is None:
        raise BundleError("A credential in the bundle cannot be used", why=found.problem, hint="look at the original")
    return found.account
