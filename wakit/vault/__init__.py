"""The keeper of credentials: where they lie, whether they are sound, and who may use them.

Takes a state directory, gives findings and start tickets, moves credentials on retirement, revival and renaming.
Runs in the daemon (and in commands while no daemon runs), never in a worker.
"""

from wakit.vault.vault import StartTicket, Vault

__all__ = ["StartTicket", "Vault"]
