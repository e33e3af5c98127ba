"""Notebook 03 in a real browser: its pictures are drawn by JupyterLab itself, with nothing from the network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab import Lab, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]
ROOT = Path(__file__).parents[2]
NOTEBOOK = "03-why-was-tuesday-bad.ipynb"


def test_the_month_is_drawn(visit: Callable[..., Visit], lab: Lab, pictures: Path) -> None:
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, lab.root)
    v = visit()
    v.open(NOTEBOOK)
    v.command("notebook:run-all-cells")
    charts = v.page.locator(".jp-OutputArea-output .vega-embed")
    charts.nth(3).wait_for(timeout=200_000)
    assert charts.count() == 4
    for drawn in charts.all():
        canvas = drawn.locator("canvas, svg").first
        canvas.wait_for()
        box = canvas.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 80
    # A screen reader hears what the picture shows.
    told = charts.nth(1).locator("[aria-label]").first.get_attribute("aria-label")
    assert told is not None
    assert "a lane for each of 12 sessions" in told
    for n, name in enumerate(("uptime", "timeline", "reconnects", "pairings")):
        charts.nth(n).scroll_into_view_if_needed()
        charts.nth(n).screenshot(path=pictures / f"{name}.png")
