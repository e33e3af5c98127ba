"""What can be said while no daemon runs: the plan that a daemon would begin with."""

from __future__ import annotations

from datetime import UTC, datetime

from wakit.control.schemas import PlanInfo
from wakit.core.observation import Observation
from wakit.core.planner import plan
from wakit.core.remedies import remedies
from wakit.declare import load
from wakit.reconciler.desk import describe_declaration, describe_plan
from wakit.reconciler.memory import recollect
from wakit.reconciler.roster import InForce
from wakit.redact import account_hash
from wakit.runtime.place import Place
from wakit.vault import Vault
from wakit.vault.layout import Layout


def plan_offline(place: Place) -> PlanInfo:
    """Return the plan that a daemon of this place would begin with. Changes nothing.

    Raises:
        DeclarationError: The file is no declaration.

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
        observation = Observation(
            sessions={name: recollect(name, vault.find(name), now).observed() for name in vault.names()},
            declared_accounts={
                name: account_hash(spec.phone.digits, vault.key)
                for name, spec in declaration.sessions.items()
                if spec.phone
            },
        )
    # Offline nothing is recorded, so the declaration has no number yet.
    force = InForce(declaration, 0, now)
    decided = plan(declaration, observation, now)
    told = describe_declaration(force, None, str(place.config))
    return describe_plan(decided, told, remedies(decided.held, declaration, observation))
