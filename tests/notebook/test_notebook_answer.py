"""What ``sql()`` gives: a DuckDB relation, clear when it goes wrong, and joined with whatever the notebook has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from wakit.errors import MissingExtraError, QueryError
from wakit.notebook.answer import Answer
from wakit.notebook.kept import KeptJournal, example_month

READINGS: dict[str, Callable[[Answer], Any]] = {
    "fetchall": Answer.fetchall,
    "to_dicts": Answer.to_dicts,
    "arrow": Answer.arrow,
    "to_arrow_reader": lambda answer: answer.to_arrow_reader().read_all(),
    "pl": Answer.pl,
    "repr": repr,
    "show": Answer.show,
    "displayed": lambda answer: answer._repr_mimebundle_(),
    "materialize": Answer.materialize,
}


@pytest.fixture(scope="module")
def month() -> Iterator[KeptJournal]:
    with example_month() as month:
        yield month


def test_it_is_a_relation_and_every_kind_of_frame(month: KeptJournal) -> None:
    answer = month.sql("SELECT session, state FROM sessions_now ORDER BY session")
    assert isinstance(answer, duckdb.DuckDBPyRelation)
    assert isinstance(answer.arrow(), pa.Table)
    assert isinstance(answer.pl(), pl.DataFrame)
    rows = answer.fetchall()
    assert rows == list(answer.pl().iter_rows()) == [tuple(row.values()) for row in answer.arrow().to_pylist()]
    assert answer.filter("session = 'shop-1'").fetchall() == [row for row in rows if row[0] == "shop-1"]


@pytest.mark.parametrize("reading", READINGS)
def test_a_mistake_that_shows_in_the_rows_is_two_lines_at_every_reading(month: KeptJournal, reading: str) -> None:
    answer = month.sql("SELECT\n  reason::INT FROM events")
    with pytest.raises(QueryError) as caught:
        READINGS[reading](answer)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    (line,) = caught.value._render_traceback_()
    assert line.startswith("error: The query is wrong (Conversion Error): Could not convert string")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("query", "why", "hint"),
    [
        ("SELECT nonsense FROM events", 'Referenced column "nonsense" not found', "DESCRIBE events"),
        ("FROM evnets", "Table with name evnets does not exist", "SHOW TABLES"),
        ("SELEC 1", "syntax error", ""),
        ("", "gives no rows", "SELECT"),
        ("FROM number", "the variable of that name is of type int", "a frame is"),
    ],
)
def test_a_mistake_in_the_query_is_two_lines(month: KeptJournal, query: str, why: str, hint: str) -> None:
    number = 3
    with pytest.raises(QueryError) as caught:
        month.sql(query)
    assert why in caught.value.why
    assert hint in caught.value.hint
    assert number == 3


def test_a_closed_journal_says_so() -> None:
    with example_month() as month:
        answer = month.events()
    with pytest.raises(QueryError, match="was closed"):
        answer.fetchall()


def test_a_frame_of_the_cell_is_found_by_its_name_whatever_that_is(month: KeptJournal) -> None:
    """``query``, ``params`` and ``names`` are names inside wakit, too: the user's are meant."""
    query = pl.DataFrame({"session": ["shop-1", "shop-2"], "owner": ["Mei", "Mei"]})
    params = pa.table({"session": ["shop-1"]})
    names = month.sql("SELECT DISTINCT session FROM incidents WHERE session LIKE 'shop%' ORDER BY ALL")
    joined = month.sql("SELECT DISTINCT owner FROM names JOIN query USING (session) JOIN params USING (session)")
    assert joined.fetchall() == [("Mei",)]
    assert [len(month.sql("FROM query")) for _ in range(1)] == [2]  # a comprehension has a frame of its own
    assert (query.height, params.num_rows, len(names)) == (2, 1, len(names))


def test_the_journals_own_names_come_first(month: KeptJournal) -> None:
    events = pa.table({"nothing": [1]})
    assert "seq" in month.sql("FROM events").columns
    assert events.num_rows == 1


def test_frames_can_be_given(month: KeptJournal) -> None:
    teams = {"teams": pa.table({"team": ["shop"]})}
    assert month.sql("FROM teams", names=teams).fetchall() == [("shop",)]
    with pytest.raises(QueryError):
        month.sql("FROM teams", names={})


def test_an_answer_is_read_anew_and_can_be_kept(month: KeptJournal) -> None:
    counted = month.sql("SELECT count(*) AS n FROM events WHERE kind = 'state'")
    kept = counted.materialize()
    assert kept.fetchall() == counted.fetchall() == counted.fetchall()


def test_its_table_can_be_walked_through(month: KeptJournal) -> None:
    few = month.sql("SELECT '<b>' AS \"<i>\"")._repr_mimebundle_()
    assert '<caption style="text-align:left">1 row</caption>' in few["text/html"]
    assert '<th scope="col">&lt;i&gt;' in few["text/html"]
    assert "<td>&lt;b&gt;</td>" in few["text/html"]
    many = month.sql("FROM range(12)")._repr_mimebundle_()["text/html"]
    assert ">12 rows, the first 10 of them</caption>" in many
    assert many.count("<tr>") == 11
    assert ">no rows</caption>" in month.sql("FROM events WHERE seq < 0")._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("hidden", "reading"),
    [("pandas", "df"), ("pandas", "to_df"), ("numpy", "df"), ("numpy", "fetchnumpy"), ("polars", "pl")],
)
def test_a_missing_library_is_one_line_that_installs_it(
    month: KeptJournal, monkeypatch: pytest.MonkeyPatch, hidden: str, reading: str
) -> None:
    monkeypatch.setitem(sys.modules, hidden, None)
    for rows in (month.sql("SELECT 1 AS a"), *([month.uptime()] if reading in {"df", "pl"} else [])):
        with pytest.raises(MissingExtraError) as caught:
            getattr(rows, reading)()
        error, hint = caught.value._render_traceback_()
        library = {"df": "pandas", "to_df": "pandas", "fetchnumpy": "numpy", "pl": "polars"}[reading]
        assert error == f"error: `.{reading}()` needs {library}: it is not installed"
        assert f"`pip install {library}`" in hint
    assert month.sql("SELECT 1 AS a").arrow().num_rows == 1


def test_a_script_needs_no_optional_library() -> None:
    program = """
import sys
for hidden in ("IPython", "ipykernel", "pandas", "polars", "altair", "numpy", "ipywidgets", "anywidget"):
    sys.modules[hidden] = None
import wakit
with wakit.example_month() as month:
    print(month.sql("SELECT count(DISTINCT session) FROM events").fetchall(), len(month.uptime()))
    print(month.uptime()._repr_mimebundle_()["text/plain"].splitlines()[-1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (
        ["[(12,)] 372", "Pictures need Altair; `pip install altair`; `.arrow()` works without"],
        "",
    )
