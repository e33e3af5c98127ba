"""A declaration comes into force: what the journal remembers is taken up, and what was edited begins anew.

Nothing is started or stopped for the edit itself; the next look at the whole does that.
"""

from __future__ import annotations

from functools import partial

from wakit.core.accounts import declared_accounts
from wakit.core.declaration import Change, Declaration, SessionSpec, is_cut_off
from wakit.core.lifecycle import Happening, State
from wakit.core.observation import Credential
from wakit.core.records import DeclarationRecord
from wakit.core.restarts import Failures
from wakit.reconciler.hands import Hands
from wakit.reconciler.memory import last_edit
from wakit.reconciler.roster import InForce, Roster
from wakit.reconciler.tracked import Tracked


class Enactment:
    """Puts declarations into force, one after the other.

    Args:
        roster: The sessions.
        hands: Takes sessions out of their workers.
    """

    def __init__(self, roster: Roster, hands: Hands) -> None:
        self._roster = roster
        self._hands = hands

    async def accept(self, declaration: Declaration) -> None:
        """Put a declaration into force."""
        roster, now = self._roster, self._roster.ports.now()
        first = roster.in_force is None
        if first:
            # What an earlier run held, or would have held, only the journal remembers.
            ledger, sha = roster.ports.ledger, declaration.sha256
            edit = last_edit(declaration, ledger.text_before(sha), seen=ledger.continues(sha))
            roster.cut_off = edit.cut_off
            states = await ledger.last_states(edit.left.keys()) if edit.left else {}
            for name, spec in edit.in_service(states).items():
                if name in roster.sessions:  # else that daemon did not have it in service either
                    roster.sessions[name].spec = spec
        git = declaration.git
        rev = await roster.ports.ledger.declare(
            DeclarationRecord(
                sha256=declaration.sha256,
                loaded_at=now,
                git_commit=git.commit if git else None,
                git_branch=git.branch if git else None,
                dirty=git.dirty if git else False,
                text=declaration.masked_text,
            )
        )
        if roster.in_force is not None and roster.in_force.declaration.sha256 != declaration.sha256:
            roster.confirmed = None  # a yes is for one edit; the same bytes months later are another
            roster.cut_off = is_cut_off(declaration.masked_text, roster.in_force.declaration.masked_text)
        unknown = declaration.sessions.keys() - roster.sessions.keys()
        past = await roster.ports.ledger.last_states(unknown) if unknown else {}
        for name, state in past.items():
            if state == State.RETIRED and name not in roster.sessions:
                # It was never linked, left the file, and was forgotten; the journal remembers how it ended.
                roster.sessions[name] = Tracked(name, since=now, state=State.RETIRED)
        roster.in_force = InForce(declaration, rev, now)
        roster.declared_accounts = declared_accounts(declaration, roster.ports.vault.key)
        roster.log("declaration", reason="in force", detail={"sessions": len(declaration.sessions), "first": first})
        for name, spec in declaration.sessions.items():
            tracked = roster.get(name)
            old, tracked.spec = tracked.spec, spec
            if not spec.enabled:
                tracked.request = None  # asked for while it was to run; not for the day on which it is again
            if tracked.state is State.RETIRED and tracked.credential is Credential.ABSENT:
                roster.happen(tracked, Happening.DECLARED, "declared")
            if old is not None and spec.change_from(old) is not Change.NONE:
                self._edited(tracked, old, spec)
            roster.changed(name)
            self._forget_names_in_use(tracked, declaration)
        for name in roster.sessions.keys() - declaration.sessions.keys():
            roster.sessions[name].request = None  # asked for of a session that was declared then; not of its next life
            roster.sessions[name].end_pairing()

    def _forget_names_in_use(self, tracked: Tracked, declaration: Declaration) -> None:
        """A former name that is declared beside the present one is another session's: nothing is taken back to it."""
        former = tuple(name for name in tracked.former if name not in declaration.sessions)
        if former != tracked.former:
            tracked.former = former
            self._hands.note(tracked, partial(self._roster.ports.vault.update, tracked.name, former=former))

    def _edited(self, tracked: Tracked, old: SessionSpec, new: SessionSpec) -> None:
        """A person edited the session: what failed before the edit is tried again at once."""
        restart = new.change_from(old) is Change.RESTART
        if restart:
            tracked.attempt, tracked.next_try_at, tracked.failures = 0, None, Failures()
        if tracked.credential is Credential.ABSENT or (restart and tracked.state is State.FAILED):
            tracked.waits_for_person, tracked.why_waits = False, ""
        if tracked.credential is not Credential.PRESENT and (old.pairing, old.phone) != (new.pairing, new.phone):
            tracked.method = tracked.phone = None  # the file is the newer word
            if tracked.pairs:
                tracked.ask_again()
                self._hands.release(tracked, why="the way it is paired changed in the file")
