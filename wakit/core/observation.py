"""What is, as the planner sees it: one flat record a session, gathered elsewhere, never changed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from wakit.core.declaration import SessionSpec
from wakit.core.lifecycle import State


class Credential(StrEnum):
    """What the vault finds where a session's credential should be."""

    ABSENT = "absent"  # never paired here, nothing to lose
    PRESENT = "present"  # a device row, checked
    ARCHIVED = "archived"  # retired, can be revived
    UNLINKED = "unlinked"  # the phone or WhatsApp unlinked it; kept as evidence
    DAMAGED = "damaged"  # it was paired, and what is there cannot be given to the library
    GIVEN_AWAY = "given_away"  # it was exported and belongs to another place now; a bundle brings it back


UNUSABLE: Final = frozenset({Credential.UNLINKED, Credential.DAMAGED, Credential.GIVEN_AWAY})
"""It was linked once and cannot be started as it is: only a person helps."""


class Request(StrEnum):
    """What a person asked for and has not been given yet."""

    PAIR = "pair"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class SessionObservation:
    """One session as it is.

    Attributes:
        name: The session.
        state: Where it is in its life.
        credential: What the vault finds.
        account: The keyed hash of the account it is linked to, or None.
        running: Fingerprint of the spec its live client was started with, or None when no worker runs it.
        next_try_at: Not before this moment is it started again (UTC), or None.
        waits_for_person: It may not start by itself, only when a person asks.
        parked: A person parked it with ``wakit park``, whatever the file says.
        held: The reason an action on it is held, as last noted, or None.
        request: What a person asked for.
        paired_at: When it was linked (UTC), or None; of two links to one account, the older one stays.
        healthy_at: When it was last known to be connected (UTC), or None; of those that start, the latest come first.
        last_spec: What a file said of it last, or None if that is not known any more.
        former: The names that its credential had before, the latest last.
    """

    name: str
    state: State = State.DECLARED
    credential: Credential = Credential.ABSENT
    account: str | None = None
    running: str | None = None
    next_try_at: datetime | None = None
    waits_for_person: bool = False
    parked: bool = False
    held: str | None = None
    request: Request | None = None
    paired_at: datetime | None = None
    healthy_at: datetime | None = None
    last_spec: SessionSpec | None = None
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """The whole world as it is.

    Attributes:
        sessions: Every session with a credential, a worker or a past, by name.
        confirmed: sha256 of the declaration whose held retirements a person has confirmed, or None.
        declared_accounts: Keyed hash of each declared phone number, by session name.
        closed: Why nobody is started by itself now, or "" if nothing keeps the fleet back.
        admitted: Who is started all the same, to find out whether it is over.
        cut_off: The file's text is a mere beginning of the one that was in force before it.
    """

    sessions: Mapping[str, SessionObservation] = field(default_factory=lambda: MappingProxyType({}))
    confirmed: str | None = None
    declared_accounts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cut_off: bool = False
    closed: str = ""
    admitted: frozenset[str] = frozenset()
