"""What the vault remembers of a session, as the daemon takes it up when it starts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.core.restarts import Setback
from wakit.reconciler.tracked import Tracked
from wakit.vault.record import Verdict
from wakit.vault.vault import Finding

_STARTABLE: Final = frozenset({Credential.PRESENT, Credential.ABSENT})


def recollect(name: str, finding: Finding, now: datetime) -> Tracked:
    """Return a session as earlier daemons left it.

    This is memory, not news: the state is taken over as it was noted, and nobody is told.
    """
    record = finding.record
    tracked = Tracked(
        name,
        since=now,
        credential=finding.credential,
        account=record.account,
        paired_at=record.paired_at,
        parked=record.parked,
        handset=record.phone,
    )
    never_used = finding.credential is Credential.ABSENT and record.verdict is None
    if record.retired_at is not None or finding.credential is Credential.ARCHIVED or never_used:
        tracked.state = State.RETIRED
    elif finding.credential in (Credential.DAMAGED, Credential.GIVEN_AWAY):
        tracked.state, tracked.reason = State.FAILED, finding.said
        tracked.wait_for_person(tracked.reason)
    elif finding.credential is Credential.UNLINKED:
        tracked.state, tracked.reason = State.LOGGED_OUT, f"it was unlinked; `wakit pair {name}` links it again"
        tracked.wait_for_person(tracked.reason)
    if (verdict := record.verdict) is not None:
        tracked.state, tracked.reason, tracked.since = _state(verdict), verdict.reason, verdict.at
        if verdict.until is None:
            tracked.wait_for_person(verdict.reason)
        else:
            tracked.next_try_at = verdict.until
    return tracked


def take_up(tracked: Tracked, setback: Setback) -> None:
    """Have a session go on where a daemon that crashed left it: a crash gives nobody a new budget of restarts."""
    tracked.failures, tracked.attempt = setback.failures, len(setback.failures.at)
    if setback.gave_up and not tracked.waits_for_person and tracked.credential in _STARTABLE:
        tracked.state, tracked.reason, tracked.since = State.FAILED, setback.gave_up, setback.since
        tracked.wait_for_person(setback.gave_up)


def _state(verdict: Verdict) -> State:
    try:
        return State(verdict.state)
    except ValueError:  # written by another version, or by hand; it waits all the same, and its words say why
        return State.FAILED
