"""wakit keeps many WhatsApp sessions exactly as a versioned file says.

In a notebook: ``fleet = wakit.connect()``. The names below are loaded when they are first used, so that
``import wakit`` costs nothing that a command line or a script would have to wait for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from wakit.errors import WakitError
    from wakit.notebook.connect import connect
    from wakit.notebook.fleet import Fleet
    from wakit.notebook.kept import example_month, read_journal
    from wakit.notebook.session import Session

__version__ = "0.1.0"

__all__ = ["Fleet", "Session", "WakitError", "__version__", "connect", "example_month", "read_journal"]

_HOMES: Final = {
    "Fleet": "wakit.notebook.fleet",
    "Session": "wakit.notebook.session",
    "WakitError": "wakit.errors",
    "connect": "wakit.notebook.connect",
    "load_ipython_extension": "wakit.notebook.magics:load",
    "example_month": "wakit.notebook.kept",
    "read_journal": "wakit.notebook.kept",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'wakit' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
