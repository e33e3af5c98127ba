"""The browser tests: ``pytest -m browser -n 0``. Where something is missing they are skipped; in CI they fail."""

from __future__ import annotations

import os
import re
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
    from lab import Lab, Site, Visit
    from playwright.sync_api import Browser

_CHROMIUM = Path("/usr/bin/chromium")


def _missing() -> str:
    for module in ("jupyterlab", "voila", "marimo", "playwright", "zxingcpp", "PIL"):
        if find_spec(module) is None:
            return f"{module} is not installed: pip install -e '.[test,dev]'"
    return "" if _CHROMIUM.exists() else "Debian's chromium is not installed: apt-get install chromium"


@pytest.fixture(scope="session")
def equipped() -> None:
    """Skip what needs a browser where there is none; in CI that is a failure."""
    if why := _missing():
        if os.environ.get("CI"):
            pytest.fail(f"CI has to run the browser tests: {why}")
        pytest.skip(why)


@pytest.fixture
def chromium(equipped: None) -> Iterator[Browser]:
    """A browser for pages of the test's own."""
    from lab import launch  # noqa: PLC0415 - needs what may be missing
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(equipped: None) -> Iterator[Lab]:
    from lab import running_lab  # noqa: PLC0415 - needs what may be missing

    with tempfile.TemporaryDirectory(prefix="wk") as folder, running_lab(Path(folder)) as lab:
        yield lab


@pytest.fixture
def visit(equipped: None, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visit]]:
    """Open pages, JupyterLab's if no other server is named.

    Afterwards nothing may have gone wrong on them, and nothing may have left the machine. How each looked in the end is
    kept as a picture.
    """
    from lab import Visit, launch  # noqa: PLC0415
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    visits: list[Visit] = []
    with ExitStack() as stack:
        browser = launch(stack.enter_context(sync_playwright()))
        stack.callback(browser.close)

        def visiting(*, dark: bool = False, lab: Site | None = None) -> Visit:
            visits.append(Visit(browser, lab or request.getfixturevalue("lab"), dark=dark))
            return visits[-1]

        yield visiting
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        for n, visit in enumerate(visits):
            visit.page.screenshot(path=_kept(request.config) / f"{name}-{n}.png", full_page=True)
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


@pytest.fixture
def pictures(pytestconfig: pytest.Config) -> Path:
    """Where pictures of widgets go: with the other screenshots, or, with ``WAKIT_PICTURES=docs/pictures``, there."""
    wanted = os.environ.get("WAKIT_PICTURES")
    return Path(__file__).parents[2] / wanted if wanted else _kept(pytestconfig)


def _kept(config: pytest.Config) -> Path:
    """Screenshots stay in ``.pytest_cache/d/pictures`` until the next run."""
    assert config.cache is not None
    return config.cache.mkdir("pictures")
