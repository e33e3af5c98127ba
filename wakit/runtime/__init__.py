"""The composition root: the only place that knows every room and joins them into a daemon.

Takes the place of a fleet (a ``sessions.toml`` and its state directory), gives a running daemon (:func:`serve`), what
can be said without one (:func:`plan_offline`), or another tool's credential as a session (:func:`import_foreign`). Used
by the command line and the notebook; runs in the daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wakit.runtime.place import Place, locate

if TYPE_CHECKING:
    from wakit.runtime.migrating import import_foreign
    from wakit.runtime.offline import plan_offline
    from wakit.runtime.serving import DaemonOptions, serve
    from wakit.runtime.vaults import looked_at, open_vault

__all__ = ["DaemonOptions", "Place", "import_foreign", "locate", "looked_at", "open_vault", "plan_offline", "serve"]

_LAZY = {
    "serve": "serving",
    "DaemonOptions": "serving",
    "import_foreign": "migrating",
    "plan_offline": "offline",
    "open_vault": "vaults",
    "looked_at": "vaults",
}


def __getattr__(name: str) -> Any:
    # The daemon imports DuckDB and FastAPI; whoever only asks where a fleet is must not pay for them.
    if name in _LAZY:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"wakit.runtime.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
