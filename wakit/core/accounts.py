"""One account has one session: who has it, and who has to stand back.

All sessions count, also those that left the file and are not put away yet: two clients of one account would fight,
whatever a file says. Of several links to one account the oldest has it. One that was put away and comes back is the
last of them, whenever it was linked: whoever is in service stays there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from wakit.core.declaration import Declaration
from wakit.core.lifecycle import State
from wakit.core.observation import Credential, Observation, SessionObservation
from wakit.redact import account_hash

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_LINKED: Final = frozenset({Credential.PRESENT, Credential.ARCHIVED})


def declared_accounts(declaration: Declaration, key: bytes) -> dict[str, str]:
    """Return the account of each session whose number the file tells, as :func:`wakit.redact.account_hash` names it."""
    return {name: account_hash(spec.phone.digits, key) for name, spec in declaration.sessions.items() if spec.phone}


def second_links(declaration: Declaration, observation: Observation) -> dict[str, str]:
    """Find sessions linked to an account that another session holds already: name -> the holder.

    Example:
        >>> from wakit.core.declaration import FleetSpec
        >>> nothing = Declaration("/s.toml", "", "", FleetSpec("/s"), {})
        >>> linked = {n: SessionObservation(n, credential=Credential.PRESENT, account="A") for n in ("a", "b")}
        >>> second_links(nothing, Observation(linked))
        {'b': 'a'}
    """
    by_account: defaultdict[str, list[SessionObservation]] = defaultdict(list)
    for name, seen in observation.sessions.items():
        counts = name in declaration.sessions or not _is_put_away(seen)
        if counts and seen.account is not None and seen.credential in _LINKED:
            by_account[seen.account].append(seen)
    seconds: dict[str, str] = {}
    for linked in by_account.values():
        first, *later = sorted(linked, key=_seniority)
        seconds |= {seen.name: first.name for seen in later}
    return seconds


def holders(observation: Observation) -> dict[str, list[str]]:
    """Return who has each account in use, in a stable order: linked and not put away, or on the way to be linked."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, seen in observation.sessions.items():
        in_use = seen.credential is Credential.PRESENT and not _is_put_away(seen)
        if seen.account is not None and (in_use or seen.running is not None):
            found[seen.account].append(name)
    return found


def holder_of(
    seen: SessionObservation, declared: str | None, seconds: Mapping[str, str], users: Mapping[str, Sequence[str]]
) -> str | None:
    """Return who else has a session's account, or the one that it is to be linked to; None if nobody has.

    Args:
        seen: The session.
        declared: The keyed hash of its declared number, or None.
        seconds: What :func:`second_links` found.
        users: What :func:`holders` found.
    """
    linked = seen.credential is Credential.PRESENT and seen.account is not None
    if linked or seen.name in seconds:
        return seconds.get(seen.name)
    return next((name for name in users.get(declared or "", ()) if name != seen.name), None)


def runners(observation: Observation) -> dict[str, str]:
    """Return who runs as the linked session of each account."""
    return {
        seen.account: name
        for name, seen in observation.sessions.items()
        if seen.account is not None and seen.running is not None and seen.credential is Credential.PRESENT
    }


def _is_put_away(seen: SessionObservation) -> bool:
    return seen.running is None and (seen.state is State.RETIRED or seen.credential is Credential.ARCHIVED)


def _seniority(seen: SessionObservation) -> tuple[bool, datetime, str]:
    return _is_put_away(seen), seen.paired_at or LONG_AGO, seen.name
