"""What the server needs of the daemon: one Protocol, fulfilled by the reconciler and joined in the runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from wakit.control.schemas import (
    BackupList,
    BackupTaken,
    Counters,
    DaemonInfo,
    JournalInfo,
    LiveFrame,
    PairingShown,
    PairRequest,
    PingInfo,
    PlanInfo,
    PlanRequest,
    SessionInfo,
    StatusInfo,
)


class Fleet(Protocol):
    """The running fleet. Every method is called on the daemon's event loop and raises only ``WakitError``."""

    def status(self) -> StatusInfo:
        """Return the daemon and all sessions, in the declaration's order, retired ones left out."""

    def session(self, name: str) -> SessionInfo:
        """Return one session; UnknownSessionError if there is none."""

    def pairing(self, name: str) -> PairingShown | None:
        """Return the QR or code that is valid now, or None."""

    def plan(self) -> PlanInfo:
        """Return what the loop would do now."""

    async def plan_of(self, request: PlanRequest) -> PlanInfo:
        """Return what the loop would do if another file were followed; DeclarationError if it is no declaration."""

    async def apply(self, *, confirm: bool) -> PlanInfo:
        """Run the loop once now, held retirements included if ``confirm``; return the plan that was carried out."""

    async def pair(self, name: str, request: PairRequest) -> SessionInfo:
        """Pair because a person asks: the only way a once-paired session shows a QR again."""

    async def restart(self, name: str, *, take_over: bool = False) -> SessionInfo:
        """Replace the session's client; clears every verdict that waits for a person.

        With ``take_over`` its credential goes on here even if it was used elsewhere since; refused there from now on.
        """

    async def park(self, name: str) -> SessionInfo:
        """Stop the client until ``resume``, whatever the file says."""

    async def resume(self, name: str) -> SessionInfo:
        """Undo ``park``."""

    async def backups(self, name: str) -> BackupList:
        """Return the backups of a session's credential, newest first."""

    async def backup(self, name: str) -> BackupTaken:
        """Back a session's credential up now, also while it is in use."""

    async def restore(self, name: str, backup: str | None) -> SessionInfo:
        """Put a backup in the place of the credential in use, and start the session with it."""

    async def replace(self) -> DaemonInfo:
        """Begin to replace the workers of another release than the installed one, one at a time."""

    async def ping(self, name: str) -> PingInfo:
        """Have a session ask WhatsApp something now, and say whether it was answered."""

    async def shutdown(self) -> None:
        """Begin the daemon's clean end."""

    async def sql(self, query: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        """Run one read-only SELECT on the journal; return an Arrow IPC stream."""

    def journal(self, since: int) -> JournalInfo:
        """Return what of the journal is durable, with the events after the number ``since``."""

    def counters(self) -> Counters:
        """Return the figures for ``/metrics``."""

    def logs(self, name: str, lines: int) -> list[str]:
        """Return the last lines of the session's log, JSON each, oldest first."""

    def live(self, *, pairing: str | None = None, since: int | None = None) -> AsyncIterator[LiveFrame]:
        """Stream: Hello first, then what changes; with ``since`` the journal's events after it are replayed."""
