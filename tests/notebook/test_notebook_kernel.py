"""A real kernel: what a cell shows, what a mistake says, and what Tab offers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from served_fleet import ServedFleet
from test_notebook_history import journal, write

__all__ = ["journal"]

ATTACH = """
from pathlib import Path
from wakit.notebook import declaring
from wakit.notebook.fleet import Fleet
declaring._PATIENCE = 0.05  # the fake daemon never takes the file up
folder = Path({folder!r})
fleet = Fleet(folder / "sessions.toml", folder)
"""
MISTAKES = {
    'fleet["sailes"]': ["error: No session is called 'sailes'", "hint: did you mean sales?"],
    "fleet.timeline('sailes')": ["error: No session is called 'sailes'", "hint: did you mean sales?"],
    "fleet.sql('SELECT x FROM events')": ["error: The query is wrong (Binder Error): ", "hint: `DESCRIBE events`"],
    "fleet.sql('SELECT kind::INT FROM events')": ["error: The query is wrong (Conversion Error): "],
    "fleet.sql('SELECT 1').df()": ["error: `.df()` needs pandas: it is not installed", "hint: `pip install pandas`"],
    "fleet.timeline(since='tuesday')": ["error: That is no time: 'tuesday' is no ISO date", "hint: for example"],
    'await fleet["sales"].wait("conected")': ["error: conected is no state of a session", "hint: one of banned,"],
    'fleet.declare("sales", pairng="qr")': ["error: ", "hint: "],
    'fleet.retire("suport")': ["error: ", "hint: did you mean support?"],
    'fleet.rename("nobody", "x")': ["error: ", "hint: declared are one, sales"],
    "import wakit; wakit.connect('/nowhere')": ["error: ", "hint: "],
}


@pytest.fixture
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{kind}_DIR", str(folder / kind.lower()))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))


def ran(*cells: str) -> list[Any]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    return [cell["outputs"] for cell in notebook["cells"]]


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("environment")
def test_a_cell_shows_what_it_should_and_a_mistake_is_two_lines(
    served: ServedFleet, folder: Path, journal: Path
) -> None:
    asyncio.run(write(folder, "starting", "connected"))
    (folder / "sessions.toml").write_text("[sessions.sales]\n\n[sessions.support]\n")
    attached, declared, hidden, kept, later, *mistakes, _ = ran(
        ATTACH.format(folder=str(folder)),
        'fleet.declare("one")',
        'said = fleet.declare("two")\nprint("done")',
        'fleet.declare("three", dry_run=True)',
        "said",
        "import sys; sys.modules['pandas'] = None",
        *MISTAKES,
        "fleet.close()",
    )
    assert attached == []
    assert [output["output_type"] for output in declared] == ["display_data", "display_data"], "and not once more"
    assert declared[0]["data"]["text/plain"].startswith("+ create one: declared, never paired")
    assert declared[1]["data"]["text/plain"].startswith("sessions.toml: saved")
    assert [output["output_type"] for output in hidden] == ["display_data", "display_data", "stream"]
    assert len(kept) == len(later) == 1
    assert kept[0]["data"]["text/plain"].endswith("sessions.toml: not saved")
    assert later[0]["data"]["text/plain"].startswith("+ create two")
    del mistakes[0]  # the cell that hides pandas
    for source, outputs in zip(MISTAKES, mistakes, strict=True):
        lines = "\n".join(outputs[-1]["traceback"]).splitlines()
        assert len(lines) == len(MISTAKES[source]), (source, lines)
        assert all(line.startswith(start) for line, start in zip(lines, MISTAKES[source], strict=True)), lines
