"""What ``doctor`` says of each session's credential and of its backups. Looks from outside, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from wakit.cli.doctor.check import Check
from wakit.core.declaration import Declaration
from wakit.core.observation import Credential
from wakit.errors import WakitError
from wakit.runtime import Place
from wakit.vault import Vault
from wakit.vault.layout import Layout

_LATE = 3  # intervals without a backup


def check_credentials(place: Place, declaration: Declaration) -> Iterator[Check]:
    """Yield one check for the credentials, one for their backups, and one for each that is not well."""
    layout = Layout(place.state_dir)
    if not layout.account_key.exists():
        yield Check("credential", "ok", "none yet")
        return
    now = datetime.now(UTC)
    fleet = declaration.fleet
    try:
        vault = Vault(layout, fleet.strategy, lambda: now, policy=lambda: fleet.vault)
        names = vault.names()
    except (WakitError, OSError) as error:
        yield Check("credential", "fail", str(error), getattr(error, "hint", "") or "mend the disk or the permissions")
        return
    well = 0
    for name in names:
        try:
            yield from _bad(name, vault)
            well += vault.find(name).credential is Credential.PRESENT
            yield from _late(name, vault, now, timedelta(seconds=fleet.vault.interval))
        except (WakitError, OSError) as error:
            yield Check("credential", "fail", f"{name}: {error}", getattr(error, "hint", ""))
    yield Check("credential", "ok", f"{well} of {len(names)} can be used")


def _bad(name: str, vault: Vault) -> Iterator[Check]:
    found = vault.find(name)
    if found.credential is Credential.DAMAGED:
        hint = f"`wakit restore {name} --list` shows what there is; `wakit pair {name}` links the phone anew"
        yield Check("credential", "fail", f"{name}: {found.problem}", hint)
    elif found.credential is Credential.PRESENT and found.problem:
        hint = "the next start puts its newest good backup in place"
        yield Check("credential", "warn", f"{name}: {found.problem}", hint)


def _late(name: str, vault: Vault, now: datetime, interval: timedelta) -> Iterator[Check]:
    if vault.find(name).credential is not Credential.PRESENT:
        return
    newest = vault.newest_backup_at(name)
    if newest is None:
        yield Check("backup", "warn", f"{name} has no good backup", f"`wakit backup {name}` takes one")
    elif interval and now - newest > _LATE * interval:
        said = f"{name}: its newest backup is of {newest:%Y-%m-%d %H:%M} UTC"
        yield Check("backup", "warn", said, f"`wakit up` takes them in time; `wakit backup {name}` takes one now")
