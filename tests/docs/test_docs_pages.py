"""What the pages say is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from wakit.core.diagram import page

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
