"""What the pages say is what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import pytest
from pydantic import BaseModel

from wakit.cli.app import whole
from wakit.control.schemas import (
    DaemonInfo,
    DeclarationInfo,
    EventInfo,
    JournalInfo,
    OutageInfo,
    PairingShown,
    SessionInfo,
    UpgradeInfo,
)
from wakit.core.clock import Surprise
from wakit.core.diagram import page
from wakit.core.records import EVENT_KINDS
from wakit.journal import schema
from wakit.whatsapp.port import DialFailure

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_lifecycle_page_is_drawn_from_the_table() -> None:
    assert (ROOT / "docs" / "lifecycle.md").read_text("utf-8") == page()


def test_the_diagram_prints_itself() -> None:
    printed = subprocess.run([sys.executable, "-m", "wakit.core.diagram"], capture_output=True, text=True, check=True)
    assert printed.stdout == page()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_project_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), target


def anchors(path: Path) -> set[str]:
    """What a link may name in a page: its headings as GitHub makes links of them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_heading_meets_one(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", path.read_text("utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert anchor in anchors(path.parent / target if target else path), f"{target}#{anchor}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_extra_that_is_named_is_there(path: Path) -> None:
    named = re.findall(r"-e '\.\[([^]]+)\]'", path.read_text("utf-8"))
    assert {extra for group in named for extra in group.split(",")} <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("extra", ["notebook", "dashboard", "test"])
def test_what_opens_a_notebook_brings_a_kernel(extra: str) -> None:
    """Voilà has none of its own."""
    brought = {re.split(r"[\[<>=~! ]", each)[0] for each in PROJECT["optional-dependencies"][extra]}
    assert {"ipykernel", "altair"} <= brought


def test_every_dependency_is_explained() -> None:
    named = [*PROJECT["dependencies"], *(d for extra in PROJECT["optional-dependencies"].values() for d in extra)]
    explained = (ROOT / "docs" / "design" / "dependencies.md").read_text("utf-8")
    for requirement in named:
        name = re.split(r"[\[<>=~! ]", requirement)[0]
        assert f"**{name}**" in explained, f"docs/design/dependencies.md does not say why {name}"


def test_the_top_level_is_what_was_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: an unpacked source archive has no index to ask")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    agreed = {"pyproject.toml", "wakit", "notebooks", "sessions.toml", "tests", "docs", "README.md"}
    assert {name for name in top if not name.startswith(".")} <= agreed


# -- what programs read is on the pages, field by field --------------------------------------------------------------

SHOWN: Final = (
    SessionInfo, DaemonInfo, DeclarationInfo, OutageInfo, UpgradeInfo, JournalInfo, PairingShown, EventInfo
)  # fmt: skip


@pytest.mark.parametrize("record", SHOWN, ids=lambda record: record.__name__)
def test_every_field_of_a_record_is_explained(record: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "control-api.md").read_text("utf-8")
    section = page.split(f"### {record.__name__}\n")[1].split("\n##")[0].split("\n| `kind` | when |")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(record.model_fields)


def test_every_kind_of_event_is_explained() -> None:
    table = (
        (ROOT / "docs" / "control-api.md").read_text("utf-8").split("| `kind` | when | `code` |\n")[1].split("\n\n")[0]
    )
    rows = dict(re.findall(r"^\| `(\w+)` \| .+? \| (.*)\|$", table, re.MULTILINE))
    assert rows.keys() == EVENT_KINDS
    for kind, codes in (("dial_failed", DialFailure), ("clock", Surprise)):
        assert re.findall(r"`(\w+)`", rows[kind]) == [code.value for code in codes]


def test_what_status_answers_is_shown_whole() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    (shown,) = [json.loads(block) for block in re.findall(r"```json\n(\{\"daemon\".*?)```", page, re.DOTALL)]
    assert shown["daemon"].keys() == DaemonInfo.model_fields.keys()
    assert shown["daemon"]["declaration"].keys() == DeclarationInfo.model_fields.keys()
    assert shown["sessions"][0].keys() == SessionInfo.model_fields.keys()


def test_the_page_says_which_commands_lack_an_option() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(?:-c`, `)?(--\w+)[^|]*\| (.*?) \|", page.split("## Exit codes")[0], re.MULTILINE))
    commands = whole().commands
    for option, lacking in {"--config": set(), "--sim": {"init", "sim"}, "--json": {"init", "down", "sim"}}.items():
        lacks = {
            name for name, command in commands.items() if not any(option in given.opts for given in command.params)
        }
        assert lacks == lacking, option
        assert set(re.findall(r"`(\w+)`", rows[option].split(";")[0])) == lacking, option


@pytest.mark.parametrize("name", ["notebook.md", "design/journal.md"])
def test_every_table_and_view_of_the_journal_is_named(name: str) -> None:
    with duckdb.connect() as journal:
        schema.migrate(journal, datetime(2026, 1, 1, tzinfo=UTC))
        rows = journal.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    page = (ROOT / "docs" / name).read_text("utf-8")
    assert not {view for (view,) in rows if f"`{view}`" not in page}
    assert not {table for table in ("events", "declarations", "pulses") if f"`{table}`" not in page}


# -- pages of design -------------------------------------------------------------------------------------------------


def test_every_page_of_design_is_in_its_list() -> None:
    folder = ROOT / "docs" / "design"
    index = (folder / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| \[([\w-]+\.md)\]\(\1\) \| \S", index, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
