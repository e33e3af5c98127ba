"""Notebook 04 as Voilà serves it: a page without code, live, with a real fleet behind it.

With ``WAKIT_PICTURES=docs/pictures`` it writes the README's picture.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rehearsals import end_of_rehearsal
from test_browser_widgets import scanned

from wakit.control.client import SyncClient
from wakit.sim.client import SyncSimClient

if TYPE_CHECKING:
    from lab import Site, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SLOW = 240_000  # ms: before Voilà shows a page it has run the notebook, which starts a fleet and links four phones


@pytest.fixture
def served_by_voila(equipped: None, folder: Path) -> Iterator[Site]:
    """Serve the notebook; when the page's kernel ends, so does the rehearsal, and its folder goes."""
    from lab import free_port, homes, serving  # noqa: PLC0415 - needs what may be missing

    # As an installed wakit has it: share/jupyter/voila/templates/wakit.
    shutil.copytree(ROOT / "wakit" / "notebook" / "voila", folder / "share" / "voila" / "templates" / "wakit")
    port = free_port()
    environment = os.environ | homes(folder / "home")
    environment |= {"TMPDIR": str(folder), "JUPYTER_PATH": str(folder / "share")}
    environment.pop("WAKIT_CONFIG", None)
    (named,) = re.findall(r"\.venv/bin/voila (\S+)", (ROOT / "README.md").read_text("utf-8"))
    command = [
        sys.executable,
        "-m",
        "voila",
        str(ROOT / named),
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
    ]
    with end_of_rehearsal(folder), serving(command, port, environment, folder / "voila.log") as site:
        yield site


def test_the_dashboard(served_by_voila: Site, visit: Callable[..., Visit], folder: Path, pictures: Path) -> None:
    page = visit(lab=served_by_voila).page
    page.set_viewport_size({"width": 1180, "height": 1300})  # the page scrolls inside itself: all of it is to be seen
    page.goto(served_by_voila.url, timeout=SLOW)
    board = page.locator(".wakit-board")
    board.get_by_text("3 connected, 1 pending, 1 failed").wait_for()
    tile = ".fleet-tiles [data-status={}]"
    assert page.locator(tile.format("connected")).inner_text().startswith("3")
    people = page.locator(".fleet-people")
    people.get_by_text("oslo").wait_for()
    people.get_by_text("faro").wait_for()
    picture = page.locator(".fleet-timeline").locator("canvas, svg").first
    picture.wait_for()
    box = picture.bounding_box()
    assert box is not None
    assert box["width"] > 300
    page.locator(".fleet-incidents tbody tr").first.wait_for()
    assert page.get_by_text("import asyncio").count() == 0  # no code on it
    page.screenshot(path=pictures / "dashboard.png", full_page=True)

    # The one that waits for a phone is linked here, by the picture on the page.
    (state_dir,) = folder.glob("wakit-*/.wakit-sim")
    people.get_by_title("Pair faro").click()
    panel = page.locator(".wakit-pairing")
    panel.get_by_role("img", name="QR code that links faro").wait_for()
    (payload,) = scanned(panel.screenshot())
    assert payload == SyncClient(state_dir).qr("faro").payload
    phones = SyncSimClient(state_dir / "whatsapp" / "admin.sock")
    phones.scan("+999000000005", payload)
    panel.get_by_text("Connected.").wait_for()
    page.locator(tile.format("connected")).get_by_text("4").wait_for()
    people.get_by_text("faro").wait_for(state="detached")
    board.locator("tr[data-session=faro][data-status=connected]").wait_for()

    # One filter for all of it.
    page.locator(".fleet-filter input").fill("team=north")
    board.locator("tr[data-session=madrid]").wait_for(state="detached")
    assert board.locator("tbody .wakit-name").all_inner_texts() == ["berlin", "oslo"]
    page.locator(tile.format("connected")).get_by_text("1").wait_for()

    # What happens on a phone shows, without anybody touching the page.
    phones.unlink("+999000000003")
    board.locator("tr[data-session=berlin][data-status=failed]").wait_for()
    page.locator(tile.format("failed")).get_by_text("2").wait_for()
    people.get_by_text("berlin").wait_for()
