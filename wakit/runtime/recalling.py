"""What only the journal remembers of earlier daemons, for a plan that is made while none runs.

A daemon that starts asks its ledger the same; what follows from the answers is said once, in
:mod:`wakit.reconciler.memory`.
"""

from __future__ import annotations

from pathlib import Path

from wakit.core.declaration import Declaration
from wakit.errors import JournalError, QueryError
from wakit.journal import open_read_only
from wakit.reconciler.memory import Past, last_edit
from wakit.runtime.bookkeeping import LAST_STATES, SETBACKS, setback_of


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
            setbacks = {row["session"]: setback_of(row) for row in opened.query(SETBACKS).to_pylist()}
            sha = declaration.sha256
            edit = last_edit(declaration, opened.text_before(sha), seen=opened.continues(sha))
            last = opened.query(LAST_STATES, params=[" ".join(sorted(edit.left))]).to_pylist() if edit.left else []
            in_service = edit.in_service({row["session"]: row["state"] for row in last})
            return Past(setbacks, opened.last_healthy(), in_service=in_service, cut_off=edit.cut_off)
    except (JournalError, QueryError):
        return Past()
