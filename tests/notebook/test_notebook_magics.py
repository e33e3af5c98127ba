"""``%wakit`` in a real shell, on a fleet that is served."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from test_notebook_history import journal, write

from wakit.notebook.fleet import Fleet

__all__ = ["journal"]


@pytest.fixture
def shell(fleet: Fleet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    shell = InteractiveShell()
    try:
        shell.run_line_magic("load_ext", "wakit")
        shell.user_ns["fleet"] = fleet
        yield shell
    finally:
        atexit.unregister(shell.atexit_operations)
        shell.atexit_operations()


def run(shell: InteractiveShell, line: str) -> Any:
    return shell.run_line_magic("wakit", line)


def test_the_notebooks_own_fleet_is_taken(shell: InteractiveShell, fleet: Fleet) -> None:
    assert run(shell, "") is fleet
    assert run(shell, "status") is fleet
    assert "Nothing to do" in repr(run(shell, "plan"))


def test_orders_reach_the_session(shell: InteractiveShell, fleet: Fleet) -> None:
    assert run(shell, "park sales").name == "sales"
    assert run(shell, "pair sales").session == "sales"


async def test_pictures(shell: InteractiveShell, journal: Path) -> None:
    await write(journal, "starting", "connected")
    assert run(shell, "timeline sales").title == "Timeline"
    assert run(shell, "uptime").title == "Uptime"
    assert run(shell, "reconnects sales").title == "Reconnections"
    assert run(shell, "pairings").title == "Pairings"
    assert len(run(shell, "events sales")) == 2


async def test_questions(shell: InteractiveShell, journal: Path) -> None:
    await write(journal, "starting", "connected")
    assert run(shell, "sql SELECT count(*) FROM events").fetchall() == [(2,)]
    answer = shell.run_cell_magic("wakit", "sql --out states", "SELECT state_to\nFROM events ORDER BY seq")
    assert answer.fetchall() == [("starting",), ("connected",)]
    assert shell.user_ns["states"] is answer
    shell.user_ns["owners"] = pa.table({"state_to": ["starting"], "owner": ["Ana"]})
    joined = shell.run_cell_magic("wakit", "sql", "SELECT owner FROM states JOIN owners USING (state_to)")
    assert joined.fetchall() == [("Ana",)]
    assert run(shell, "sql SELECT owner FROM owners").fetchall() == [("Ana",)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "does not know 'nonsense'"),
        ("pair", "about one session"),
        ("pair sales support", "about one session"),
        ("pair sailes", "did you mean sales?"),
        ("sql SELEC 1", "The query is wrong"),
        ("sql", "needs a query"),
        ("timeline sailes", "did you mean sales?"),
        ("pair 'sales", "cannot be read: no closing quotation"),
    ],
)
async def test_a_mistake_is_said_in_words(shell: InteractiveShell, journal: Path, line: str, says: str) -> None:
    await write(journal, "starting")
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        run(shell, line)


def test_a_cell_is_for_sql(shell: InteractiveShell) -> None:
    with pytest.raises(UsageError, match="knows `sql` only"):
        shell.run_cell_magic("wakit", "plan", "SELECT 1")
    with pytest.raises(UsageError, match="cannot be a variable"):
        shell.run_cell_magic("wakit", "sql --out a-b", "SELECT 1")
    with pytest.raises(UsageError, match="--out NAME"):
        shell.run_cell_magic("wakit", "sql --put x", "SELECT 1")


def test_help_lists_every_word(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    from wakit.notebook.magics import WORDS  # noqa: PLC0415 - needs IPython

    run(shell, "help")
    told = capsys.readouterr().out
    for word in WORDS:
        assert word in {"help", "status"} or word in told


def test_words_and_names_are_completed(shell: InteractiveShell) -> None:
    def completed(line: str) -> set[str]:
        with provisionalcompleter():  # IPython's word for "may change"; it is what a kernel calls
            return {found.text for found in shell.Completer.completions(line, len(line))}

    assert {"pair", "timeline"} <= completed("%wakit ")
    assert "sales" in completed("%wakit pair sa")
    assert {"sales", "support"} <= completed("%wakit timeline sales s")
    assert {"sales", "support"} <= completed('fleet["')
    assert "sales" in completed('fleet["sa')
    del shell.user_ns["fleet"]
    assert "sales" not in completed("%wakit pair sa")  # completing connects to nothing
