"""What only the journal remembers of earlier daemons, for a plan that is made while none runs.

A daemon that starts asks the same (:meth:`wakit.reconciler.Reconciler.recall` and ``accept``); the two must agree, or
``wakit plan`` would promise what ``wakit up`` does not do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from wakit.core.declaration import Declaration, SessionSpec, is_cut_off
from wakit.core.lifecycle import ALIVE
from wakit.core.restarts import Setback
from wakit.declare.remembering import remembered
from wakit.errors import JournalError, QueryError
from wakit.journal import OfflineJournal, open_read_only
from wakit.redact import scrub
from wakit.runtime.bookkeeping import LAST_STATES, SETBACKS, setback_of


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier daemons left in the journal.

    Attributes:
        cut_off: The file looks like a part of the one before.
        setbacks: What a daemon that did not end in order left of the sessions' tries.
        healthy_at: When each session was last known to be connected (UTC).
        in_service: How those were declared that left the file and were kept in service all the same.
    """

    cut_off: bool = False
    setbacks: Mapping[str, Setback] = field(default_factory=dict)
    healthy_at: Mapping[str, datetime] = field(default_factory=dict)
    in_service: Mapping[str, SessionSpec] = field(default_factory=dict)


def recall_past(journal: Path, declaration: Declaration) -> Past:
    """Ask a journal that no daemon owns.

    Args:
        journal: The file; one that cannot be used tells nothing, and the daemon will say why.
        declaration: What the file says now.

    Raises:
        HeldError: A daemon owns it, so one starts or ends just now, and its own plan counts.
    """
    try:
        with open_read_only(journal) as opened:
            before = opened.text_before(declaration.sha256)
            return Past(
                cut_off=before is not None and is_cut_off(scrub(declaration.masked_text), before),
                setbacks={row["session"]: setback_of(row) for row in opened.query(SETBACKS).to_pylist()},
                healthy_at=opened.last_healthy(),
                in_service=_in_service(opened, declaration, before),
            )
    except (JournalError, QueryError):
        return Past()


def _in_service(journal: OfflineJournal, declaration: Declaration, before: str | None) -> dict[str, SessionSpec]:
    if before is None or not journal.continues(declaration.sha256):
        return {}
    left = {name: spec for name, spec in remembered(before).items() if name not in declaration.sessions}
    table = journal.query(LAST_STATES, params=[" ".join(sorted(left))])
    return {row["session"]: left[row["session"]] for row in table.to_pylist() if row["state"] in ALIVE}
