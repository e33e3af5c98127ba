"""What the journal of a made-up month tells, as rows and as pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from wakit.errors import HeldError, JournalError, QueryError, UnknownSessionError
from wakit.notebook.chronicle import Chronicle
from wakit.notebook.kept import KeptJournal, example_month, read_journal
from wakit.notebook.picture import VEGA_LITE, Picture

TUESDAY = {"since": "2026-10-13", "until": "2026-10-14"}


@pytest.fixture(scope="module")
def month() -> Iterator[KeptJournal]:
    with example_month() as journal:
        yield journal


def spec(picture: Picture) -> dict[str, Any]:
    shown = picture._repr_mimebundle_()[VEGA_LITE]
    assert isinstance(shown, dict)
    return shown


def test_the_bad_tuesday_leads_to_its_commit(month: Chronicle) -> None:
    """What notebook 03 teaches: from the worst day to the commit, by questions alone."""
    (worst, sessions), *_ = month.sql(
        "SELECT day, count(*) FROM uptime_daily WHERE share < 0.96 AND session LIKE 'emea%' GROUP BY day "
        "ORDER BY 2 DESC, day"
    ).fetchall()
    assert (worst, sessions) == (date(2026, 10, 13), 5)
    lost = month.sql(
        "SELECT DISTINCT git_commit FROM incidents WHERE started_at::DATE = $day AND seconds > 600", {"day": worst}
    ).fetchall()
    ((commit,),) = lost
    edits = month.sql("SELECT git_commit, text FROM declarations ORDER BY rev").fetchall()
    assert [text.splitlines()[0] for made, text in edits if made == commit] == ["# emea: through the new proxy"]


def test_a_timeline_has_lanes_incidents_and_edits(month: Chronicle) -> None:
    picture = month.timeline("emea-1", "shop-2", **TUESDAY)
    rows = picture.arrow().to_pylist()
    assert {row["session"] for row in rows} == {"emea-1", "shop-2"}
    assert all(datetime(2026, 10, 13) <= row["from"] <= row["to"] <= datetime(2026, 10, 14) for row in rows)  # noqa: DTZ001
    shown = spec(picture)
    assert len(shown["datasets"]["spans"]) == len(rows) == len(picture)
    assert [edit["rev"] for edit in shown["datasets"]["edits"]] == [2, 3]
    assert any(each["session"] == "emea-1" for each in shown["datasets"]["troubles"])
    assert {"session", "reason"} <= {
        t["field"] for layer in shown["layer"] for t in layer["encoding"].get("tooltip", ())
    }
    assert shown["description"].startswith("Timeline since 2026-10-13 until 2026-10-14: a lane for each of 2 sessions")
    assert all(row["from"].endswith("Z") for row in shown["datasets"]["spans"]), "no browser may shift them"


def test_the_network_lost_at_night_is_a_band_over_all_lanes(month: Chronicle) -> None:
    (dark,) = spec(month.timeline(since="2026-10-04", until="2026-10-05"))["datasets"]["dark"]
    assert dark["sessions"] == 12
    assert dark["lasted"] == "37 min 55 s" or dark["lasted"].startswith(("37 min", "38 min"))


def test_uptime_has_a_square_for_each_day(month: Chronicle) -> None:
    rows = month.uptime("emea-3", since="2026-10-12", until="2026-10-15").arrow().to_pylist()
    assert [row["day"].day for row in rows] == [12, 13, 14, 15]
    assert rows[1]["share"] == pytest.approx(1 - 76 / 1440, abs=0.002)
    assert rows[1]["connected"] == "22 h 43 min"
    assert len(spec(month.uptime())["datasets"]["days"]) == len(month.uptime())


def test_every_loss_is_in_one_bar(month: Chronicle) -> None:
    picture = month.reconnects()
    (total,) = month.sql("SELECT count(*) FROM reconnects").fetchall()[0]
    assert sum(row["losses"] for row in picture.arrow().to_pylist()) == total > 0
    assert [row["lasted"] for row in picture.arrow().to_pylist()][-1] == "over 12 h"
    assert spec(picture)["datasets"]["losses"]


def test_the_funnel_only_narrows(month: Chronicle) -> None:
    rows = month.pairings().arrow().to_pylist()
    for method in ("qr", "code"):
        counts = [row["pairings"] for row in rows if row["method"] == method]
        assert len(counts) == 3
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] > 0
    assert spec(month.pairings())["datasets"]["steps"]


def test_times_are_understood_in_every_form(month: Chronicle) -> None:
    noon_in_madrid = datetime(2026, 10, 13, 12, tzinfo=timezone(timedelta(hours=2)))
    forms = ("2026-10-13T10:00", "2026-10-13T12:00+02:00", noon_in_madrid, noon_in_madrid.astimezone(UTC))
    found = {month.timeline(since=since).arrow().column("from")[0].as_py() for since in forms}
    assert found == {datetime(2026, 10, 13, 10)}  # noqa: DTZ001
    assert len(month.timeline(since=date(2026, 10, 13))) > len(month.timeline(since=noon_in_madrid))
    with pytest.raises(QueryError, match="no time"):
        month.timeline(since="last tuesday")
    with pytest.raises(QueryError, match="no span"):
        month.timeline(since="2026-10-14", until="2026-10-13")
    with pytest.raises(QueryError, match="no span"):
        month.timeline(since="2026-10-14", until="2026-10-14")
    assert len(month.uptime("shop-1", since="2026-10-14", until="2026-10-14")) == 1, "the last day counts"


@pytest.mark.parametrize("picture", ["timeline", "uptime", "reconnects", "pairings"])
def test_a_name_nobody_has_is_no_empty_picture(month: Chronicle, picture: str) -> None:
    with pytest.raises(UnknownSessionError) as caught:
        getattr(month, picture)("shop-1", "shpo-2")
    assert str(caught.value) == "No session is called 'shpo-2'"
    assert caught.value.hint.startswith("did you mean shop-2")


def test_without_altair_the_rows_stay_and_the_way_is_said(month: Chronicle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("wakit.notebook.picture.find_spec", lambda _: None)
    shown = month.uptime()._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    assert "pip install altair" in shown["text/plain"]
    assert len(month.uptime().arrow())


def test_a_kept_journal_is_read_and_let_go(month: KeptJournal, tmp_path: Path) -> None:
    assert "events of 12 sessions, 2026-09-28 to 2026-10-28" in repr(month)
    with pytest.raises(JournalError, match="no journal"):
        read_journal(tmp_path)
    (tmp_path / "journal.duckdb").write_bytes(b"no database at all")
    with pytest.raises(JournalError):
        read_journal(tmp_path)


async def test_a_daemons_journal_is_not_taken_from_it(tmp_path: Path) -> None:
    from wakit.journal import Journal  # noqa: PLC0415

    async with Journal.open(tmp_path / "journal.duckdb"):
        with pytest.raises(HeldError):
            read_journal(tmp_path)
    with read_journal(tmp_path) as journal:
        assert journal.events().fetchall() == []
        assert "nothing yet" in repr(journal)
