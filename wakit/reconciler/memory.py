"""What the vault remembers of a session, as the daemon takes it up when it starts."""

from __future__ import annotations

from datetime import datetime

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.reconciler.tracked import Tracked
from wakit.vault.vault import Finding


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
    )
    never_used = finding.credential is Credential.ABSENT and record.verdict is None
    if record.retired_at is not None or finding.credential is Credential.ARCHIVED or never_used:
        tracked.state = State.RETIRED
    elif finding.credential is Credential.DAMAGED:
        tracked.state, tracked.reason, tracked.waits_for_person = State.FAILED, finding.problem, True
    elif finding.credential is Credential.UNLINKED:
        tracked.state, tracked.waits_for_person = State.LOGGED_OUT, True
        tracked.reason = f"it was unlinked; `wakit pair {name}` links it again"
    if (verdict := record.verdict) is not None:
        tracked.state, tracked.reason, tracked.since = State(verdict.state), verdict.reason, verdict.at
        tracked.waits_for_person, tracked.next_try_at = verdict.until is None, verdict.until
    return tracked
