"""The loop that makes the world match the declaration.

Takes declarations, worker reports and people's requests; gives orders to the vault and the worker host, and tells the
journal and the live feed what happened. Runs in the daemon, on its event loop.
"""

from wakit.reconciler.loop import Reconciler

__all__ = ["Reconciler"]
