"""What can be said while no daemon runs: the plan that a daemon would begin with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from wakit.control.schemas import PlanInfo
from wakit.core.accounts import declared_accounts
from wakit.core.declaration import Declaration
from wakit.core.observation import Observation
from wakit.core.planner import plan
from wakit.core.remedies import remedies
from wakit.declare import load
from wakit.reconciler.memory import Past, recollect, take_up
from wakit.reconciler.roster import InForce
from wakit.reconciler.telling import describe_declaration, describe_plan
from wakit.reconciler.tracked import Tracked
from wakit.runtime.place import Place
from wakit.vault import Vault
from wakit.vault.layout import Layout


def plan_offline(place: Place) -> PlanInfo:
    """Return the plan that a daemon of this place would begin with. Changes nothing.

    Raises:
        DeclarationError: The file is no declaration.
        HeldError: A daemon starts or ends just now.

    Example:
        >>> from wakit.runtime import locate
        >>> plan_offline(locate()).actions  # doctest: +SKIP
        [ActionInfo(action='create', session='support', ...)]
    """
    declaration = load(place.config)
    now = datetime.now(UTC)
    observation = Observation()
    layout = Layout(place.state_dir)
    if layout.account_key.exists():
        vault = Vault(layout, declaration.fleet.strategy, lambda: now)
        past = _past(declaration, layout.journal)
        observation = Observation(
            sessions={name: _recollected(name, vault, past, now).observed() for name in vault.names()},
            declared_accounts=declared_accounts(declaration, vault.key),
            cut_off=past.cut_off,
        )
    # Offline nothing is recorded, so the declaration has no number yet.
    force = InForce(declaration, 0, now)
    decided = plan(declaration, observation, now)
    told = describe_declaration(force, None, str(place.config))
    return describe_plan(decided, told, remedies(decided.held, declaration, observation))


def _past(declaration: Declaration, journal: Path) -> Past:
    if not journal.exists():
        return Past()
    from wakit.runtime.recalling import recall_past  # noqa: PLC0415 - DuckDB

    return recall_past(journal, declaration)


def _recollected(name: str, vault: Vault, past: Past, now: datetime) -> Tracked:
    """Return a session as a daemon that starts takes it up."""
    tracked = recollect(name, vault.find(name), now)
    take_up(tracked, past)
    return tracked
