"""What earlier daemons left, in the vault and in the journal, as one that starts takes it up.

A plan that is made while no daemon runs (:func:`wakit.runtime.plan_offline`) takes it up here, too, or ``wakit plan``
would promise what ``wakit up`` does not do. Both gather what the journal says in their own way, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wakit.core.declaration import Declaration, SessionSpec, is_cut_off
from wakit.core.lifecycle import ALIVE, State
from wakit.core.observation import Credential
from wakit.core.restarts import Setback
from wakit.declare.remembering import remembered
from wakit.reconciler.tracked import Tracked
from wakit.redact import scrub
from wakit.vault.record import Verdict
from wakit.vault.vault import Finding

_STARTABLE: Final = frozenset({Credential.PRESENT, Credential.ABSENT})


@dataclass(frozen=True, slots=True)
class LastEdit:
    """What the newest edit took out of the file.

    Attributes:
        cut_off: The file looks like a part of the one before.
        left: How those were declared that it took out, if an earlier daemon has seen it and may have held them.
    """

    cut_off: bool = False
    left: Mapping[str, SessionSpec] = field(default_factory=dict)

    def in_service(self, states: Mapping[str, str]) -> dict[str, SessionSpec]:
        """Return who of them was kept in service all the same.

        Args:
            states: In which state each was when last heard of; one that is not in it never was in service.
        """
        return {name: spec for name, spec in self.left.items() if states.get(name) in ALIVE}


def last_edit(declaration: Declaration, before: str | None, *, seen: bool) -> LastEdit:
    """Compare what the file says now with what it said before.

    Args:
        declaration: What it says now.
        before: What it said before, as the journal kept it; None if no earlier daemon knew it.
        seen: An earlier daemon has seen what it says now, too.
    """
    if before is None:
        return LastEdit()
    known = remembered(before) if seen else {}
    left = {name: spec for name, spec in known.items() if name not in declaration.sessions}
    return LastEdit(is_cut_off(scrub(declaration.masked_text), before), left)


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal tells of earlier daemons' sessions.

    Attributes:
        setbacks: What a daemon that did not end in order left of their tries.
        healthy_at: When each was last known to be connected (UTC).
        blamed_at: When those who crash their workers did so last (UTC).
        in_service: How those were declared that left the file and were kept in service all the same.
        cut_off: The file looks like a part of the one before.
    """

    setbacks: Mapping[str, Setback] = field(default_factory=dict)
    healthy_at: Mapping[str, datetime] = field(default_factory=dict)
    blamed_at: Mapping[str, datetime] = field(default_factory=dict)
    in_service: Mapping[str, SessionSpec] = field(default_factory=dict)
    cut_off: bool = False


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
        former=record.former,
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


def take_up(tracked: Tracked, past: Past) -> None:
    """Have a session that was recollected go on where earlier daemons left it."""
    name = tracked.name
    tracked.blamed_at, tracked.healthy_at = past.blamed_at.get(name), past.healthy_at.get(name)
    tracked.spec = past.in_service.get(name)
    if (setback := past.setbacks.get(name)) is not None:
        _go_on(tracked, setback)


def _go_on(tracked: Tracked, setback: Setback) -> None:
    """A crash of the daemon gives nobody a new budget of restarts."""
    tracked.failures, tracked.attempt = setback.failures, len(setback.failures.at)
    if setback.gave_up and not tracked.waits_for_person and tracked.credential in _STARTABLE:
        tracked.state, tracked.reason, tracked.since = State.FAILED, setback.gave_up, setback.since
        tracked.wait_for_person(setback.gave_up)


def _state(verdict: Verdict) -> State:
    try:
        return State(verdict.state)
    except ValueError:  # written by another version, or by hand; it waits all the same, and its words say why
        return State.FAILED
