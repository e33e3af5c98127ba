"""The command ``wakit`` and the list of its commands, in the order of its help.

A command's module is imported, and its options are read, when the command is typed: ``wakit status`` is typed often and
should not wait for what other commands take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.main import get_command

from wakit.cli.options import Config

# typer carries its own copy of click since 0.26 and used the package before; this finds the right class in both.
USAGE_ERROR: Final[Any] = typer.BadParameter.__mro__[1]
EXIT: Final[Any] = typer.Exit
ABORT: Final[Any] = typer.Abort

_MODULES: Final = {
    "init": "declaration",
    "plan": "declaration",
    "apply": "declaration",
    "up": "daemon",
    "down": "daemon",
    "status": "daemon",
    "pair": "sessions",
    "events": "records",
    "restart": "sessions",
    "park": "sessions",
    "resume": "sessions",
    "export": "credentials",
    "import": "credentials",
    "logs": "records",
    "backup": "credentials",
    "restore": "credentials",
    "doctor": "machine",
    "sim": "machine",
}
_CODES: Final = (
    "Begin with `wakit init`, then `wakit up`. The documentation is docs/cli.md beside the source. "
    "Exit codes: 0 done, 1 error, 2 `plan` has changes, 3 timeout, 4 no daemon, 5 held by another, 64 usage, "
    "70 a mistake of wakit, 130 Ctrl-C, 141 nobody reads its output; 129, 130, 143 `up` was ended by a second signal."
)
_LOOK: Final[dict[str, Any]] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Commands(Mapping[str, Any]):
    """The commands by name, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return _command(name, _MODULES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


@cache
def _command(name: str, module: str) -> Any:
    found = import_module(f"wakit.cli.commands.{module}")
    alone = typer.Typer(**_LOOK)
    alone.command(name)(getattr(found, "import_" if name == "import" else name))
    return get_command(alone)


def _print_version(wanted: bool) -> None:
    if wanted:
        from wakit import __version__  # noqa: PLC0415 - only here

        typer.echo(f"wakit {__version__}")
        raise typer.Exit


def _global(
    context: typer.Context,
    *,
    config: Config = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version
    context.obj = config


def whole() -> Any:
    """Return ``wakit`` with all its commands."""
    top = typer.Typer(
        name="wakit",
        help="Keep many WhatsApp sessions exactly as sessions.toml says.",
        epilog=_CODES,
        **_LOOK,
    )
    top.callback()(_global)
    group: Any = get_command(top)
    group.commands = _Commands()
    return group
