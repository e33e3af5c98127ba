"""Fleet keys from the environment and from a ``.env`` beside the file.

``WAKIT_RETIRE`` sets ``wakit.retire``, ``WAKIT_PACING__DIALS`` sets ``pacing.dials``. The process's environment wins
over ``.env``, which wins over the file, which wins over the defaults. pydantic-settings knows how names become keys;
this module gives it the variables (so that nothing reads ``os.environ`` behind the caller's back) and remembers where
each came from, because an error in a value must name the variable or the line that holds it.

Empty variables count as unset. ``.env`` may serve other programs too: only ``WAKIT_`` names in it are looked at, and
``${…}`` in values is not expanded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dotenv.parser import parse_stream

from wakit.declare.positions import KeyPath
from wakit.declare.problems import closest
from wakit.declare.schema import FLEET_TABLES
from wakit.declare.values import EnvText
from wakit.errors import DeclarationError, Location

PREFIX: Final = "WAKIT_"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable and where it stands."""

    name: str
    value: EnvText
    location: Location


@dataclass(slots=True)
class Variables:
    """What the environment says about the fleet.

    Attributes:
        settings: The raw values as a nested mapping, in the shape of ``FleetTables``.
        by_key: The variable each key came from, by path in the file (``("wakit", "retire")``).
        problems: Variables that were meant for us and cannot be used.
        warnings: Lines and names that are probably slips.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    by_key: dict[KeyPath, Variable] = field(default_factory=dict)
    problems: list[DeclarationError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_variables(environ: Mapping[str, str], dotenv: str | None, dotenv_display: str) -> Variables:
    r"""Gather the fleet's keys from the environment and the text of a ``.env``.

    Example:
        >>> found = read_variables({"WAKIT_PACING__DIALS": "2/s"}, "WAKIT_RETIRE=keep\n", ".env")
        >>> found.settings
        {'retire': 'keep', 'pacing': {'dials': '2/s'}}
        >>> str(found.by_key["wakit", "retire"].location)
        '.env:1'
    """
    result = Variables()
    chosen: dict[str, Variable] = {}
    for variable in _in_dotenv(dotenv or "", dotenv_display, result):
        chosen[variable.name] = variable
    for name, value in environ.items():
        if name.startswith(PREFIX) and value:
            chosen[name] = Variable(name, EnvText(value), Location(f"${name}"))
    known = _names()
    taken = {name: variable for name, variable in chosen.items() if name in known}
    for name, variable in chosen.items():
        if name not in known:
            _note_unknown(variable, known, result)
    result.by_key = {known[name]: variable for name, variable in taken.items()}
    if taken:
        from wakit.declare.variables import nested  # noqa: PLC0415 - pydantic-settings, only where it has something to do

        result.settings = nested({name: variable.value for name, variable in taken.items()})
    return result


def _names() -> dict[str, KeyPath]:
    return {
        f"{PREFIX}{'' if table == 'wakit' else table.upper() + '__'}{key.upper()}": (table, key)
        for table, model in FLEET_TABLES.items()
        for key in model.model_fields
    }


def _in_dotenv(text: str, display: str, result: Variables) -> Iterator[Variable]:
    for binding in parse_stream(io.StringIO(text)):
        # The parser counts the blank lines and comments before a binding as its own.
        lead = len(binding.original.string) - len(binding.original.string.lstrip())
        line = binding.original.line + binding.original.string.count("\n", 0, lead)
        if binding.error:
            result.warnings.append(f"{Location(display, line)}: this line is not NAME=value and is not used")
        elif binding.key is not None and binding.key.startswith(PREFIX) and binding.value:
            yield Variable(binding.key, EnvText(binding.value), Location(display, line))


def _note_unknown(variable: Variable, known: Mapping[str, KeyPath], result: Variables) -> None:
    table, mark, _ = variable.name.removeprefix(PREFIX).lower().partition("__")
    if table in FLEET_TABLES and (mark or table != "wakit"):
        own = [name for name, path in known.items() if path[0] == table]
        guess = closest(variable.name, [name.lower() for name in own]) if mark else None
        result.problems.append(
            DeclarationError(
                "unknown variable",
                location=variable.location,
                why=f"the table [{table}] has no such key" if mark else f"[{table}] is a table",
                hint=f"did you mean {guess.upper()}?"
                if guess
                else f"the keys of [{table}] are set by {', '.join(own)}",
            )
        )
    elif guess := closest(variable.name, [name.lower() for name in known], cutoff=0.85):
        # Other parts of wakit, and other programs, have variables of this prefix: only a near miss is worth a word.
        result.warnings.append(
            f"{variable.location}: {variable.name} is no setting of the fleet; did you mean {guess.upper()}?"
        )
