"""The widgets in marimo, whose kernel is not Jupyter's: `marimo run` in a real browser, a fleet in memory behind it."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from served_fleet import PAYLOAD, ServedFleet
from test_browser_widgets import scanned

if TYPE_CHECKING:
    from lab import Site, Visit
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]
APP = Path(__file__).parent / "apps" / "fleet.py"


@pytest.fixture
def app(equipped: None, served: ServedFleet, folder: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Run the app on loopback; only marimo's editor asks for updates, and here it could not either.

    A test with ``dark`` gets marimo in its dark theme. It is a setting of marimo's, whatever the system's is.
    """
    from lab import free_port, homes, serving  # noqa: PLC0415 - needs what may be missing

    served.do(lambda fake: (fake.change("support", "declared"), fake.change("field", "declared")))
    theme = "dark" if getattr(request.node, "callspec", None) and request.node.callspec.params["dark"] else "light"
    settings = folder / "home" / "config" / "marimo" / "marimo.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[display]\ntheme = "{theme}"\n')
    port = free_port()
    command = [*(sys.executable, "-m", "marimo", "run", str(APP), "--headless", "--no-token"), "--port", str(port)]
    environment = os.environ | homes(folder / "home") | {"WAKIT_TEST_FOLDER": str(folder)}
    environment["MARIMO_SKIP_UPDATE_CHECK"] = "1"
    with serving(command, port, environment, folder / "marimo.log") as site:
        yield site


def test_the_board_is_live(app: Site, visit: Callable[..., Visit], served: ServedFleet) -> None:
    page = visit(lab=app).page
    page.goto(app.url)
    boards = page.locator(".wakit-board")
    boards.nth(1).wait_for()
    assert boards.count() == 2  # in `mo.ui.anywidget`, and the fleet as the last line of a cell
    served.do(lambda fake: fake.change("sales", "failed", reason="banned"))
    for board in boards.all():
        board.locator("tr[data-session=sales][data-status=failed]").get_by_text("banned").wait_for()
        board.get_by_text("2 pending, 1 failed").wait_for()

    # marimo closes the widgets of a cell when it runs again.
    page.get_by_role("button", name="Run the board's cell again").click()
    page.get_by_text("run again: True").wait_for()
    served.do(lambda fake: fake.change("sales", "connected"))
    for board in boards.all():
        board.locator("tr[data-session=sales][data-status=connected]").wait_for()
    boards.first.get_by_role("button", name="Restart sales").click()
    boards.first.get_by_role("button", name="Yes, restart").click()
    boards.first.get_by_text("restarted", exact=True).wait_for()
    assert served.fake.orders == [("restart", "sales")]


def test_each_browser_has_a_board_of_its_own(app: Site, visit: Callable[..., Visit], served: ServedFleet) -> None:
    """In `marimo run` a browser is a kernel, a thread with a loop of its own; one that leaves must not take others."""
    first, second = visit(lab=app), visit(lab=app)
    row = "tr[data-session=sales][data-status={}]"
    for v in (first, second):
        v.page.goto(app.url)
        v.page.locator(".wakit-board").first.locator(row.format("connected")).wait_for()
    served.do(lambda fake: fake.change("sales", "reconnecting"))
    for v in (first, second):
        v.page.locator(".wakit-board").first.locator(row.format("disconnected")).wait_for()
    first.page.goto("about:blank")
    served.do(lambda fake: fake.change("sales", "connected"))
    second.page.locator(".wakit-board").first.locator(row.format("connected")).wait_for()


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_dark_where_marimo_is(app: Site, visit: Callable[..., Visit], pictures: Path, *, dark: bool) -> None:
    """marimo draws widgets in a shadow root, whose styles cannot see the page's theme."""
    page = visit(lab=app, dark=not dark).page
    page.goto(app.url)
    widgets = [page.locator(kind).first for kind in (".wakit-board", ".wakit-pairing")]
    chart = page.locator(".vega-embed").first
    for shown in (*widgets, chart):
        shown.wait_for()
    for widget in widgets:
        assert (brightness(widget, "backgroundColor") < 0.2) == dark
        assert (brightness(widget, "color") > 0.6) == dark
    page.locator(".wakit-board").first.screenshot(path=pictures / f"marimo-board-{'dark' if dark else 'light'}.png")
    picture = chart.screenshot(path=pictures / f"marimo-uptime-{'dark' if dark else 'light'}.png")
    assert (paper(picture) < 0.3) == dark


def paper(picture: bytes) -> float:
    """Return how bright a picture's most frequent grey is, from 0 to 1."""
    from PIL import Image  # noqa: PLC0415 - needs what may be missing

    colours = Image.open(io.BytesIO(picture)).convert("RGB").getcolors(1 << 24)
    greys = [(count, colour[0]) for count, colour in colours if max(colour) - min(colour) < 12]
    return max(greys)[1] / 255


def brightness(shown: Locator, colour: str) -> float:
    """Return how bright a computed colour is, from 0 to 1."""
    said: str = shown.evaluate("(node, colour) => getComputedStyle(node)[colour]", colour)
    red, green, blue, *_ = (float(part) for part in re.findall(r"[\d.]+", said))
    return (0.3 * red + 0.6 * green + 0.1 * blue) / 255


@pytest.mark.parametrize("dark", [False, True])
def test_pairing(app: Site, visit: Callable[..., Visit], served: ServedFleet, pictures: Path, *, dark: bool) -> None:
    page = visit(lab=app, dark=dark).page
    page.goto(app.url)
    panel = page.locator(".wakit-pairing").first
    panel.get_by_role("button", name="Show a QR").click()
    panel.get_by_text("Asking WhatsApp").wait_for()
    served.do(lambda fake: (fake.change("support", "pairing"), fake.show("support", seconds=60)))
    picture = panel.get_by_role("img", name="QR code that links support")
    picture.wait_for()
    assert scanned(panel.screenshot(path=pictures / f"marimo-{'dark' if dark else 'light'}.png")) == [PAYLOAD]
    served.do(lambda fake: (fake.unshow("support"), fake.change("support", "connected")))
    panel.get_by_text("Connected.").wait_for()

    # From the board, too: it makes a widget while no cell runs.
    page.locator(".wakit-board").first.get_by_role("button", name="Pair field").click()
    drawer = page.locator(".wakit-drawer .wakit-pairing")
    drawer.get_by_text("Asking WhatsApp").wait_for()
    served.do(lambda fake: (fake.change("field", "pairing"), fake.show("field", payload=PAYLOAD + "2", seconds=60)))
    drawer.get_by_role("img", name="QR code that links field").wait_for()
    assert scanned(drawer.screenshot()) == [PAYLOAD + "2"]
