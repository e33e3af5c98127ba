"""Which board is shown where: one a kernel, and in marimo one a cell."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from wakit.notebook.boards import Boards
from wakit.notebook.kernel import as_cell, kernel_loop, marimo_cell


class FakeBoard:
    def __init__(self) -> None:
        self.comm: Any = SimpleNamespace(_closed=False)
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand in for marimo, with a cell that runs."""
    here = SimpleNamespace(cell_id="Hbol", with_cell_id=lambda cell: cell)
    marimo, context = ModuleType("marimo"), ModuleType("marimo._runtime.context")
    marimo.running_in_notebook = lambda: True  # type: ignore[attr-defined]
    context.get_context = lambda: here  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    monkeypatch.setitem(sys.modules, "marimo._runtime.context", context)
    return here


def test_one_board_for_each_kernel(cell: SimpleNamespace) -> None:
    boards = Boards(FakeBoard)  # type: ignore[arg-type]

    async def here() -> Any:
        return boards.here(), boards.here()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        mine, again = first.run(here())
        other, _ = second.run(here())
        assert mine is again
        assert mine is not other
    assert not other.closed
    third, _ = asyncio.run(here())
    assert mine.closed  # their kernels have ended
    assert other.closed
    assert not third.closed
    boards.close()
    assert third.closed


async def test_a_cell_that_runs_again_gets_a_new_board_and_others_keep_theirs(cell: SimpleNamespace) -> None:
    boards = Boards(FakeBoard)  # type: ignore[arg-type]
    first: Any = boards.here()
    cell.cell_id = "MJUe"
    second: Any = boards.here()
    assert first is not second
    first.comm._closed = True  # as marimo does, telling nobody
    cell.cell_id = "Hbol"
    assert boards.here() is not first
    assert first.closed
    cell.cell_id = "MJUe"
    assert boards.here() is second


async def test_marimo_is_found_without_importing_it(cell: SimpleNamespace) -> None:
    assert kernel_loop() is asyncio.get_running_loop()
    assert marimo_cell() == "Hbol"
    assert as_cell("MJUe") == "MJUe"
    del cell.with_cell_id  # a marimo that calls it otherwise
    with as_cell("MJUe"):
        pass


def test_in_a_script_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "marimo", ModuleType("marimo"))  # as it is while it imports itself
    assert kernel_loop() is None
    assert marimo_cell() is None
