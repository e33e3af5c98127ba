"""Packages that the library imports at its birth and a session never needs: they are loaded when somebody uses them.

neonize imports three packages for link previews and for media that is given as a URL; with what they bring along they
are 11 of a worker's 48 MB and half of the time that its import takes. While :func:`deferred` lasts, each of them is a
stand-in. Afterwards whoever imports one gets the real one, and a stand-in that was kept loads it at the first use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any


class _StandIn(ModuleType):
    """What is kept instead of a module; any attribute of it is the real one's."""

    def __getattr__(self, name: str) -> Any:
        # What Python itself asks of every module it meets (__spec__, __path__) is no use of it.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


def _call(module: str, function: str, *arguments: Any, **named: Any) -> Any:
    return getattr(import_module(module), function)(*arguments, **named)


@contextmanager
def deferred(packages: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Have imports of these packages give a stand-in while the block lasts; those that are loaded stay as they are.

    Args:
        packages: By name, the functions that are imported from it by name. An import of anything else from it, or of
            a module below it, fails.

    Example:
        >>> with deferred({"xmlrpc": ()}):
        ...     import xmlrpc
        >>> "xmlrpc" in sys.modules
        False
    """
    stand_ins: dict[str, ModuleType] = {}
    for name, functions in packages.items():
        if name not in sys.modules:
            stand_ins[name] = sys.modules[name] = _StandIn(name)
            for function in functions:
                setattr(stand_ins[name], function, partial(_call, name, function))
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
