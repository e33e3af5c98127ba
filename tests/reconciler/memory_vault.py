"""The vault without a disk, for the thousands of lives of a simulation: what it remembers, refuses and moves.

It keeps the rules of :class:`wakit.vault.vault.Vault` that the reconciler builds on, in fewer words: a credential is
moved only under its lock, a name that was ever linked is never taken for a new one, each start counts a higher epoch.
The simulation with hypothesis beside it runs on the real one, with fewer lives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from wakit.core.observation import Credential
from wakit.errors import CredentialError, GivenAwayError, HeldError
from wakit.redact import Secret, account_hash
from wakit.vault import StartTicket
from wakit.vault.backups import Taken
from wakit.vault.disk import BackupError
from wakit.vault.manifest import Why
from wakit.vault.moving import names_before
from wakit.vault.record import SessionRecord, Verdict
from wakit.vault.recovery import Recovery
from wakit.vault.vault import Finding
from wakit.whatsapp.port import AccountHold

_OF_A_LIFE = frozenset({"verdict", "retired_at", "parked"})


@dataclass(eq=False)
class Drawer:
    """Where one credential lies.

    Attributes:
        database: None if there is none, "" if it holds no device, else the user that is linked.
        held: A worker uses it.
        good: Whose credential a backup would bring back, or None.
        spoilt: The database is damaged.
        allowed_at: When its last start was allowed.
    """

    record: SessionRecord = field(default_factory=SessionRecord)
    database: str | None = None
    held: bool = False
    good: str | None = None
    spoilt: bool = False
    allowed_at: datetime | None = None

    @property
    def used(self) -> bool:
        return self.database is not None or self.record != SessionRecord()

    def change(self, **changes: Any) -> SessionRecord:
        self.record = msgspec.structs.replace(self.record, **changes)
        return self.record


class MemoryVault:
    """Credentials in memory; outlives the daemons of a simulation.

    Args:
        now: The clock.
        faults: Raised by the next operations that write, in order.
    """

    key = b"k" * 32
    registry = None

    def __init__(self, now: Callable[[], datetime], faults: list[Exception]) -> None:
        self.now = now
        self._faults = faults
        self.drawers: dict[str, Drawer] = {}
        self.archive: dict[str, list[Drawer]] = {}
        self._moved: dict[str, Drawer] = {}

    # -- looking -----------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted(
            {name for name, drawer in self.drawers.items() if drawer.used}
            | {name for name, put_away in self.archive.items() if put_away}
        )

    def find(self, name: str) -> Finding:
        drawer = self.drawers.get(name, Drawer())
        here = self._look(drawer)
        if here.credential is not Credential.ABSENT or drawer.database is not None:
            return here
        _, trace = self._trace(name)
        if trace is None:
            return here
        record, now = trace.record, self.now()
        parked = record.parked or here.record.parked
        rested = msgspec.structs.replace(record, retired_at=record.retired_at or now, verdict=None, parked=parked)
        return Finding(trace.credential, rested, trace.problem)

    def settle(self, name: str) -> Finding:
        finding, drawer = self.find(name), self.drawers.get(name, Drawer())
        if finding.credential not in (Credential.ABSENT, Credential.UNLINKED, Credential.GIVEN_AWAY):
            return finding
        if drawer.database is None:
            return self._settle_archived(name, finding)
        if finding.credential is not Credential.ABSENT and not finding.record.pairing:
            return finding
        if drawer.database:
            return Finding(Credential.PRESENT, self.mark_paired(name, self._account(drawer.database)))
        return finding

    def newest_backup_at(self, name: str) -> datetime | None:
        return None

    def folder(self, name: str) -> Path:
        return Path("/memory", name)

    def drawer(self, directory: str) -> Drawer:
        """Return the drawer that a worker was sent to."""
        return self.drawers[Path(directory).name]

    # -- starting ----------------------------------------------------------------------------------------------------

    def prepare_pairing(self, name: str) -> StartTicket:
        self._fail()
        drawer = self._free(self.drawers.setdefault(name, Drawer()))
        record = drawer.record
        if record.paired_at is None and (trace := self._trace(name)[1]) is not None:
            record = msgspec.structs.replace(trace.record, parked=record.parked)
        record = msgspec.structs.replace(record, epoch=self._highest_epoch(name) + 1)
        if drawer.database and record.paired_at is None:
            record = msgspec.structs.replace(record, paired_at=self.now(), account=self._account(drawer.database))
        lost = record.unlinked_at or (self.now() if record.paired_at is not None else None)
        drawer.record = msgspec.structs.replace(record, unlinked_at=lost, verdict=None, retired_at=None, pairing=True)
        drawer.database, drawer.spoilt, drawer.good = None, False, None
        return StartTicket(Path("/memory", name), drawer.record.epoch)

    def prepare_restore(self, name: str) -> StartTicket:
        self._fail()
        drawer = self._free(self.drawers.get(name, Drawer()))
        record = drawer.record
        if record.given_away_at is not None:
            raise GivenAwayError(f"{name!r} is not started here", why="it was given away", hint="take it back")
        account = record.account or self._account(drawer.database or drawer.good or "")
        if self._in_use_elsewhere(account):
            raise HeldError("The account is in use", why="another session has it", hint="end that one")
        recovered = None
        if drawer.spoilt or not drawer.database:
            if drawer.good is None:
                raise CredentialError(f"The credential of {name!r} cannot be used", why="it is damaged", hint="pair")
            recovered = self._recover(drawer)
        drawer.change(
            epoch=record.epoch + 1,
            paired_at=record.paired_at or self.now(),
            account=record.account or self._account(drawer.database or ""),
            verdict=None,
            retired_at=None,
        )
        drawer.allowed_at = self.now()
        return StartTicket(Path("/memory", name), drawer.record.epoch, None, "", recovered)

    def examine(self, name: str) -> None:
        drawer = self.drawers.get(name, Drawer())
        if drawer.spoilt or not drawer.database:
            raise CredentialError(f"The credential of {name!r} cannot be used", why="it is damaged", hint="pair")

    def hold_account(self, name: str, user: Secret) -> AccountHold | None:
        return AccountHold(lock=f"/memory/{self._account(user.reveal())}")

    def rest(self, name: str) -> None:
        pass

    # -- noting ------------------------------------------------------------------------------------------------------

    def update(self, name: str, **changes: Any) -> SessionRecord:
        drawer = self.drawers.get(name)
        if drawer is None or not drawer.used:
            if changes.keys() <= {"parked"}:
                drawer = self._trace(name)[0] or self.drawers.setdefault(name, Drawer())
            else:
                drawer = self._moved.get(name)
                if drawer is None or not drawer.used:
                    raise CredentialError(f"A note of {name!r} came too late", why="it is gone", hint="none is needed")
                if any(drawer in put_away for put_away in self.archive.values()):
                    changes = {key: value for key, value in changes.items() if key not in _OF_A_LIFE}
        return drawer.change(**changes)

    def mark_paired(self, name: str, account: str) -> SessionRecord:
        fresh = {"unlinked_at": None, "retired_at": None, "verdict": None, "pairing": False, "given_away_at": None}
        return self.update(name, paired_at=self.now(), account=account, former=(), **fresh)

    def mark_unlinked(self, name: str, verdict: Verdict) -> SessionRecord:
        return self.update(name, unlinked_at=self.now(), verdict=verdict, pairing=False)

    def mark_stopped(self, name: str) -> None:
        if (drawer := self.drawers.get(name)) is not None:
            self._free(drawer)

    def backup(self, name: str, why: Why) -> Taken | None:
        self._fail()
        drawer = self.drawers.get(name, Drawer())
        if self._look(drawer).credential is not Credential.PRESENT:
            return None
        if drawer.spoilt:
            raise BackupError(f"{name!r} was not backed up", why="it is damaged")
        drawer.good = drawer.database
        return None

    # -- moving ------------------------------------------------------------------------------------------------------

    def retire(self, name: str, *, keep: bool) -> None:
        self._fail()
        drawer = self.drawers.get(name)
        if drawer is None or not drawer.used:
            return
        record = self._free(drawer).record
        if record.paired_at is None and record.verdict is None and drawer.database is None:
            drawer.record = SessionRecord(epoch=record.epoch)
            return
        drawer.change(retired_at=self.now(), verdict=None, parked=False)
        if not keep:
            self._put_away(name)
            self._moved[name] = drawer

    def revive(self, name: str) -> None:
        self._fail()
        drawer, trace = self._trace(name)
        if drawer is None or trace is None or trace.credential is not Credential.ARCHIVED:
            raise CredentialError(f"{name!r} cannot be revived", why="nothing usable is archived", hint="look")
        self._move_in(drawer, name)

    def rename(self, source: str, target: str) -> None:
        self._fail()
        drawer = self.drawers.get(source, Drawer())
        if not drawer.used or (self._look(drawer).credential is Credential.ABSENT and drawer.database is None):
            archived, trace = self._trace(source)
            if archived is not None and trace is not None and trace.credential is not Credential.DAMAGED:
                drawer = archived
        if not drawer.used:
            raise CredentialError(f"{source!r} cannot be renamed", why="it has no credential", hint="check")
        self._move_in(drawer, target)
        drawer.change(former=names_before(drawer.record, source, target))
        self._moved[source] = drawer

    # -- what other commands and a disk do ---------------------------------------------------------------------------

    def give_away(self, name: str) -> bool:
        """Export a credential for good, as another command does; only one that nobody uses can be."""
        drawer = self.drawers.get(name)
        if drawer is None or drawer.held or self._look(drawer).credential is not Credential.PRESENT:
            return False
        drawer.change(given_away_at=self.now(), given_to="a bundle", given_epoch=drawer.record.epoch)
        drawer.change(verdict=None, parked=False)
        return True

    def take_back(self, name: str) -> bool:
        """Import it again."""
        drawer = self.drawers.get(name)
        if drawer is None or drawer.record.given_away_at is None:
            return False
        drawer.change(given_away_at=None, given_to=None, given_epoch=0)
        return True

    def spoil(self, name: str) -> bool:
        """Damage a database that nobody uses."""
        drawer = self.drawers.get(name)
        if drawer is None or drawer.held or not drawer.database:
            return False
        drawer.spoilt = True
        return True

    def find_backup(self, name: str, chosen: str | None) -> Drawer:
        drawer = self.drawers.get(name, Drawer())
        if drawer.good is None:
            raise CredentialError(f"{name!r} has no backup", why="none was taken", hint="`wakit backup`")
        return drawer

    def put_back(self, name: str, chosen: str | None) -> Recovery:
        self._fail()
        drawer = self._free(self.find_backup(name, chosen))
        if drawer.record.given_away_at is not None:
            raise GivenAwayError(f"No backup of {name!r} is put back", why="it was given away", hint="take it back")
        recovery = self._recover(drawer)
        drawer.change(verdict=None, retired_at=None)
        return recovery

    # -- inside ------------------------------------------------------------------------------------------------------

    def _fail(self) -> None:
        if self._faults:
            raise self._faults.pop(0)

    def _account(self, user: str) -> str:
        return account_hash(user, self.key)

    def _in_use_elsewhere(self, account: str) -> bool:
        return any(other.held and other.record.account == account for other in self.drawers.values())

    def _recover(self, drawer: Drawer) -> Recovery:
        drawer.database, drawer.spoilt = drawer.good, False
        return Recovery(None, "it was put back", "b1", self.now(), lossless=False)

    @staticmethod
    def _free(drawer: Drawer) -> Drawer:
        if drawer.held:
            raise HeldError("The credential is in use", why="a worker has it", hint="wait until it has ended")
        return drawer

    @staticmethod
    def _look(drawer: Drawer) -> Finding:
        record = drawer.record
        if record.given_away_at is not None:
            return Finding(Credential.GIVEN_AWAY, record, "it was given away")
        if record.unlinked_at is not None:
            return Finding(Credential.UNLINKED, record)
        if record.paired_at is None:
            return Finding(Credential.ABSENT, record)
        if drawer.database is None and drawer.good is None:
            return Finding(Credential.DAMAGED, record, "the credential database is missing")
        return Finding(Credential.PRESENT, record)

    def _trace(self, name: str) -> tuple[Drawer | None, Finding | None]:
        lost: tuple[Drawer | None, Finding | None] = (None, None)
        for drawer in reversed(self.archive.get(name, [])):
            finding = self._look(drawer)
            if finding.credential is Credential.PRESENT:
                return drawer, Finding(Credential.ARCHIVED, finding.record)
            if finding.credential is Credential.GIVEN_AWAY and lost[0] is None:
                return drawer, finding
            if finding.credential is not Credential.ABSENT and lost[0] is None:
                lost = drawer, finding
        return lost

    def _settle_archived(self, name: str, finding: Finding) -> Finding:
        if finding.credential is not Credential.ABSENT:
            return finding
        for drawer in reversed(self.archive.get(name, [])):
            if drawer.database:
                drawer.change(paired_at=self.now(), account=self._account(drawer.database))
                return self.find(name)
        return finding

    def _highest_epoch(self, name: str) -> int:
        drawers = [self.drawers.get(name, Drawer()), *self.archive.get(name, [])]
        return max(drawer.record.epoch for drawer in drawers)

    def _put_away(self, name: str) -> None:
        self.archive.setdefault(name, []).append(self.drawers.pop(name))

    def _move_in(self, drawer: Drawer, name: str) -> None:
        self._free(drawer)
        epoch = 0
        here = self.drawers.get(name)
        if here is not None:
            self._free(here)
            if self._look(here).credential is not Credential.ABSENT or here.database:
                raise CredentialError(f"{name!r} is not free", why="it has a credential of its own", hint="retire it")
            epoch = here.record.epoch
            here.database = None  # as evidence
            self._put_away(name)
        archived = any(drawer in put_away for put_away in self.archive.values())
        for places in self.archive.values():
            if drawer in places:
                places.remove(drawer)
        for old in [old for old, each in self.drawers.items() if each is drawer]:
            del self.drawers[old]
        retired_at = None if archived else drawer.record.retired_at
        drawer.change(retired_at=retired_at, epoch=max(drawer.record.epoch, epoch))
        self.drawers[name] = drawer
