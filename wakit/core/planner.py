"""``plan(declaration, observation, now)``: the one function that decides.

Pure and total: any valid declaration and any observation give a plan, and a plan that was carried out gives an empty
one the next time. It is level-based: it compares what should be with what is, and knows no history but what the
observation carries.

The order of the actions is part of the decision. What frees something (parking, retiring) goes before what takes it;
moving a credential goes before starting it; and a session that needs a person's phone comes last, because a fleet that
is back in service must not wait for one that was never in it. Within a kind, sessions come in the fleet's order
(:mod:`wakit.core.turns`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wakit.core.accounts import LONG_AGO, holder_of, holders, runners, second_links
from wakit.core.actions import (
    Action,
    Create,
    Hold,
    Park,
    Plan,
    Rename,
    Restart,
    Restore,
    Retire,
    Revive,
)
from wakit.core.declaration import Declaration, RetirePolicy, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential, Observation, Request, SessionObservation
from wakit.core.turns import Standing, standing

_ORDER: Final[Mapping[type[Action], int]] = {
    Hold: 0,
    Park: 1,
    Retire: 2,
    Rename: 3,
    Revive: 4,
    Restart: 5,
    Restore: 6,
    Create: 7,
}
_PAIRING_STATES: Final = frozenset({State.STARTING, State.PAIRING, State.RECONNECTING})
# What a retirement takes out of service. An unlinked or damaged credential is lost already, but not the memory that the
# session was linked once: retired by mistake it would come back as a new one, and pair by itself.
_ONCE_LINKED: Final = frozenset({Credential.PRESENT, Credential.UNLINKED, Credential.DAMAGED})
# One that was given away leaves its memory behind, which moves like the others: under the new name, too, it is not new.
_MOVABLE: Final = frozenset(Credential) - {Credential.ABSENT}  # a damaged one with its backups, which may mend it


@dataclass(slots=True)
class _Draft:
    """A plan in the making."""

    now: datetime
    closed: str = ""
    admitted: frozenset[str] = frozenset()
    runners: Mapping[str, str] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    wake_at: datetime | None = None

    def hold(self, seen: SessionObservation, reason: str) -> None:
        self.held[seen.name] = reason
        if seen.held != reason:
            self.actions.append(Hold(seen.name, reason))

    def keeps_back(self, seen: SessionObservation) -> bool:
        """Tell whether a session is kept from starting by what concerns the whole fleet, and note it."""
        if not self.closed or seen.name in self.admitted or seen.request is not None:
            return False
        self.waiting[seen.name] = self.closed
        return True

    def wait_until(self, name: str, moment: datetime, why: str) -> None:
        self.waiting[name] = why
        self.wake_at = moment if self.wake_at is None else min(self.wake_at, moment)

    def finish(self) -> Plan:
        ordered = sorted(self.actions, key=lambda action: _ORDER[type(action)])  # stable: the fleet's order within
        return Plan(tuple(ordered), self.waiting, self.held, self.wake_at)


def plan(declaration: Declaration, observation: Observation, now: datetime) -> Plan:
    """Decide what has to happen for the world to match the declaration.

    Args:
        declaration: The last good declaration.
        observation: What is.
        now: The present moment (UTC, aware).

    Example:
        >>> from datetime import UTC
        >>> from wakit.core.declaration import FleetSpec
        >>> wanted = Declaration("/s.toml", "", "", FleetSpec("/s"), {"a": SessionSpec("a")})
        >>> plan(wanted, Observation(), datetime(2026, 1, 1, tzinfo=UTC)).actions
        (Create(session='a', pairing=<Pairing.QR: 'qr'>, reason='declared, never paired'),)
    """
    draft = _Draft(now, observation.closed, observation.admitted, runners(observation))
    twins, users = second_links(declaration, observation), holders(observation)
    moved = _plan_renames(draft, declaration, observation)
    leaving = _plan_retirements(draft, declaration, observation, moved, twins)
    free = declaration.fleet.pacing.pairings - sum(map(_is_pairing, observation.sessions.values()))
    for name in _in_order(declaration, observation):
        if name in moved:
            continue
        spec = declaration.sessions[name]
        seen = observation.sessions.get(name) or SessionObservation(name)
        holder = holder_of(seen, observation.declared_accounts.get(name), twins, users)
        if holder in leaving and _wanted(spec, seen):
            draft.waiting[name] = f"waits until {holder!r} is out of service, which has its account"
            continue
        refusal = _refusal(seen, observation.declared_accounts.get(name), holder)
        if refusal is not None and _wanted(spec, seen):
            draft.hold(seen, refusal)
            if name in twins and seen.running is not None:
                draft.actions.append(Park(name, refusal))
            continue
        free -= _plan_session(draft, spec, seen, free)
    return draft.finish()


def _in_order(declaration: Declaration, observation: Observation) -> list[str]:
    """Return the declared sessions in the order in which they start, and get their turn to pair."""

    def place(numbered: tuple[int, str]) -> Standing:
        position, name = numbered
        seen = observation.sessions.get(name)
        return standing(declaration.sessions[name].priority, seen.healthy_at if seen else None, position)

    return [name for _, name in sorted(enumerate(declaration.sessions), key=place)]


def _wanted(spec: SessionSpec, seen: SessionObservation) -> bool:
    return spec.enabled and not seen.parked


def _is_pairing(seen: SessionObservation) -> bool:
    return seen.running is not None and seen.state in _PAIRING_STATES and seen.credential is not Credential.PRESENT


def _plan_renames(draft: _Draft, declaration: Declaration, observation: Observation) -> dict[str, str]:
    """Plan the moves of credentials; return new name -> old name for those that happen now."""
    moved: dict[str, str] = {}

    def move(name: str, source: SessionObservation | None, why: str) -> None:
        if source is None or source.name in declaration.sessions or source.name in moved.values():
            return  # nothing to move, or not to be moved, or the first who asks for it has it
        if source.credential not in _MOVABLE:
            return
        seen = observation.sessions.get(name) or SessionObservation(name)
        # A target that pairs already has a worker and maybe soon a credential; a move would lose one of the two.
        if seen.credential is Credential.ABSENT and seen.running is None:
            draft.actions.append(Rename(name, source.name, why))
            moved[name] = source.name

    for name, spec in declaration.sessions.items():
        move(name, observation.sessions.get(spec.renamed_from or ""), f"renamed_from = {spec.renamed_from!r}")
    for name, source in _taken_back(declaration, observation).items():
        if name not in moved:
            move(name, source, f"it was renamed to {source.name!r}, which is no longer in the file")
    return moved


def _taken_back(declaration: Declaration, observation: Observation) -> dict[str, SessionObservation]:
    """Find the credentials of those whose renaming was taken back, by a `git revert` say: name -> who has it now.

    Without this a session that was paired would be asked to pair again. One for which a person asks for a pairing, or
    whose `phone` is another account's, is another session that has an old name. So is one that was declared beside the
    renamed one: its name is then no former name any more (:meth:`wakit.reconciler.enactment.Enactment.accept`).
    """
    away = [seen for seen in observation.sessions.values() if seen.former and seen.name not in declaration.sessions]
    away.sort(key=lambda seen: seen.paired_at or LONG_AGO)  # of two that had a name, the later link has the last word
    found: dict[str, SessionObservation] = {}
    for source in away:
        back = next((name for name in reversed(source.former) if name in declaration.sessions), None)  # to the last one
        if back is None:
            continue
        mine = observation.sessions.get(back) or SessionObservation(back)
        same = observation.declared_accounts.get(back, source.account) == source.account
        if same and mine.request is not Request.PAIR:
            found[back] = source
    return found


def _plan_retirements(
    draft: _Draft,
    declaration: Declaration,
    observation: Observation,
    moved: Mapping[str, str],
    twins: Mapping[str, str],
) -> frozenset[str]:
    """Plan what left the file; hold it back when it is suspiciously much. Return who goes now, and who is moved."""
    leaving = [
        seen
        for name, seen in observation.sessions.items()
        if name not in declaration.sessions and name not in moved.values() and _has_something(seen)
    ]
    losing = [seen for seen in leaving if seen.credential in _ONCE_LINKED]
    objection = _objection(declaration, observation, losing)
    going = set(moved.values())
    for seen in leaving:
        if objection is None or seen.credential not in _ONCE_LINKED:
            draft.actions.append(Retire(seen.name, declaration.fleet.retire, _why_retire(declaration.fleet.retire)))
            going.add(seen.name)
            continue
        draft.hold(seen, objection)
        if seen.name not in twins:
            _keep_in_service(draft, seen)
        elif seen.running is not None:
            draft.actions.append(Park(seen.name, _linked_as(twins[seen.name])))
    return frozenset(going)


def _keep_in_service(draft: _Draft, seen: SessionObservation) -> None:
    """Bring back a session that crashed while its retirement waits for a person: nothing is decided about it yet."""
    spec = seen.last_spec
    linked = seen.credential is Credential.PRESENT
    if spec is not None and linked and seen.running is None and _wanted(spec, seen):
        _plan_start(draft, spec, seen, free=0)


def _has_something(seen: SessionObservation) -> bool:
    return seen.running is not None or seen.state is not State.RETIRED


def _why_retire(policy: RetirePolicy) -> str:
    what = {
        RetirePolicy.ARCHIVE: "its credential is archived and can be revived",
        RetirePolicy.LOGOUT: "it is unlinked at WhatsApp, then archived",
        RetirePolicy.KEEP: "its credential is kept where it is",
    }[policy]
    return f"no longer in the file; {what}"


def _objection(declaration: Declaration, observation: Observation, losing: list[SessionObservation]) -> str | None:
    """Say why a retirement must wait for a person, or None."""
    if not losing or observation.confirmed == declaration.sha256:
        return None
    if not declaration.sessions:
        return "the file declares no session at all; `wakit apply --confirm` retires them all the same"
    if observation.cut_off and declaration.fleet.retire is RetirePolicy.LOGOUT:
        # What is unlinked at WhatsApp does not come back with the rest of a file that was only half written.
        return "the file looks cut off, and retire = 'logout' cannot be undone; `wakit apply --confirm` does it"
    live = sum(
        seen.credential in _ONCE_LINKED and seen.state is not State.RETIRED for seen in observation.sessions.values()
    )
    if len(losing) > 1 and len(losing) > declaration.fleet.retire_guard * live:
        return (
            f"the edit would retire {len(losing)} of {live} sessions, more than "
            f"retire_guard = {declaration.fleet.retire_guard:g} allows; `wakit apply --confirm` does it"
        )
    return None


def _refusal(seen: SessionObservation, declared: str | None, holder: str | None) -> str | None:
    """Say why a declared session may not be run as declared, or None."""
    if holder is not None:
        return _linked_as(holder)
    linked = seen.account is not None and seen.credential is Credential.PRESENT
    if linked and declared is not None and seen.account != declared:
        return "`phone` is another number than the one this session is linked to; give the new number its own name"
    return None


def _linked_as(holder: str) -> str:
    return f"its account is linked as {holder!r} already; one account has one session"


def _plan_session(draft: _Draft, spec: SessionSpec, seen: SessionObservation, free: int) -> int:
    """Plan one declared session; return how many pairing places it takes."""
    if not _wanted(spec, seen):
        if seen.running is not None or seen.state is not State.PARKED:
            why = "enabled = false" if not spec.enabled else "parked by a person"
            draft.actions.append(Park(spec.name, why))
        return 0
    if seen.running is not None:
        _plan_running(draft, spec, seen)
        return 0
    if seen.credential is Credential.ARCHIVED:
        draft.actions.append(Revive(spec.name, "declared again; its archived credential is taken back"))
        return 0
    return _plan_start(draft, spec, seen, free)


def _plan_running(draft: _Draft, spec: SessionSpec, seen: SessionObservation) -> None:
    if seen.request is Request.RESTART:
        draft.actions.append(Restart(spec.name, "a person asked"))
    elif seen.running != spec.fingerprint() and not draft.keeps_back(seen):
        draft.actions.append(Restart(spec.name, "its declaration changed"))


def _plan_start(draft: _Draft, spec: SessionSpec, seen: SessionObservation, free: int) -> int:
    asked = seen.request is not None
    if seen.waits_for_person and not asked:
        # An outdated one waits for the breaker, which lets it try again now and then.
        outdated = draft.closed if seen.state is State.OUTDATED else ""
        draft.waiting[spec.name] = outdated or "waits for a person"
        return 0
    # A person who asks does not wait for a pause: the request clears it. One that begins later is kept, or a start that
    # fails although it was asked for would be tried again without end.
    if seen.next_try_at is not None and seen.next_try_at > draft.now:
        seconds = (seen.next_try_at - draft.now).total_seconds()
        draft.wait_until(spec.name, seen.next_try_at, f"next try in {seconds:.0f} s")
        return 0
    if seen.credential is Credential.PRESENT:
        if runner := draft.runners.get(seen.account or ""):
            draft.waiting[spec.name] = f"waits until {runner!r} has stopped, which has its account"
            return 0
        if draft.keeps_back(seen):
            return 0
        draft.actions.append(Restore(spec.name, "a person asked" if asked else "enabled and not running"))
        return 0
    if seen.credential is not Credential.ABSENT and seen.request is not Request.PAIR:
        what = seen.credential.replace("_", " ")
        draft.waiting[spec.name] = f"its credential is {what}; only `wakit pair {spec.name}` pairs it again"
        return 0
    if free <= 0 and seen.request is not Request.PAIR:
        draft.waiting[spec.name] = "waits for its turn to pair"
        return 0
    if draft.keeps_back(seen):
        return 0
    why = "a person asked" if seen.request is Request.PAIR else "declared, never paired"
    draft.actions.append(Create(spec.name, spec.pairing, why))
    return 1
