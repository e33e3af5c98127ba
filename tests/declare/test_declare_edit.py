"""Edits, seen in the file: what changes, what does not, and what is refused."""

# ruff: noqa: PT017 - an edit of an unusual layout may be refused, and then must have changed nothing

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from wakit.declare import DeclarationErrors, edit, load, rewriting
from wakit.declare.starter import write_starter

TEXT = """\
# the fleet's file

[wakit]
retire = "keep"  # never lose one

# the desk
[sessions.support]
enabled = true   # on since May

# about sales
[sessions.sales]
phone = "+34600000001"
pairing = 'code'

[sessions.sales.labels]
team = "emea"

# the end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "sessions.toml"
    file.write_text(TEXT)
    return file


def test_a_new_session_stands_below_the_last(file: Path) -> None:
    done = edit.declare(file, "lab", phone="+34600000002", pairing="code", labels={"a b".replace(" ", "-"): "x"})
    assert file.read_text() == TEXT.replace(
        'team = "emea"\n',
        'team = "emea"\n\n[sessions.lab]\nphone = "+34600000002"\npairing = "code"\nlabels = {a-b = "x"}\n',
    )
    assert done.changed
    assert list(done.declaration.sessions) == ["support", "sales", "lab"]
    assert '+phone = "+34•••02"' in done.diff
    assert "600000002" not in done.diff


def test_keys_change_in_place_and_keep_their_comments(file: Path) -> None:
    edit.set_enabled(file, "support", False)
    assert file.read_text() == TEXT.replace("enabled = true ", "enabled = false ")


def test_a_new_key_stands_below_the_last_of_its_table(file: Path) -> None:
    edit.set_enabled(file, "sales", False)
    assert file.read_text() == TEXT.replace("pairing = 'code'\n", "pairing = 'code'\nenabled = false\n")


def test_a_key_is_removed_with_its_line(file: Path) -> None:
    edit.declare(file, "support", enabled=None, device_name=None)
    assert file.read_text() == TEXT.replace("enabled = true   # on since May\n", "")


def test_nothing_to_do_writes_nothing(file: Path) -> None:
    before = file.stat().st_mtime_ns
    done = edit.set_enabled(file, "support", True)
    assert (done.changed, done.diff, file.stat().st_mtime_ns) == (False, "", before)


def test_retiring_takes_the_table_what_is_below_it_and_its_comment(file: Path) -> None:
    edit.retire(file, "sales")
    start, end = TEXT.index("# about sales"), TEXT.index("# the end")
    assert file.read_text() == TEXT[:start] + TEXT[end:]


def test_retiring_the_last_session_leaves_a_file_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "sessions.toml"
    file.write_text("# head\n\n[sessions.a]\n")
    done = edit.retire(file, "a")
    assert not done.declaration.sessions
    assert file.read_text() == "# head\n\n[sessions]\n"
    edit.declare(file, "b")
    assert list(load(file, environ={}).sessions) == ["b"]


def test_renaming_notes_the_former_name(file: Path) -> None:
    done = edit.rename(file, "sales", "ventas")
    text = TEXT.replace("[sessions.sales", "[sessions.ventas")
    assert file.read_text() == text.replace("'code'\n", "'code'\nrenamed_from = \"sales\"\n")
    assert done.declaration.sessions["ventas"].renamed_from == "sales"
    edit.rename(file, "ventas", "sales")
    assert load(file, environ={}).sessions["sales"].renamed_from == "ventas"


@pytest.mark.parametrize(
    "text",
    [
        "sessions = { a = { enabled = true }, b = {} }  # inline\n",
        "[sessions]\na = { enabled = true }  # inline\nb = {}\n",
        "[sessions]\na.enabled = true\nb.enabled = true\n",
        "sessions.a.enabled = true\nsessions.b.enabled = true\n",
        "[sessions.a]\nenabled = true\n[pacing]\npairings = 2\n[sessions.b]\n[vault]\nkeep = 3\n",
    ],
)
def test_other_layouts_are_edited_rightly_or_not_at_all(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sessions.toml"
    edits = {
        "declare": lambda: edit.declare(file, "c", labels={"x": "y"}),
        "change": lambda: edit.declare(file, "a", device_name="Desk"),
        "park": lambda: edit.set_enabled(file, "a", False),
        "retire": lambda: edit.retire(file, "a"),
        "rename": lambda: edit.rename(file, "a", "z"),
    }
    done = set()
    for name, carry_out in edits.items():
        file.write_text(text)
        try:
            declaration = carry_out().declaration
        except DeclarationErrors as error:
            assert "layout" in str(error)
            assert file.read_text() == text
            continue
        done.add(name)
        expected = {"declare": ["a", "b", "c"], "retire": ["b"], "rename": ["b", "z"]}.get(name, ["a", "b"])
        assert sorted(declaration.sessions) == expected
        # A comment behind a session's own line goes with the session, and with nothing else.
        assert "# inline" in file.read_text() or "# inline" not in text or name == "retire"
    assert {"declare", "park"} <= done


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: edit.declare(file, "sales", phone="nonsense"), "this is not a phone number"),
        (lambda file: edit.declare(file, "../up"), "this cannot be a session's name"),
        (lambda file: edit.declare(file, "lab", phone="+34 600 000 001"), "two sessions have the same phone"),
        (lambda file: edit.declare(file, "sales", phone=None), "needs a phone"),
        (lambda file: edit.declare(file, "lab", colour="red"), "unknown key"),
        (lambda file: edit.retire(file, "lab"), "no session of that name"),
        (lambda file: edit.rename(file, "support", "sales"), "already declared"),
        (lambda file: edit.rename(file, "support", "A"), "this cannot be a session's name"),
        (lambda file: edit.set_enabled(file, "lab", True), "no session of that name"),
    ],
)
def test_what_would_not_load_is_not_written(file: Path, change, message: str) -> None:
    with pytest.raises(DeclarationErrors, match=message):
        change(file)
    assert file.read_text() == TEXT
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_dry_run_shows_and_writes_nothing(file: Path) -> None:
    done = edit.retire(file, "sales", dry_run=True)
    assert done.changed
    assert "-[sessions.sales]" in done.diff
    assert file.read_text() == TEXT


def test_mode_links_and_line_ends_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "real.toml"
    target.write_bytes(b"\xef\xbb\xbf[sessions.a]\r\nenabled = true\r\n")
    target.chmod(0o640)
    link = tmp_path / "sessions.toml"
    link.symlink_to(target.name)
    edit.declare(link, "b", enabled=False)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.read_bytes() == (
        b"\xef\xbb\xbf[sessions.a]\r\nenabled = true\r\n\r\n[sessions.b]\r\nenabled = false\r\n"
    )


def test_a_broken_file_is_not_edited(file: Path) -> None:
    file.write_text("[sessions.a\n")
    with pytest.raises(DeclarationErrors, match=":1:12: this is not TOML"):
        edit.declare(file, "b")


def test_a_file_that_cannot_be_replaced_is_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeclarationErrors, match="cannot be written: no space left on device"):
        edit.retire(file, "sales")
    assert file.read_text() == TEXT
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_edits_at_the_same_time_are_all_kept(file: Path) -> None:
    start = threading.Barrier(4)

    def add(number: int) -> None:
        start.wait()
        for turn in range(3):
            edit.declare(file, f"s{number}-{turn}")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load(file, environ={}).sessions) == 2 + 12


def test_an_editors_save_in_between_is_not_lost(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed, saved = rewriting._computed, []

    def slow(*arguments: object) -> object:
        result = computed(*arguments)
        if not saved:
            saved.append(True)
            file.write_text(TEXT + "\n[sessions.meanwhile]\n")
        return result

    monkeypatch.setattr(rewriting, "_computed", slow)
    assert "meanwhile" in edit.declare(file, "lab").declaration.sessions
    assert {"meanwhile", "lab"} <= load(file, environ={}).sessions.keys()


def test_the_starter_loads_and_overwrites_nothing(tmp_path: Path) -> None:
    file = write_starter(tmp_path)
    assert file == tmp_path / "sessions.toml"
    assert list(load(file, environ={}).sessions) == ["main"]
    file.write_text("mine")
    with pytest.raises(DeclarationErrors, match="already there"):
        write_starter(file)
    assert file.read_text() == "mine"
    with pytest.raises(DeclarationErrors, match="cannot be written"):
        write_starter(tmp_path / "no" / "folder" / "sessions.toml")
