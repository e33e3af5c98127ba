"""What can be said while no daemon runs: the plan that a daemon would begin with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from wakit.control.schemas import PlanInfo
from wakit.core.declaration import Declaration, RetirePolicy, is_cut_off
from wakit.core.observation import Observation
from wakit.core.planner import plan
from wakit.core.remedies import remedies
from wakit.declare import load
from wakit.errors import JournalError
from wakit.reconciler.memory import recollect
from wakit.reconciler.roster import InForce
from wakit.reconciler.telling import describe_declaration, describe_plan
from wakit.redact import account_hash, scrub
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
            cut_off=_is_cut_off(declaration, layout.journal),
        )
    # Offline nothing is recorded, so the declaration has no number yet.
    force = InForce(declaration, 0, now)
    decided = plan(declaration, observation, now)
    told = describe_declaration(force, None, str(place.config))
    return describe_plan(decided, told, remedies(decided.held, declaration, observation))


def _is_cut_off(declaration: Declaration, journal: Path) -> bool:
    """Judge the file as a daemon that starts does; DuckDB is loaded only where it makes a difference."""
    if declaration.fleet.retire is not RetirePolicy.LOGOUT or not journal.exists():
        return False
    from wakit.journal import open_read_only  # noqa: PLC0415 - DuckDB

    try:
        with open_read_only(journal) as opened:
            before = opened.text_before(declaration.sha256)
    except JournalError:  # the daemon will say what is wrong with it
        return False
    return before is not None and is_cut_off(scrub(declaration.masked_text), before)
