"""From a credential to a worker, and back: what is done before each start, and what is noted after its end.

Before a start the credential is looked into, mended from its newest good backup if it is damaged, and given a new
epoch; its account is held on this machine (:mod:`wakit.vault.registry`). After the end it is noted that nobody runs it,
and, if its client's process ended in order, which bytes it left (:mod:`wakit.vault.clean_stop`).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wakit.core.observation import Credential
from wakit.errors import GivenAwayError, HeldError
from wakit.redact import Secret
from wakit.vault import notes, write_ahead
from wakit.vault.clean_stop import take
from wakit.vault.examination import examine
from wakit.vault.folder import (
    DATABASE,
    amend,
    given_away,
    in_use,
    locked,
    look,
    present,
    set_aside,
    sweep,
    tighten,
    way_out,
)
from wakit.vault.holdings import Holdings
from wakit.vault.inspection import Inspection, readable
from wakit.vault.record import SessionRecord, read_record, recording, write_record
from wakit.vault.recovery import Patient, Recovery, recover
from wakit.vault.registry import UNWATCHED, Registry
from wakit.vault.use import Seat
from wakit.whatsapp.port import AccountHold


@dataclass(frozen=True, slots=True)
class StartTicket:
    """What a worker needs to run a credential.

    Attributes:
        directory: Its folder.
        epoch: Of this start.
        account: What has to be held of its account; None while it is to be linked.
        note: What a person should know of this start, or "".
        recovered: What was mended before it, or None.
    """

    directory: Path
    epoch: int
    account: AccountHold | None = None
    note: str = ""
    recovered: Recovery | None = None


class Starts:
    """The starts of the credentials in one vault, which remember what each holds until it has ended.

    Args:
        holdings: The credentials.
        registry: The accounts of this machine, or None.
    """

    def __init__(self, holdings: Holdings, registry: Registry | None) -> None:
        self._holdings = holdings
        self._registry = registry
        self._held: dict[str, AccountHold] = {}  # of starts that have not ended

    def pairing(self, name: str) -> StartTicket:
        """Make room for a new credential; :meth:`wakit.vault.Vault.prepare_pairing` says how."""
        holdings = self._holdings
        folder = holdings.make(name)
        with locked(folder):
            found = holdings.inspect(folder) if present(folder / DATABASE) else Inspection()
            with recording(folder):
                record = holdings.memory(name, folder)
                if found.linked and record.paired_at is None:
                    record = msgspec.structs.replace(record, paired_at=holdings.now(), account=found.account)
                    write_record(folder, record)  # before the row goes, or nothing says any more that there was one
                set_aside(folder, holdings.stamp())
                lost_at = holdings.now() if record.paired_at is not None else None
                epoch = record.epoch + 1
                fresh = {"epoch": epoch, "verdict": None, "retired_at": None, "pairing": True}
                unlinked_at = record.unlinked_at or lost_at
                write_record(folder, msgspec.structs.replace(record, unlinked_at=unlinked_at, **fresh))
        return StartTicket(folder, epoch)

    def restoring(self, name: str) -> StartTicket:
        """Have a credential run again; :meth:`wakit.vault.Vault.prepare_restore` says how."""
        folder = self._holdings.folder(name)
        with locked(folder):
            record = read_record(folder)
            if record.given_away_at is not None:
                raise GivenAwayError(
                    f"{name!r} is not started here",
                    why=given_away(record),
                    hint=way_out(name, Credential.GIVEN_AWAY),
                )
            found, recovered = self._sound(name, folder, record)
            sweep(folder)
            write_ahead.hold(folder / DATABASE, make=True)
            tighten(folder)
            seat = Seat(name, folder, record.epoch, record.rested)
            allowed = self._registry.permission(seat, found.device) if self._registry else nullcontext(UNWATCHED)
            with allowed as permission:
                epoch = self._count(folder, record, found)
                account = permission.take(epoch)  # last: a note of a start that was not counted would fence off our own
        return StartTicket(folder, epoch, self._holds(name, account), permission.note, recovered)

    def hold_account(self, name: str, user: Secret) -> AccountHold | None:
        """Note which device was linked just now; return what its worker has to hold of the account from now on."""
        folder = self._holdings.folder(name)
        if self._registry is None or not in_use(folder):
            return None
        return self._holds(name, self._registry.hold(Seat(name, folder, read_record(folder).epoch), user))

    def take_over(self, name: str) -> str:
        """Let a credential go on here; :meth:`wakit.vault.Vault.take_over` says when."""
        folder = self._holdings.folder(name)
        if self._registry is None:
            return ""
        with locked(folder):
            seat = Seat(name, folder, read_record(folder).epoch)
            return self._registry.take_over(seat, lambda epoch: amend(folder, self._holdings.now(), epoch=epoch))

    def rested(self, name: str, **left: object) -> None:
        """Note that a start has ended, and what it left: fields of the record."""
        account = self._held.pop(name, None)
        if account is not None and account.token:
            left["rested"] = account.token
        if left:
            notes.note(self._holdings, name, **left)
        if self._registry is not None and account is not None and account.token:
            self._registry.rest(account)  # last: who does not know of a noted end is taken for an older state

    def stopped(self, name: str) -> None:
        """Note that a start ended in order, its process too, and the bytes it left: all in one record."""
        folder = self._holdings.folder(name)
        if look(folder).credential is not Credential.PRESENT:
            self.rested(name)
            return
        try:
            with locked(folder):
                stopped = take(folder / DATABASE, read_record(folder).epoch, self._holdings.now())
                self.rested(name, **({} if stopped is None else {"stopped": stopped}))
        except HeldError:
            self.rested(name)  # that start is over all the same
            raise

    def _sound(self, name: str, folder: Path, record: SessionRecord) -> tuple[Inspection, Recovery | None]:
        """Return what is in a credential that can be started, and what had to be mended for that."""
        found = readable(folder, examine(folder / DATABASE, record, self._holdings.key))
        if not found.problem and not found.mended:
            return found, None
        backups = self._holdings.backups(folder)
        recovered = recover(Patient(name, folder, record, backups, self._holdings.stamp()), found)
        return self._holdings.inspect(folder), recovered

    def _count(self, folder: Path, record: SessionRecord, found: Inspection) -> int:
        """Write down that another start begins; return its number."""
        now, epoch = self._holdings.now(), record.epoch + 1
        # The note that it was linked may have been lost to a full disk; the device row is the truth.
        linked = {
            "paired_at": record.paired_at or now,
            "account": record.account or found.account,
            "keys": record.keys or found.keys,
        }
        amend(folder, now, epoch=epoch, verdict=None, retired_at=None, rested="", **linked)
        return epoch

    def _holds(self, name: str, account: AccountHold | None) -> AccountHold | None:
        if account is not None:
            self._held[name] = account
        return account
