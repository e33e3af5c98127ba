"""What follows from the end of a worker: one that was asked for, or a crash.

Who was aboard a crash comes back by halves, in two workers, until the culprit crashes alone.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial
from typing import Final

from wakit.core.lifecycle import Happening, State
from wakit.core.observation import Credential
from wakit.core.placement import halves
from wakit.core.records import JSON
from wakit.core.retry import AFTER_CRASH
from wakit.reconciler.hands import Hands
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Planned, Tracked
from wakit.whatsapp.port import WorkerExited

# Signals that people send: the worker was ended from outside, which is nobody's fault. (SIGKILL may be the kernel's.)
_BY_HAND: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Departures:
    """Takes sessions out of workers that are gone.

    Args:
        roster: The sessions.
        hands: Writes to the vault.
    """

    def __init__(self, roster: Roster, hands: Hands) -> None:
        self._roster = roster
        self._hands = hands

    def take(self, report: WorkerExited) -> None:
        """Take the end of a worker; who was moved out of it before is not concerned."""
        self._roster.exits += 1
        known = [self._roster.sessions[name] for name in report.sessions if name in self._roster.sessions]
        aboard = [tracked for tracked in known if tracked.worker_id == report.worker_id]
        if report.asked:
            self._ended(aboard, report)
        else:
            self._crashed(aboard, report)

    def _ended(self, aboard: Sequence[Tracked], report: WorkerExited) -> None:
        for tracked in aboard:
            self._log_exit(tracked, report, report.cause)
            tracked.leave_worker()
            if not tracked.busy and not tracked.waits_for_person:  # it was to stay: it is started again at once
                tracked.planned = Planned(report.cause)
            vault = self._roster.ports.vault
            ended = vault.mark_stopped if tracked.credential is Credential.PRESENT else vault.rest
            self._hands.note(tracked, partial(ended, tracked.name))
            self._roster.changed(tracked.name)
        self._roster.stir()

    def _crashed(self, aboard: Sequence[Tracked], report: WorkerExited) -> None:
        """Bring back whoever was aboard, in two halves, so that a crash that comes again finds its culprit."""
        # Whoever crashes alone again right after a crash in company is the one that the others suffered from.
        by_hand = -report.exit_code in _BY_HAND
        culprit = not by_hand and len(aboard) == 1 and aboard[0].quarantine is not None
        self._roster.crashed_at = self._roster.ports.now()
        self._roster.crashes += 1
        if culprit:
            aboard[0].blamed_at = self._roster.crashed_at
        cause = report.cause + ("" if by_hand else _whose_fault(len(aboard), culprit=culprit))
        pairing = [tracked for tracked in aboard if tracked.credential is not Credential.PRESENT]
        for tracked in aboard:
            self._log_exit(tracked, report, cause, aboard=len(aboard), culprit=culprit)
            tracked.leave_worker()
            self._hands.note(tracked, partial(self._roster.ports.vault.rest, tracked.name))
            self._roster.happen(tracked, Happening.WORKER_LOST, cause)
        by_name = {tracked.name: tracked for tracked in aboard}
        for half, names in enumerate([] if by_hand else halves(list(by_name))):
            for name in names:
                by_name[name].quarantine = f"{report.worker_id}/{half}"
        retried = [tracked for tracked in aboard if tracked.state is State.RECONNECTING]  # a verdict stands
        if retried:
            self._roster.retry_together(retried, AFTER_CRASH, alone=len(aboard) == 1 and not by_hand)
        for tracked in pairing:
            self._hands.settle(tracked)
        for tracked in aboard:
            self._roster.changed(tracked.name)

    def _log_exit(
        self, tracked: Tracked, report: WorkerExited, cause: str, *, aboard: int = 1, culprit: bool = False
    ) -> None:
        found: dict[str, JSON] = {"asked": report.asked, "evidence": report.evidence, "next_step": report.next_step}
        if not report.asked:
            found |= {"aboard": aboard, "culprit": culprit}
        self._roster.log("worker_exit", tracked, reason=cause, code=str(report.exit_code), detail=found)


def _whose_fault(aboard: int, *, culprit: bool) -> str:
    if culprit:
        return "; it crashed again, alone in its worker: the fault is its own"
    if aboard > 1:
        return f"; {aboard} sessions were aboard, and come back in two workers until it is known whose fault it is"
    return ""
