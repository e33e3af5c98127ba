"""What the reconciler needs of its neighbours, as Protocols; the runtime joins them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from wakit.control.schemas import EventInfo, JournalInfo
from wakit.core.records import DeclarationRecord, EventRecord
from wakit.core.release import UNKNOWN, Release
from wakit.core.restarts import Setback
from wakit.vault import Vault
from wakit.whatsapp.port import AccountHold, SessionStart, WorkerLaunch

REPLAYED: Final = 10_000
"""How many past events a live stream tells at most; older ones are a matter for SQL."""


class Workers(Protocol):
    """The worker host: spawns sealed workers and ends them; reports come back through its callback."""

    def expect(self, sessions: Sequence[str]) -> None:
        """Keep places in the line of dials for sessions that are about to be launched: their order was decided."""

    def forget(self, sessions: Sequence[str]) -> None:
        """Keep no such places for sessions that will not dial after all."""

    async def launch(self, launch: WorkerLaunch) -> int:
        """Spawn a worker and return its pid; WorkerError if it does not come up."""

    async def call(self, worker_id: str, start: SessionStart) -> None:
        """Have a worker that was launched on call start one of its sessions; WorkerError if it is gone."""

    async def seal(self, worker_id: str) -> None:
        """End the calls to such a worker; one that nobody came aboard of is ended."""

    async def release(self, worker_id: str, session: str, *, why: str) -> None:
        """Take one session out of its worker for good; returns when its credential is free for others."""

    async def redial(self, worker_id: str, session: str) -> None:
        """Drop the session's connections; its library redials."""

    async def hold_account(self, worker_id: str, session: str, account: AccountHold) -> None:
        """Have a worker hold the account that a session was linked to just now; it reports if another one has it."""

    async def ask(self, worker_id: str, session: str, timeout: float) -> str:  # noqa: ASYNC109
        """Have a session ask WhatsApp something; "" once it has answered, else why not (within seconds)."""

    async def logout(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Unlink a session at WhatsApp; False if it did not answer in time (seconds)."""


class Ledger(Protocol):
    """The journal, as a place to write to and to read from."""

    def log(self, record: EventRecord) -> int:
        """Take an event at once and return its number; it is durable soon after."""

    async def declare(self, record: DeclarationRecord) -> int:
        """Keep a declaration durably; return its revision."""

    def text_before(self, sha256: str) -> str | None:
        """Return the text of the newest declaration of earlier runs that has another checksum, None if there is none.

        It is as the journal kept it: scrubbed once more.
        """

    def continues(self, sha256: str) -> bool:
        """Return whether the newest declaration of earlier runs has this checksum: it was in force when they ended."""

    async def blamed_since(self, moment: datetime) -> dict[str, datetime]:
        """Return who crashed a worker alone after it had in company, and when last."""

    def last_healthy(self) -> Mapping[str, datetime]:
        """Return when each session was last known to be connected in earlier runs (UTC)."""

    async def last_states(self, names: Collection[str]) -> Mapping[str, str]:
        """Return in which state each of these sessions was when last heard of; who was never heard of is left out."""

    async def setbacks(self) -> Mapping[str, Setback]:
        """Return what a daemon that did not end in order left of the sessions' tries; nothing after one that did."""

    def events(self) -> AsyncIterator[EventInfo | tuple[int, int]]:
        """Stream durable events from now on; a pair of numbers is a gap of events left out."""

    async def events_since(self, seq: int) -> list[EventInfo]:
        """Return the durable events after ``seq``, the newest :data:`REPLAYED` if there are more."""

    async def query(self, sql: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        """Run one read-only SELECT; return an Arrow IPC stream."""

    def standing(self, since: int) -> JournalInfo:
        """Return what is durable, with the events after the number ``since``."""

    def last_seq(self) -> int:
        """Return the number of the newest event."""

    def healthy(self) -> bool:
        """Return False while events cannot be made durable."""

    def stuck(self) -> int:
        """Return how many queries were told to stop and still run."""

    def pending(self) -> int:
        """Return how many events are not durable yet."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside the reconciler.

    Attributes:
        vault: Credentials.
        workers: Worker processes.
        ledger: The journal.
        now: The clock (UTC, aware).
        chance: A number drawn evenly from [0, 1).
        new_id: A fresh, unique worker id.
        release: What a worker that is started now is started from.
        asleep: Seconds that the machine has slept since some moment before the daemon's start.
    """

    vault: Vault
    workers: Workers
    ledger: Ledger
    now: Callable[[], datetime]
    chance: Callable[[], float]
    new_id: Callable[[], str]
    release: Callable[[], Release] = lambda: UNKNOWN
    asleep: Callable[[], float] = lambda: 0.0
