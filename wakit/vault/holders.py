"""Who has an account already? Asked before a credential comes in, because one account has one session.

An account is had by a session that is linked to it, in use or archived, of whatever namespace, also by one that was
linked just now and of which that is not noted yet. One that was unlinked has it no longer, nor one that was given away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from wakit.core.declaration import SESSION_NAME
from wakit.core.observation import Credential
from wakit.vault.folder import DATABASE, Finding, look, present
from wakit.vault.holdings import Holdings
from wakit.vault.inspection import inspect

_LINKED: Final = frozenset({Credential.PRESENT, Credential.ARCHIVED, Credential.DAMAGED})


@dataclass(frozen=True, slots=True)
class Claim:
    """A session that is linked to an account, or was.

    Attributes:
        name: The session.
        folder: Where its credential lies, or would lie if it were not archived.
        finding: What there is of it.
        holds: It has the account.
    """

    name: str
    folder: Path
    finding: Finding
    holds: bool


Claims: TypeAlias = Mapping[str, Sequence[Claim]]
"""By account."""


def claims(holdings: Holdings) -> Claims:
    """Look at every session, once.

    Raises:
        CredentialUnreadableError: One cannot be read now.
    """
    found: defaultdict[str, list[Claim]] = defaultdict(list)
    for name, folder, finding in _sessions(holdings):
        account = fresh_link(holdings, folder, finding)
        holds = account is not None or finding.credential in _LINKED
        if (account := account or finding.record.account) is not None:
            found[account].append(Claim(name, folder, finding, holds))
    return found


def holder(known: Claims, account: str, *, but: Path) -> Claim | None:
    """Return who has an account; the session whose credential lies at ``but`` is not asked."""
    return next((claim for claim in known.get(account, ()) if claim.holds and claim.folder != but), None)


def fresh_link(holdings: Holdings, folder: Path, finding: Finding) -> str | None:
    """Return the account of a device that was linked just now, which nobody noted yet, or None."""
    unnoted = finding.credential is Credential.ABSENT or finding.record.pairing
    if not unnoted or finding.credential is Credential.PRESENT or not present(folder / DATABASE):
        return None
    return inspect(folder / DATABASE, holdings.key).account


def _sessions(holdings: Holdings) -> Iterable[tuple[str, Path, Finding]]:
    for name in holdings.names():
        ours = holdings.folder(name)
        yield name, ours, holdings.find(name)
        for other in sorted(ours.parent.glob("*")):
            if other != ours and SESSION_NAME.fullmatch(other.name) and other.is_dir():
                yield name, other, look(other)
