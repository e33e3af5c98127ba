"""Editing the declaration from a cell: first the plan, then the file, then what the daemon says to it.

The plan is made by the planner itself, from the file as it would be and the sessions as the live connection last told.
So it is what the daemon will decide, but for what only the daemon can see (a damaged credential, a number linked
twice); what it then really does is in the journal. Nothing is committed to version control: that is the user's word.

In a notebook the plan is shown before the file is written, and the outcome after it, wherever in its cell the edit
stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

from wakit.control.schemas import SessionInfo
from wakit.core.actions import Action, Hold, describe
from wakit.core.declaration import Declaration
from wakit.core.lifecycle import ALIVE, State
from wakit.core.observation import Credential, Observation, SessionObservation
from wakit.core.planner import plan
from wakit.core.remedies import remedies
from wakit.declare import edit, load
from wakit.errors import DeclarationError
from wakit.notebook.kernel import running_cell, running_kernel, show
from wakit.notebook.link import Link
from wakit.notebook.planning import listed
from wakit.notebook.snapshot import Snapshot
from wakit.notebook.words import sign

Standing = Literal["in force", "refused", "saved", "not saved", "unchanged"]
_PATIENCE: Final = 10.0  # seconds; the daemon needs less than one


@dataclass(frozen=True, slots=True)
class Declared:
    """What an edit of sessions.toml did, or would do; shows itself as plan, diff and outcome.

    Attributes:
        standing: What became of it: ``in force`` with the daemon, ``refused`` by it, ``saved`` for when one runs or
            has seen it, ``not saved`` for a dry run, or ``unchanged``.
        plan: The actions that follow from the edit, a line each.
        diff: Unified diff of the file, numbers masked.
        note: Why, where the standing leaves that open.
    """

    standing: Standing
    plan: tuple[str, ...]
    diff: str
    note: str = ""
    _shown: list[object] = field(default_factory=list, repr=False, compare=False)

    def __repr__(self) -> str:
        return "\n".join([*self._planned(), "", *self.diff.splitlines(), "", self._outcome()])

    def _repr_html_(self) -> str:
        return self._before_html() + self._after_html()

    def _ipython_display_(self) -> None:
        """Show it, unless this very cell has shown it already and only gives it back as its value."""
        if not (self._shown and self._shown.pop() == running_cell()):
            show(repr(self), self._repr_html_())

    def show_before(self) -> None:
        """Show what will follow, and what will be written."""
        show("\n".join([*self._planned(), "", *self.diff.splitlines()]), self._before_html())

    def show_after(self) -> None:
        """Show what became of it, below :meth:`show_before`."""
        show(self._outcome(), self._after_html())
        self._shown.append(running_cell())

    def _planned(self) -> tuple[str, ...]:
        return self.plan or ("Nothing to do.",)

    def _outcome(self) -> str:
        return f"sessions.toml: {self.standing}" + (f" ({self.note})" if self.note else "")

    def _before_html(self) -> str:
        diff = f'<pre aria-label="Difference of sessions.toml">{escape(self.diff)}</pre>' if self.diff else ""
        return listed(self._planned(), label="Plan") + diff

    def _after_html(self) -> str:
        return f"<p>{escape(self._outcome())}</p>"


Change = Callable[[bool], edit.Edit]
"""Computes an edit, and carries it out unless it is given True."""


def declare(config: Path, link: Link, name: str, keys: Mapping[str, Any], *, dry_run: bool) -> Declared:
    """Declare a session or change its keys; see :meth:`wakit.notebook.fleet.Fleet.declare`."""
    return _carry_out(config, link, lambda dry: edit.declare(config, name, dry_run=dry, **keys), dry_run=dry_run)


def retire(config: Path, link: Link, name: str, *, dry_run: bool) -> Declared:
    """Take a session out of the file; see :meth:`wakit.notebook.fleet.Fleet.retire`."""
    return _carry_out(config, link, lambda dry: edit.retire(config, name, dry_run=dry), dry_run=dry_run)


def rename(config: Path, link: Link, old: str, new: str, *, dry_run: bool) -> Declared:
    """Give a session another name; see :meth:`wakit.notebook.fleet.Fleet.rename`."""
    return _carry_out(config, link, lambda dry: edit.rename(config, old, new, dry_run=dry), dry_run=dry_run)


def consequences(before: Declaration | None, after: Declaration, snapshot: Snapshot, now: datetime) -> tuple[str, ...]:
    """Say what the planner would decide about ``after`` that it does not decide about ``before``."""
    seen = _observation(before or after, after, snapshot)
    already: set[Action] = set(plan(before, seen, now).actions) if before else set()
    decided = plan(after, seen, now)
    held = [action.session for action in decided.actions if isinstance(action, Hold) and action not in already]
    hints = dict.fromkeys(remedies(held, after, seen).values())
    return (
        *(f"{sign(a)} {describe(a)}" for a in decided.actions if a not in already),
        *(f"hint: {hint}" for hint in hints),
    )


def _carry_out(config: Path, link: Link, change: Change, *, dry_run: bool) -> Declared:
    try:
        before = load(config, git=False)
    except DeclarationError:
        before = None  # the edit may be what mends it
    rehearsal = change(True)
    planned = consequences(before, rehearsal.declaration, link.snapshot, datetime.now(UTC))
    if dry_run or not rehearsal.changed:
        return Declared("not saved" if rehearsal.changed else "unchanged", planned, rehearsal.diff)
    visible = running_kernel() is not None
    if visible:
        Declared("not saved", planned, rehearsal.diff).show_before()
    known = _trouble(link.snapshot)
    done = change(False)
    standing, note = _verdict(link, done.declaration.sha256, known)
    declared = Declared(standing, planned, done.diff, note)
    if visible:
        declared.show_after()
    return declared


def _verdict(link: Link, sha256: str, known: str | None) -> tuple[Standing, str]:
    """Wait for what the daemon says to the file as it is now; ``known`` is what it had against the one before."""
    if not link.snapshot.reachable:
        return "saved", "no daemon runs; it acts on it when it is back"

    def spoken(now: Snapshot) -> bool:
        taken = now.daemon is not None and now.daemon.declaration.sha256 == sha256
        return taken or _trouble(now) not in {None, known}

    try:
        said = link.when(spoken, _PATIENCE).result().daemon
    except TimeoutError:
        return "saved", f"the daemon has not taken it up within {_PATIENCE:g} s"
    assert said is not None
    if said.declaration.sha256 == sha256:
        return "in force", f"revision {said.declaration.rev}"
    return "refused", said.declaration.error or ""


def _trouble(snapshot: Snapshot) -> str | None:
    return snapshot.daemon.declaration.error if snapshot.daemon else None


def _observation(declaration: Declaration, after: Declaration, snapshot: Snapshot) -> Observation:
    seen = {name: _seen(declaration, info) for name, info in snapshot.sessions.items()}
    for name in after.sessions:
        if name not in seen and _is_archived(name, snapshot):
            seen[name] = SessionObservation(name=name, state=State.RETIRED, credential=Credential.ARCHIVED)
    return Observation(seen)


def _is_archived(name: str, snapshot: Snapshot) -> bool:
    """Tell whether a session that the daemon does not show has a credential to come back to."""
    if snapshot.daemon is None:
        return False
    try:
        return any((Path(snapshot.daemon.state_dir) / "archive" / name).iterdir())
    except OSError:
        return False


def _seen(declaration: Declaration, info: SessionInfo) -> SessionObservation:
    state = State(info.state)
    spec = declaration.sessions.get(info.name)
    return SessionObservation(
        name=info.name,
        state=state,
        credential=Credential.PRESENT if info.paired else Credential.ABSENT,
        account=info.account,
        running=spec.fingerprint() if spec is not None and state in ALIVE else None,
        next_try_at=info.next_try_at,
        waits_for_person=info.needs_person,
        parked=state is State.PARKED and info.enabled,
        held=info.held,
    )
