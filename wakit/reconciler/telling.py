"""What the desk tells, from what the reconciler and the vault know to what travels; used without a daemon, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from wakit.control.schemas import ActionInfo, BackupInfo, BackupTaken, DeclarationInfo, PlanInfo
from wakit.core.actions import Plan, describe
from wakit.errors import ControlError
from wakit.reconciler.roster import InForce
from wakit.redact import scrub
from wakit.vault.backups import Taken
from wakit.vault.verification import Backup


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What is true of this daemon for its whole life."""

    pid: int
    run_id: str
    version: str
    started_at: datetime
    config: str
    state_dir: str
    socket: str
    sim: bool


def describe_declaration(force: InForce | None, error: Exception | None, path: str) -> DeclarationInfo:
    """Say what is in force, and what is wrong with what is not."""
    problem = scrub(str(error)) if error else None
    hint = str(getattr(error, "hint", "")) or None
    if force is None:
        return DeclarationInfo(path=path, error=problem, hint=hint)
    declaration = force.declaration
    git = declaration.git
    return DeclarationInfo(
        path=declaration.path,
        rev=force.rev,
        sha256=declaration.sha256,
        loaded_at=force.loaded_at,
        git_commit=git.commit if git else None,
        git_branch=git.branch if git else None,
        dirty=git.dirty if git else False,
        error=problem,
        hint=hint,
        warnings=list(declaration.warnings),
    )


def describe_plan(decided: Plan, declaration: DeclarationInfo, hints: Mapping[str, str]) -> PlanInfo:
    """Turn a plan into what travels; ``hints`` say what ends each hold."""
    return PlanInfo(
        actions=[
            ActionInfo.model_validate(
                {
                    "action": type(action).__name__.lower(),
                    "session": action.session,
                    "reason": action.reason,
                    "text": describe(action),
                }
            )
            for action in decided.actions
        ],
        waiting=dict(decided.waiting),
        held=dict(decided.held),
        hints=dict(hints),
        declaration=declaration,
    )


def backup_info(backup: Backup) -> BackupInfo:
    """Turn a backup into what travels."""
    manifest = backup.manifest
    if manifest is None:
        return BackupInfo(id=backup.name, problem=backup.problem)
    return BackupInfo(
        id=backup.name,
        created_at=manifest.created_at,
        why=str(manifest.why),
        size=manifest.size,
        sealed=bool(manifest.sealed),
        problem=backup.problem,
    )


def backup_taken(name: str, taken: Taken | None) -> BackupTaken:
    """Turn what a person's backup came to into what travels.

    Raises:
        ControlError: There was nothing to back up.
    """
    if taken is None:
        raise ControlError(
            f"{name} is not backed up", why="it has no credential in use", hint="see `wakit status` for its state"
        )
    return BackupTaken(session=name, new=taken.new, backup=backup_info(taken.backup))
