"""The keeper of credentials: where they lie, whether they are sound, and who may use them.

Takes a state directory and the registry of this machine's accounts, gives findings and start tickets, moves credentials
on retirement, revival and renaming.
Runs in the daemon (and in commands while no daemon runs), never in a worker.
"""

from wakit.vault.accounts_folder import open_accounts
from wakit.vault.registry import Registry
from wakit.vault.vault import StartTicket, Vault

__all__ = ["Registry", "StartTicket", "Vault", "open_accounts"]
