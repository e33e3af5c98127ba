"""Operations of the vault, in a process to be killed anywhere: see :mod:`support.killing`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from support.killing import main

from wakit.core.declaration import VaultPolicy
from wakit.vault import Vault
from wakit.vault.layout import Layout
from wakit.vault.manifest import Why, versions


def start(vault: Vault) -> None:
    vault.prepare_restore("a")


def restore(vault: Vault) -> None:
    vault.prepare_restore("a")


def rename(vault: Vault) -> None:
    vault.rename("a", "b")


def retire(vault: Vault) -> None:
    vault.retire("a", keep=False)


def revive(vault: Vault) -> None:
    vault.revive("a")


def back_up(vault: Vault) -> None:
    vault.backup("a", Why.MANUAL)


def put_back(vault: Vault) -> None:
    vault.put_back("a", None)


def put_back_the_oldest(vault: Vault) -> None:
    vault.put_back("a", vault.listed_backups("a")[-1].name)


def note_the_stop(vault: Vault) -> None:
    vault.mark_stopped("a")


OPERATIONS: dict[str, Callable[[Vault], None]] = {
    each.__name__: each
    for each in (start, restore, rename, retire, revive, back_up, put_back, put_back_the_oldest, note_the_stop)
}


def opened(state_dir: Path) -> Vault:
    """The vault, keeping two backups so that taking one prunes one."""
    return Vault(Layout(state_dir), "shared", lambda: datetime.now(UTC), policy=lambda: VaultPolicy(keep=2))


if __name__ == "__main__":
    versions()  # looked up once; later it would count
    main({name: lambda state, _do=do: _do(opened(state)) for name, do in OPERATIONS.items()})
