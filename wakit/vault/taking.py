"""Import: credentials arrive from another place, each by one rename, and none that could run twice.

Everything is looked at before anything is changed: the bundle, its databases (:mod:`wakit.vault.arrival`), and whether
each name and each account is free here. Then one session after the other is moved in, whole, with a record that names
the bundle. A bundle is taken in once: what it holds is over as soon as it was used. Whoever is killed half way does it
again; what has arrived is known by its record and left alone.

A name is free if nothing was ever linked under it. What was given away from here may come back: in the very bundle it
left in, or in one from where it was used since, which has seen more starts. An older copy would put old keys back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from wakit.core.observation import Credential
from wakit.durable import sync_folder
from wakit.errors import BundleError, CredentialError, HeldError
from wakit.vault.arrival import Arrival, unpack
from wakit.vault.bundle import Bundle, Manifest
from wakit.vault.folder import Finding, given_away, locked, present, tighten
from wakit.vault.holders import Claims, claims, fresh_link, holder
from wakit.vault.moving import move_in
from wakit.vault.record import SessionRecord, write_record
from wakit.vault.transfer import Import, imported, note_import, scratch, told
from wakit.vault.vault import Vault

_MAKES_ROOM: Final = frozenset({Credential.ABSENT, Credential.GIVEN_AWAY})


class Outcome(StrEnum):
    """What becomes of a session of a bundle."""

    NEW = "new"  # it is taken in
    BACK = "back"  # it was given away from here, and comes back
    HERE = "here"  # it came in an import of this bundle that was cut off
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Taken:
    """What becomes of one session.

    Attributes:
        name: Its name here.
        source: Its name in the bundle.
        outcome: What was done, or would be done.
        problem: Why it is refused, or "".
        hint: How to mend that, or "".
        parked: It was parked here, and stays so.
        size: Of its database.
    """

    name: str
    source: str
    outcome: Outcome
    problem: str
    hint: str
    parked: bool
    size: int


@dataclass(frozen=True, slots=True)
class _Case:
    """A session that arrives, and what there is of its name here."""

    name: str
    arrival: Arrival
    finding: Finding
    account: str
    ident: str

    def taken(self, outcome: Outcome, problem: str = "", hint: str = "") -> Taken:
        record, source = self.finding.record, self.arrival.session
        return Taken(self.name, source.name, outcome, problem, hint, record.parked, source.size)

    def refused(self, problem: str, hint: str) -> Taken:
        return self.taken(Outcome.REFUSED, problem, hint)


def take(vault: Vault, bundle: Bundle, *, names: Mapping[str, str], dry_run: bool) -> list[Taken]:
    """Take the sessions of a bundle in.

    Args:
        vault: Where to.
        bundle: Looked through already.
        names: New names of sessions, by the name in the bundle.
        dry_run: Only say what would happen; refusals are told instead of raised.

    Raises:
        BundleError: A database in the bundle is no credential.
        CredentialError: The bundle was imported here already, or a name or an account is taken.
        HeldError: A client uses one of the names, or another command is at it.
        StateDirectoryError: The disk does not take it.
    """
    manifest = bundle.manifest
    _check_names(manifest, names)
    again = "mend the disk, then import the bundle again: what has arrived already is left alone"
    with told("The bundle cannot be imported", again), scratch(vault.layout) as folder:
        arrivals = unpack(bundle, folder, vault.key)
        _refuse_again(vault, manifest)
        cases = [_case(vault, arrival, names, manifest.bundle) for arrival in arrivals]
        known = claims(vault.holdings)
        decided = [_decide(vault, case, cases, known) for case in cases]
        if dry_run:
            return decided
        for taken in decided:
            if taken.outcome is Outcome.REFUSED:
                raise CredentialError(
                    f"{taken.source!r} cannot be imported", why=taken.problem, hint=taken.hint or "nothing was changed"
                )
        for case, taken in zip(cases, decided, strict=True):
            if taken.outcome is not Outcome.HERE:
                _place(vault, case)
        done = Import(at=vault.now(), sessions=tuple(taken.name for taken in decided))
        note_import(vault.layout, manifest.bundle, done)
    return decided


def _check_names(manifest: Manifest, names: Mapping[str, str]) -> None:
    there = [session.name for session in manifest.sessions]
    for source in names:
        if source not in there:
            raise BundleError(
                f"{source!r} cannot be renamed", why="it is not in the bundle", hint=f"there are: {', '.join(there)}"
            )
    here = [names.get(name, name) for name in there]
    if twice := sorted({name for name in here if here.count(name) > 1}):
        raise BundleError(
            "The bundle cannot be imported", why=f"two sessions would be {twice[0]!r}", hint="choose other names"
        )


def _refuse_again(vault: Vault, manifest: Manifest) -> None:
    done = imported(vault.layout, manifest.bundle)
    if done is not None:
        raise CredentialError(
            "The bundle was imported here already",
            why=f"on {done.at:%Y-%m-%d %H:%M} UTC, as {', '.join(done.sessions) or 'sessions that are not known'}; "
            "its keys are over since",
            hint="there is nothing left to do; to move a session once more, export it again where it is now",
        )


def _case(vault: Vault, arrival: Arrival, names: Mapping[str, str], ident: str) -> _Case:
    name = names.get(arrival.session.name, arrival.session.name)
    folder = vault.folder(name)
    finding = vault.find(name)
    if present(folder / "lock") and not _arrived(finding, arrival, ident):
        try:
            with locked(folder):
                finding = vault.find(name)
        except HeldError as error:
            raise HeldError(
                f"{name!r} cannot be imported",
                why=f"a client runs under that name here: {error.why}",
                hint=f"stop it with `wakit park {name}`, or give the session another name with --name",
            ) from None
    return _Case(name, arrival, finding, arrival.account, ident)


def _arrived(finding: Finding, arrival: Arrival, ident: str) -> bool:
    """Return whether an import of this bundle that was cut off brought the session already; it may even run."""
    record = finding.record
    present_here = finding.credential is Credential.PRESENT and record.imported_from == ident
    return present_here and record.account == arrival.account


def _decide(vault: Vault, case: _Case, cases: Sequence[_Case], known: Claims) -> Taken:
    """Say what becomes of one session, by its name and by its account."""
    finding = case.finding
    if _arrived(finding, case.arrival, case.ident):
        return case.taken(Outcome.HERE)
    for other in cases:
        if other is not case and other.account == case.account:
            return case.refused(f"{other.name!r} in the bundle has the same account", "one account has one session")
    folder = vault.folder(case.name)
    if refusal := _taken_account(case, known, folder):
        return refusal
    match finding.credential:
        case Credential.ABSENT:
            if fresh_link(vault.holdings, folder, finding) is not None:
                return case.refused("a device was linked under that name just now", "give it another name with --name")
            return case.taken(Outcome.NEW)
        case Credential.GIVEN_AWAY:
            return _back(case)
        case _:
            return case.refused(
                "a session of that name was linked here",
                f"give it another name: --name {case.arrival.session.name}=NEW",
            )


def _back(case: _Case) -> Taken:
    record = case.finding.record
    if record.account not in (None, case.account):
        return case.refused(
            f"another account was given away under that name, and may come back ({given_away(record)})",
            f"give it another name: --name {case.arrival.session.name}=NEW",
        )
    if _may_return(case, record):
        return case.taken(Outcome.BACK)
    return _outdated(case, record)


def _may_return(case: _Case, record: SessionRecord) -> bool:
    return record.given_to == case.ident or case.arrival.session.epoch > record.given_epoch


def _outdated(case: _Case, record: SessionRecord) -> Taken:
    return case.refused(
        f"its keys are older than those that left here: {given_away(record)}",
        "use that bundle, or export the session where it is now",
    )


def _taken_account(case: _Case, known: Claims, folder: Path) -> Taken | None:
    """Refuse an account that somebody has here, or that left from here with newer keys."""
    if (other := holder(known, case.account, but=folder)) is not None:
        return case.refused(
            f"its account is linked as {other.name!r} here already",
            "one account has one session: retire that one first, and unlink it on the phone",
        )
    for claim in known.get(case.account, ()):
        left = claim.finding.credential is Credential.GIVEN_AWAY and claim.folder != folder
        if left and not _may_return(case, claim.finding.record):
            return _outdated(case, claim.finding.record)
    return None


def _place(vault: Vault, case: _Case) -> None:
    """Move one session in. What has a retirement's date is out of use until the file has it: nobody retires it."""
    folder, session = case.arrival.folder, case.arrival.session
    tighten(folder)
    record = SessionRecord(
        epoch=max(session.epoch, vault.holdings.highest_epoch(case.name)) + 1,
        paired_at=session.paired_at,
        account=case.account,
        retired_at=vault.now(),
        parked=case.finding.record.parked,
        imported_from=case.ident,
    )
    write_record(folder, record)
    sync_folder(folder)
    refused = f"{session.name!r} cannot be imported as {case.name!r}"
    move_in(vault.holdings, folder, case.name, refused, instead_of=_MAKES_ROOM)
