"""Another tool's credential as a session of a fleet: the vault's migration, joined with the library's own tables.

It is made in a folder of its own inside the state directory, one at a time, and moved into the session's place under
the lock that a worker would hold. What a crash leaves in that folder is removed before the next one.

A daemon may be running meanwhile: it looks at a session's place before it links it anew, and starts what it finds. A
session that is not declared rests until it is; else the daemon would retire it for not being in the file.
"""

from __future__ import annotations

from pathlib import Path

from wakit.declare import load
from wakit.errors import CredentialError
from wakit.redact import PhoneNumber, account_hash
from wakit.runtime.place import Place
from wakit.runtime.vaults import open_vault
from wakit.vault.adopting import adopt, refuse_taken
from wakit.vault.folder import DATABASE
from wakit.vault.migration import Kind, Migrated, migrate
from wakit.vault.transfer import scratch, told
from wakit.worker.tables import make_tables


def import_foreign(
    place: Place, name: str, source: Path, kind: Kind | None = None, account: PhoneNumber | None = None
) -> Migrated:
    """Make another tool's credential the credential of a session; no phone is needed.

    Args:
        place: The fleet.
        name: The session; declared or not, it has no credential yet.
        source: The other tool's folder or file; it is only read.
        kind: What the source is; None recognises it.
        account: Which of several devices; None takes the session's declared number, if there is one.

    Raises:
        CredentialError: It cannot be carried over, or not to this name; says why, and the shortest way on.
        DeclarationError: The fleet's file is no declaration.
        HeldError: A worker uses the session's place, or another import is under way.
        StateDirectoryError: The state directory cannot be used.
        WorkerError: The library could not make its tables.

    Example:
        >>> from wakit.runtime import locate
        >>> import_foreign(locate(), "sales", Path("auth"))  # doctest: +SKIP
        Migrated(account=Secret('•••'), carried={'device': 1, 'pre keys': 812, ...}, ...)
    """
    spec = load(place.config, git=False).sessions.get(name)
    declared = spec.phone if spec is not None else None
    if account is not None and declared is not None and account != declared:
        raise CredentialError(
            f"{name!r} cannot become {account}",
            why=f"its declared `phone` is {declared}",
            hint="give the other number a session of its own",
        )
    vault = open_vault(place)
    refuse_taken(name, vault.find(name))
    refused = f"Session {name!r} cannot take in a credential"
    with told(refused, "mend the disk, and import it again"), scratch(vault.layout) as folder:
        database = folder / DATABASE
        migrated = migrate(source, database, kind=kind, account=account or declared, blank=make_tables)
        whose = account_hash(migrated.account.reveal(), vault.key)
        adopt(vault, name, database, whose, resting=spec is None)
    return migrated
