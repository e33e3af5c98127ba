"""Takes sessions.toml, the environment and git; gives a checked Declaration, a watch over its changes, and safe edits.

Runs in the daemon (loading, watching), in the CLI and in the notebook's kernel (finding, loading, editing). Edits are
functions of :mod:`wakit.declare.edit`. What is wrong with a file is told as DeclarationErrors, all of it at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wakit.declare.loading import Source, load, parse, read_source
from wakit.declare.problems import DeclarationErrors
from wakit.declare.source import find

if TYPE_CHECKING:
    from wakit.declare.following import Broken, Change, Loaded, Timing
    from wakit.declare.watching import Watcher

__all__ = [
    "Broken",
    "Change",
    "DeclarationErrors",
    "Loaded",
    "Source",
    "Timing",
    "Watcher",
    "find",
    "load",
    "parse",
    "read_source",
]

_WATCHING = {
    "Broken": "following",
    "Change": "following",
    "Loaded": "following",
    "Timing": "following",
    "Watcher": "watching",
}


def __getattr__(name: str) -> Any:
    # Only the daemon watches; everybody else should not wait for the watching library to load.
    if name in _WATCHING:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"wakit.declare.{_WATCHING[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
