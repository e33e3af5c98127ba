from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from served_fleet import ServedFleet

from wakit.core.declaration import Declaration
from wakit.declare import edit, load
from wakit.errors import DeclarationError
from wakit.notebook import declaring
from wakit.notebook.fleet import Fleet

BEFORE = "# the team's sessions\n[sessions.sales]  # the desk\n\n[sessions.support]\n"


@pytest.fixture
def file(folder: Path, fleet: Fleet) -> Path:
    fleet.config.write_text(BEFORE)
    return fleet.config


def parse_text(file: Path, text: str) -> Declaration:
    """Load the file as it would be."""
    beside = file.with_name("other.toml")
    beside.write_text(text)
    return load(beside, git=False)


def in_force(served: ServedFleet, fleet: Fleet, **declaration: Any) -> None:
    """Let the daemon say what it thinks of the file, and the live connection hear it."""
    said = served.fake.daemon.declaration.model_copy(update=declaration)
    served.do(lambda fake: fake.change_daemon(declaration=said))
    fleet._link.when(lambda now: now.daemon is not None and now.daemon.declaration == said, 10).result()


def test_dry_run_says_the_plan_and_the_difference_and_saves_nothing(fleet: Fleet, file: Path) -> None:
    said = fleet.declare("fieldwork", dry_run=True, labels={"team": "emea"})
    assert said.standing == "not saved"
    assert said.plan == ("+ create fieldwork: declared, never paired",)
    assert "+[sessions.fieldwork]" in said.diff
    assert file.read_text() == BEFORE
    assert "sessions.toml: not saved" in repr(said)


def test_declaring_saves_and_waits_for_the_daemon(fleet: Fleet, file: Path, served: ServedFleet) -> None:
    result = edit.declare(file, "fieldwork", dry_run=True)
    in_force(served, fleet, sha256=result.declaration.sha256, rev=4)
    said = fleet.declare("fieldwork")
    assert (said.standing, said.note) == ("in force", "revision 4")
    assert file.read_text().startswith(BEFORE.rstrip("\n"))
    assert "[sessions.fieldwork]" in file.read_text()


def test_what_changes_nothing_is_unchanged(fleet: Fleet, file: Path) -> None:
    fleet.config.write_text('[sessions.sales]\npairing = "qr"\n[sessions.support]\n')
    assert fleet.declare("sales", pairing="qr").standing == "unchanged"


def test_retiring_says_what_becomes_of_the_credential(fleet: Fleet, file: Path) -> None:
    said = fleet.retire("support", dry_run=True)
    assert said.plan[0].startswith("- retire support: no longer in the file")
    with pytest.raises(DeclarationError):
        fleet.retire("nobody")


def test_what_was_retired_comes_back_from_the_archive(fleet: Fleet, file: Path, folder: Path) -> None:
    (folder / "archive" / "fieldwork" / "20261129T120000Z").mkdir(parents=True)
    said = fleet.declare("fieldwork", dry_run=True)
    assert said.plan == ("+ revive fieldwork: declared again; its archived credential is taken back",)


def test_parking_is_seen_before_it_happens(fleet: Fleet, file: Path) -> None:
    said = fleet.declare("sales", dry_run=True, enabled=False)
    assert said.plan == ("- park sales: enabled = false",)


def test_a_change_that_is_live_needs_no_action(fleet: Fleet, file: Path) -> None:
    assert fleet.declare("sales", dry_run=True, labels={"a": "b"}).plan == ()


def test_what_would_not_load_is_refused_and_the_file_left(fleet: Fleet, file: Path) -> None:
    with pytest.raises(DeclarationError):
        fleet.declare("sales", pairing="smoke")
    assert file.read_text() == BEFORE


def test_a_daemon_that_is_silent_is_told(
    fleet: Fleet, file: Path, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declaring, "_PATIENCE", 0.05)
    said = fleet.declare("one")
    assert said.standing == "saved"
    assert "has not taken it up" in said.note


def test_a_daemon_that_refuses_is_told(
    fleet: Fleet, file: Path, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare = edit.declare

    def declare_and_be_refused(*given: Any, **more: Any) -> edit.Edit:
        done = declare(*given, **more)
        if not more["dry_run"]:
            in_force(served, fleet, error="the folder went away")
        return done

    monkeypatch.setattr(declaring.edit, "declare", declare_and_be_refused)
    said = fleet.declare("two")
    assert (said.standing, said.note) == ("refused", "the folder went away")


def test_the_file_can_be_edited_while_no_daemon_runs(folder: Path) -> None:
    served = ServedFleet(folder, "sales")
    (folder / "sessions.toml").write_text(BEFORE)
    with served.up():
        fleet = Fleet(folder / "sessions.toml", folder)
    with fleet:
        fleet._link.when(lambda now: not now.reachable, 10).result()
        said = fleet.declare("fieldwork")
        assert said.standing == "saved"
        assert "no daemon runs" in said.note


def test_diff_shows_no_number(fleet: Fleet, file: Path) -> None:
    said = fleet.declare("sales", dry_run=True, phone="+447700900123", pairing="code")
    assert "7700900123" not in repr(said) + said._repr_html_()


def test_renaming_notes_the_old_name_and_keeps_the_rest(fleet: Fleet, file: Path) -> None:
    said = fleet.rename("sales", "shop", dry_run=True)
    assert said.plan == ("~ rename shop from sales: renamed_from = 'sales'",)
    assert "-[sessions.sales]" in said.diff
    assert '+renamed_from = "sales"' in said.diff
    assert file.read_text() == BEFORE
    with pytest.raises(DeclarationError, match="already declared"):
        fleet.rename("sales", "support")
    with pytest.raises(DeclarationError, match="no session of that name"):
        fleet.rename("nobody", "shop")


def test_a_hold_comes_with_what_ends_it(fleet: Fleet, file: Path) -> None:
    """Taking both away is more than the guard lets pass; said before it is done."""
    file.write_text("[wakit]\nretire_guard = 0.4\n\n[sessions.sales]\n\n[sessions.support]\n\n[sessions.third]\n")
    said = declaring.consequences(
        load(file, git=False), parse_text(file, "[wakit]\nretire_guard = 0.4\n\n[sessions.third]\n"),
        fleet._link.snapshot, datetime.now(UTC),
    )  # fmt: skip
    assert [line[:7] for line in said] == ["! hold ", "! hold ", "hint: m"]
    assert "wakit apply --confirm" in said[-1]


def test_in_a_notebook_the_plan_is_shown_before_the_file_is_saved(
    fleet: Fleet, file: Path, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = edit.declare(file, "fieldwork", dry_run=True)
    in_force(served, fleet, sha256=result.declaration.sha256, rev=4)
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(declaring, "running_kernel", object)
    monkeypatch.setattr(declaring, "running_cell", lambda: 7)
    monkeypatch.setattr(declaring, "show", lambda text, html: shown.append((text.splitlines()[0], file.read_text())))
    said = fleet.declare("fieldwork")
    before, after = shown
    assert before == ("+ create fieldwork: declared, never paired", BEFORE)
    assert after == ("sessions.toml: in force (revision 4)", file.read_text())
    said._ipython_display_()  # as the value of the same cell it is not shown again
    assert len(shown) == 2
    said._ipython_display_()  # asked for once more it is
    assert len(shown) == 3
    monkeypatch.setattr(declaring, "running_cell", lambda: 8)
    again = fleet.declare("fieldwork", dry_run=True)
    assert len(shown) == 3
    again._ipython_display_()
    assert len(shown) == 4


def test_what_is_shown_can_be_read_aloud(fleet: Fleet, file: Path) -> None:
    html = fleet.declare("sales", dry_run=True, labels={"a": "<b>"}, enabled=False)._repr_html_()
    assert '<ul aria-label="Plan"' in html
    assert "<li>- park sales: enabled = false</li>" in html
    assert '<pre aria-label="Difference of sessions.toml">' in html
    assert "<b>" not in html
    assert html.endswith("<p>sessions.toml: not saved</p>")
