"""Packages that the library imports at its birth and a session never needs: they are loaded when somebody uses them.

neonize imports pictures, stickers, buttons, vCards, link previews and progress bars for calls that a supervised session
does not make; with what they bring along they are a quarter of a worker's memory and more than half of the time that
its import takes. While :func:`deferred` lasts, each of them is a stand-in. Afterwards whoever imports one gets the real
one, and a stand-in that was kept loads it at the first use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any


@dataclass
class _Block:
    """Whether the imports still last: meanwhile nothing is loaded, whatever is asked of a stand-in."""

    lasts: bool = True


class _StandIn(ModuleType):
    """What is kept instead of a module; any attribute of it is the real one's."""

    def __getattr__(self, name: str) -> Any:
        # What Python itself asks of every module it meets (__spec__, __path__) is no use of it.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


class _Late:
    """What is kept instead of a function, a class or a module that was imported from a module by name."""

    def __init__(self, find: Callable[[], Any], block: _Block) -> None:
        self._find, self._block = find, block

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._find()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._block.lasts:  # an annotation (Image.Image) that Python works out as it defines a function
            return _Late(lambda: getattr(self._find(), name), self._block)
        return getattr(self._find(), name)

    def __or__(self, _other: object) -> _Late:  # such an annotation again: str | Image.Image
        return self

    __ror__ = __or__


def _from(module: str, name: str) -> Any:
    found = import_module(module)
    return getattr(found, name) if hasattr(found, name) else import_module(f"{module}.{name}")


@contextmanager
def deferred(packages: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Have imports of these packages give a stand-in while the block lasts; those that are loaded stay as they are.

    Args:
        packages: By name, dotted or not, what is imported from it by name. An import of anything else from it, or of a
            module below it, fails.

    Example:
        >>> with deferred({"xmlrpc": ("client",)}):
        ...     from xmlrpc import client
        >>> "xmlrpc" in sys.modules
        False
        >>> client.MAXINT
        2147483647
    """
    block = _Block()
    stand_ins: dict[str, ModuleType] = {}
    for module, names in packages.items():
        if module not in sys.modules:
            stand_ins[module] = sys.modules[module] = _StandIn(module)
            for name in names:
                setattr(stand_ins[module], name, _Late(partial(_from, module, name), block))
    try:
        yield
    finally:
        block.lasts = False
        for module in stand_ins:
            del sys.modules[module]
