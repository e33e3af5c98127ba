"""What a person can do about a hold, in words: every hold has one next step that ends it.

Not all holds are alike: a retirement that waits can be carried out or taken back; two sessions of one account never
can be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from wakit.core.accounts import holder_of, holders, second_links
from wakit.core.declaration import Declaration, RetirePolicy
from wakit.core.observation import Credential, Observation, SessionObservation

_RETIREMENT: Final = "mend the file, or carry out what is held with `wakit apply --confirm`"
_THEN: Final[Mapping[RetirePolicy, str]] = MappingProxyType(
    {
        RetirePolicy.ARCHIVE: "its credential is then archived",
        RetirePolicy.LOGOUT: "it is then unlinked at WhatsApp, and its credential archived",
        RetirePolicy.KEEP: "its credential then stays where it is, unused",
    }
)


def remedies(held: Collection[str], declaration: Declaration, observation: Observation) -> dict[str, str]:
    """Say what ends each hold of a plan.

    Args:
        held: The sessions that the planner holds.
        declaration: What it planned for.
        observation: What it planned with.

    Returns:
        The next step by session; holds that end together have the same one.
    """
    seconds, users = second_links(declaration, observation), holders(observation)
    said: dict[str, str] = {}
    for name in held:
        seen = observation.sessions.get(name) or SessionObservation(name)
        holder = holder_of(seen, observation.declared_accounts.get(name), seconds, users)
        said[name] = _remedy(seen, declaration, holder)
    return said


def _remedy(seen: SessionObservation, declaration: Declaration, holder: str | None) -> str:
    name = seen.name
    if name not in declaration.sessions:
        return _RETIREMENT
    if holder is not None and holder not in declaration.sessions:
        return _RETIREMENT  # of the one that has its account
    if seen.account is None or seen.credential is not Credential.PRESENT:
        return f"take {name} out of the file, or correct its `phone`"
    if holder is not None:
        return f"take {name} out of the file; {_THEN[declaration.fleet.retire]}"
    return f"set the `phone` of {name} back to the number it is linked to"
