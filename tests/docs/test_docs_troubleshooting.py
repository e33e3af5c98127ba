"""docs/troubleshooting.md: no state is missing, what it quotes is said, and what the code advises is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import DOCS, commands, tables, why_not_a_command

import wakit
from wakit.core.lifecycle import RECOVERY, Recovery, State

PAGE = (DOCS / "troubleshooting.md").read_text("utf-8")
ROWS = tables(PAGE)
CODE = Path(wakit.__file__).parent
# Where sentences are made that stand in a session's reason, in a hold's hint, or below the table of `wakit status`.
ADVISERS = [
    *("core/remedies", "core/planner", "core/restarts", "core/breaker"),
    *("reconciler/verdicts", "reconciler/reports", "reconciler/retiring"),
    *("vault/folder", "vault/recovery", "vault/use"),
]


def sentences(path: Path) -> Iterator[str]:
    """The texts in a module; a placeholder is NAME."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_state_has_its_row() -> None:
    first = [row for row in ROWS["it says"] if row[0] in {f"`{state}`" for state in State}]
    assert [row[0].strip("`") for row in first] == list(State)
    for cell, meaning, what in first:
        assert meaning
        if RECOVERY[State(cell.strip("`"))] is Recovery.PERSON:
            assert commands(what), f"{cell} waits for a person: with which command?"


@pytest.mark.parametrize("line", sorted(commands(PAGE)))
def test_every_command_in_it_exists(line: str) -> None:
    assert not why_not_a_command(line)


@pytest.mark.parametrize("module", ADVISERS)
def test_what_the_code_advises_is_in_it(module: str) -> None:
    advised = set().union(*map(commands, sentences(CODE / f"{module}.py")))
    # The reason of an outdated session says what the upgrade's page says at length.
    told = commands(PAGE) | commands((DOCS / "operating.md").read_text("utf-8"))
    missing = {line for line in advised if not any(each.startswith(line) for each in told)}
    assert not missing


def test_what_it_quotes_is_what_people_are_told() -> None:
    said = "\n".join(text for path in CODE.rglob("*.py") for text in sentences(path))
    quoted = [
        text for key in ("the reason says", "it says") for row in ROWS[key] for text in re.findall(r'"([^"]+)"', row[0])
    ]
    assert len(quoted) > 20
    for text in quoted:
        for part in text.split("…"):
            assert part.strip(" ',") in said, text


def test_held_reasons_are_all_there() -> None:
    """Each cause of a hold that the planner has: what its functions return, and the page quotes."""
    planner = ast.parse((CODE / "core" / "planner.py").read_text("utf-8"))
    returned = [
        ast.unparse(node.value)
        for function in planner.body
        if isinstance(function, ast.FunctionDef) and function.name in {"_objection", "_refusal", "_linked_as"}
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr | ast.Constant)
    ]
    causes = [text for text in returned if text != "None"]
    assert len(causes) > 4
    quoted = [
        part.strip(" '")
        for row in ROWS["it says"]
        for text in re.findall(r'"([^"]+)"', row[0])
        for part in text.split("…")
    ]
    for cause in causes:
        assert any(part and part in cause for part in quoted), cause
