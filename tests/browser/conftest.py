"""The browser tests: ``pytest -m browser -n 0``. Where something is missing they are skipped; in CI they fail."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "notebook"))
from served_fleet import ServedFleet

if TYPE_CHECKING:
    from lab import Lab, Visit
    from playwright.sync_api import Browser

_CHROMIUM = Path("/usr/bin/chromium")


def _missing() -> str:
    for module in ("jupyterlab", "playwright", "zxingcpp", "PIL"):
        if find_spec(module) is None:
            return f"{module} is not installed: pip install -e '.[test,dev]'"
    return "" if _CHROMIUM.exists() else "Debian's chromium is not installed: apt-get install chromium"


@pytest.fixture(scope="session")
def _browsable() -> None:
    if why := _missing():
        if os.environ.get("CI"):
            pytest.fail(f"CI has to run the browser tests: {why}")
        pytest.skip(why)


@pytest.fixture
def chromium(_browsable: None) -> Iterator[Browser]:
    """A browser for pages of the test's own."""
    from lab import launch  # noqa: PLC0415 - needs what may be missing
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(_browsable: None) -> Iterator[Lab]:
    from lab import running_lab  # noqa: PLC0415 - needs what may be missing

    with tempfile.TemporaryDirectory(prefix="wk") as folder, running_lab(Path(folder)) as lab:
        yield lab


@pytest.fixture
def visit(lab: Lab) -> Iterator[Callable[..., Visit]]:
    """Open pages; afterwards nothing may have gone wrong on them, and nothing may have left the machine."""
    from lab import Visit, launch  # noqa: PLC0415
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    visits: list[Visit] = []
    with ExitStack() as stack:
        browser = launch(stack.enter_context(sync_playwright()))
        stack.callback(browser.close)

        def visiting(*, dark: bool = False, lab: Lab = lab) -> Visit:
            visits.append(Visit(browser, lab, dark=dark))
            return visits[-1]

        yield visiting
        for visit in visits:
            visit.close()
    assert [error for visit in visits for error in visit.errors] == []
    assert [url for visit in visits for url in visit.outside] == []


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a Unix socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def served(folder: Path) -> Iterator[ServedFleet]:
    with ServedFleet(folder, "sales", "support", "field").up() as served:
        yield served
