"""A damaged credential is replaced by its newest good backup; what was there is kept as evidence.

Safe to decide without a person, because nothing is lost by it: the damaged one cannot be used, and it is not deleted.
What a backup does not have is what happened since: the keys of conversations move on with every message, so some of
the messages since then cannot be decrypted until the other side's next try. That is said, with the backup's age.

Not decided here: a backup of another device than the one that is linked now is never taken (WhatsApp would refuse its
keys, and the library would delete it), nor one that is sealed, for which a person has the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from wakit.errors import CredentialError
from wakit.vault.backups import Backups
from wakit.vault.folder import DATABASE, set_aside
from wakit.vault.inspection import Inspection
from wakit.vault.problems import Problem
from wakit.vault.record import SessionRecord
from wakit.vault.verification import Backup, unusable
from wakit.vault.write_ahead import has_more


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was put in the place of what.

    Attributes:
        problem: What was wrong; None if a person asked for it.
        said: The same in words.
        backup: The id of the backup that is in use now, or "" if the credential itself is.
        created_at: When that was taken (UTC).
        lossless: Nothing is missing: it is the very bytes that were left.
    """

    problem: Problem | None
    said: str
    backup: str
    created_at: datetime | None
    lossless: bool

    def words(self, now: datetime) -> str:
        """Say it in one sentence for the journal and for people."""
        if self.created_at is None:
            return (
                f"{self.said}; {'nothing is lost' if self.lossless else 'no backup is newer, so it goes on with that'}"
            )
        age = _age(now - self.created_at)
        lost = "nothing is lost" if self.lossless else "some messages since then may stay undecryptable"
        return f"{self.said}; the backup {self.backup}, {age} old, is in use now: {lost}"


@dataclass(frozen=True, slots=True)
class Patient:
    """A credential that is to be replaced; its lock is held.

    Attributes:
        name: The session's.
        folder: Where it lies.
        record: What is remembered of it.
        backups: Its backups.
        stamp: Names the moment, for the evidence.
    """

    name: str
    folder: Path
    record: SessionRecord
    backups: Backups
    stamp: str


def recover(patient: Patient, found: Inspection) -> Recovery:
    """Put the newest good backup in the place of a damaged credential.

    One that only lacks its log is replaced only by a backup that certainly has more: older keys of conversations must
    not take the place of newer ones.

    Raises:
        CredentialError: There is none; what is wrong and what a person can do.
    """
    if found.mended:
        return Recovery(Problem.LOG_MISSING, found.mended, backup="", created_at=None, lossless=True)
    chosen = patient.backups.newest_good(patient.record.account, patient.record.keys, sealed=False, anew=True)
    if found.kind is Problem.LOG_MISSING and not (
        chosen and has_more(chosen, patient.record, patient.folder / DATABASE)
    ):
        return Recovery(Problem.LOG_MISSING, found.problem, backup="", created_at=None, lossless=False)
    if chosen is None:
        raise CredentialError(
            f"The credential of {patient.name!r} cannot be used", why=found.problem, hint=_what_now(patient)
        )
    return put_back(patient, chosen, because=found)


def choose(name: str, record: SessionRecord, backups: Backups, chosen: str | None) -> Backup:
    """Return the backup a person means: the named one, or the newest good one of the device that is linked.

    Raises:
        CredentialError: There is no such backup, or it is not good.
    """
    if chosen is None:
        found = backups.newest_good(record.account, record.keys)
        if found is None:
            raise CredentialError(
                f"No backup of {name!r} can be put back",
                why="there is none that is good",
                hint=f"`wakit restore {name} --list` shows what there is",
            )
        return found
    for backup in backups.listed():
        if backup.name == chosen:
            verified = backups.verify(backup)
            if not verified.good:
                raise unusable(verified)
            return verified
    raise CredentialError(
        f"{name!r} has no backup of that name", why="", hint=f"`wakit restore {name} --list` shows what there is"
    )


def put_back(patient: Patient, chosen: Backup, *, because: Inspection, identities: Sequence[Path] = ()) -> Recovery:
    """Put one backup in place. What is there is set aside first: a crash in between leaves it plainly missing.

    Raises:
        CredentialError: The backup is bad after all, or of another account; nothing was touched, as with the others.
        CredentialUnreadableError: It cannot be read now.
        SealError: It is sealed, and no key fits.
        BackupError: The disk has no room for it, or does not take it.
        HeldError: Another process is at the backups.
    """
    folder, record = patient.folder, patient.record
    says = patient.backups.put_back(
        chosen,
        folder / DATABASE,
        account=record.account,
        identities=identities,
        make_room=partial(set_aside, folder, patient.stamp),
    )
    return Recovery(
        problem=because.kind,
        said=because.problem,
        backup=chosen.name,
        created_at=says.created_at,
        lossless=record.clean_stop is not None and record.clean_stop.kept_as == chosen.name,
    )


def _what_now(patient: Patient) -> str:
    name = patient.name
    if any(backup.manifest is not None and backup.manifest.sealed for backup in patient.backups.listed()):
        return f"its backups are sealed: `wakit restore {name} --identity KEYFILE` puts one back"
    return (
        f"`wakit restore {name} --list` shows what there is; put back a copy of {patient.folder}, "
        f"or link the phone anew with `wakit pair {name}`"
    )


def _age(passed: timedelta) -> str:
    """Say an age roughly.

    Example:
        >>> _age(timedelta(minutes=3)), _age(timedelta(hours=50))
        ('3 min', '2 days')
    """
    minutes = max(0, round(passed.total_seconds() / 60))
    if minutes < 120:  # noqa: PLR2004
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 48 else f"{round(hours / 24)} days"  # noqa: PLR2004
