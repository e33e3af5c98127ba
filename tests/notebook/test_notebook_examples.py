"""Every example of a docstring runs, on a fleet of two that is served, and on a journal with a little in it."""

from __future__ import annotations

import asyncio
import doctest
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_notebook_history import journal, write
from test_notebook_magics import shell

import wakit
import wakit.notebook
from wakit.notebook.fleet import Fleet
from wakit.notebook.kept import KeptJournal, example_month

__all__ = ["journal", "shell"]

MODULES = sorted(found.name for found in pkgutil.walk_packages(wakit.notebook.__path__, "wakit.notebook."))
# What people call; everything public of it has an example.
PUBLIC = {"connect", "fleet", "session", "chronicle", "editing", "kept", "picture", "log"}
SELF_EVIDENT = {"Fleet.close", "Fleet.shutdown", "KeptJournal.close", "Picture.df", "Picture.pl"}


@pytest.fixture(scope="module")
def month() -> Iterator[KeptJournal]:
    with example_month() as month:
        yield month


@pytest.mark.parametrize("name", MODULES)
async def test_the_examples_run(
    name: str, fleet: Fleet, folder: Path, month: KeptJournal, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("journal")
    await write(folder, "starting", "connected")
    fleet.config.write_text('[wakit]\nstate_dir = "."\n\n[sessions.sales]\n\n[sessions.support]\n')
    given = {"wakit": wakit, "fleet": fleet, "journal": month, "folder": folder}
    if name.endswith(".magics"):
        given["shell"] = request.getfixturevalue("shell")
    module = import_module(name)

    done = await asyncio.to_thread(doctest.testmod, module, extraglobs=given)  # some run an event loop of their own
    assert done.failed == 0


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Everything of a module that people call: functions, classes, and the classes' own methods."""
    for name, found in vars(module).items():
        if name.startswith("_") or getattr(found, "__module__", None) != module.__name__:
            continue
        if isinstance(found, type) and issubclass(found, BaseException):
            continue
        if callable(found):
            yield name, found
        if isinstance(found, type):
            for member, value in vars(found).items():
                if not member.startswith("_") and callable(value):
                    yield f"{name}.{member}", value


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_what_people_call_has_an_example(name: str) -> None:
    module = import_module(f"wakit.notebook.{name}")
    without = {named for named, found in public(module) if ">>>" not in (found.__doc__ or "")}
    assert without <= SELF_EVIDENT
