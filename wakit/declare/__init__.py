"""Takes sessions.toml, the environment and git; gives a checked Declaration, a watch over its changes, and safe edits.

Runs in the daemon (loading, watching), in the CLI and in the notebook's kernel (finding, loading, editing). Edits are
functions of :mod:`wakit.declare.edit`. What is wrong with a file is told as DeclarationErrors, all of it at once.
"""

from __future__ import annotations

from wakit.declare.following import Broken, Change, Loaded, Timing
from wakit.declare.loading import Source, load, parse, read_source
from wakit.declare.problems import DeclarationErrors
from wakit.declare.source import find
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
