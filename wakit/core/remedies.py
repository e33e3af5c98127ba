"""What a person can do about a hold, in words: every hold has one next step that ends it.

Not all holds are alike: a retirement that waits can be carried out or taken back; two sessions of one account never
can be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from wakit.core.declaration import Declaration, RetirePolicy
from wakit.core.observation import Credential, Observation
from wakit.core.planner import second_links

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
    seconds = second_links(declaration, observation)
    return {name: _remedy(name, declaration, observation, seconds) for name in held}


def _remedy(name: str, declaration: Declaration, observation: Observation, seconds: Collection[str]) -> str:
    if name not in declaration.sessions:
        return _RETIREMENT
    seen = observation.sessions.get(name)
    if seen is None or seen.account is None or seen.credential is not Credential.PRESENT:
        return f"take {name} out of the file, or correct its `phone`"
    if name in seconds:
        return f"take {name} out of the file; {_THEN[declaration.fleet.retire]}"
    return f"set the `phone` of {name} back to the number it is linked to"
