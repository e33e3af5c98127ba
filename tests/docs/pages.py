"""What the tests of pages read out of them: tables, fenced blocks, commands in backticks."""

from __future__ import annotations

import re
from pathlib import Path

from wakit.cli.app import whole

DOCS = Path(__file__).parents[2] / "docs"
_COMMAND = re.compile(r"`wakit ([^`]+)`")


def tables(text: str) -> dict[str, list[list[str]]]:
    """The rows of each table, by the first cell of its head; tables with the same head are one."""
    found: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        found.setdefault(head[0], []).extend(rows)
    return found


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def names(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def commands(text: str) -> set[str]:
    """The commands in backticks, without ``wakit``."""
    return {" ".join(each.split()) for each in _COMMAND.findall(text)}


def why_not_a_command(line: str) -> str:
    """Say what is wrong with a command that a page names, or ""."""
    name, *words = line.split()
    command = whole().commands.get(name)
    if command is None:
        return f"there is no `wakit {name}`"
    known = {"-c", "--config", "-h", "--help"}.union(
        *(option.opts + option.secondary_opts for option in command.params)
    )
    unknown = [word for word in words if word.startswith("-") and word not in known]
    return f"`wakit {name}` does not know {unknown[0]}" if unknown else ""
