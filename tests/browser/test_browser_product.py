"""The running product in a browser: notebook 01, the daemon, real clients, and phones that scan the very picture.

With ``WAKIT_PICTURES=docs/pictures`` it writes the README's pictures. The QR in one of them is the simulator's, was
used, and is over when the test ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wakit.control.client import SyncClient
from wakit.notebook.ending import wait_for_end
from wakit.sim.client import SyncSimClient

if TYPE_CHECKING:
    from lab import Lab, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return ROOT / wanted if (wanted := os.environ.get("WAKIT_PICTURES")) else tmp_path


@pytest.fixture
def lab_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose notebook makes its temporary folder in ours, so that its daemon is found and ended."""
    from lab import running_lab  # noqa: PLC0415 - needs what may be missing

    monkeypatch.setenv("TMPDIR", str(folder))
    with running_lab(folder) as lab:
        yield lab
    for record in folder.glob("wakit-*/.wakit-sim/daemon.json"):
        pid = json.loads(record.read_text())["pid"]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            wait_for_end(pid, 15)


def test_a_phone_scans_the_picture(
    lab: Lab, lab_of_its_own: Lab, visit: Callable[..., Visit], folder: Path, pictures: Path
) -> None:
    from test_browser_widgets import scanned  # noqa: PLC0415 - reads pictures with what may be missing

    assert lab is not lab_of_its_own
    for shown in ("sessions.toml", "notebooks/01-pair-and-inspect.ipynb", "docs/pictures"):
        target = lab_of_its_own.root / shown
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / shown).is_dir() else shutil.copy)(ROOT / shown, target)
    cells = json.loads((ROOT / "notebooks/01-pair-and-inspect.ipynb").read_text("utf-8"))["cells"]
    v = visit(lab=lab_of_its_own)
    v.open("notebooks/01-pair-and-inspect.ipynb")
    v.run_cells(1 + next(n for n, cell in enumerate(cells) if "support.pair()" in "".join(cell["source"])))

    (state_dir,) = folder.glob("wakit-*/.wakit-sim")
    phones, client = SyncSimClient(state_dir / "whatsapp" / "admin.sock"), SyncClient(state_dir)
    panel = v.page.locator(".wakit-pairing")
    panel.get_by_role("img").wait_for()
    panel.scroll_into_view_if_needed()
    picture = panel.screenshot(path=pictures / "pairing.png")
    (payload,) = scanned(picture)
    assert payload == client.qr("support").payload
    phones.scan("+999000000001", payload)
    panel.get_by_text("Connected.").wait_for()

    board = v.page.locator(".wakit-board")
    code = client.qr("sales").code
    assert code is not None
    phones.type_code("+34600000001", code)
    board.locator("tr[data-session=sales][data-status=connected]").wait_for()
    phones.unlink("+34600000001")
    board.locator("tr[data-session=sales][data-status=failed]").wait_for()
    board.get_by_text("1 connected, 1 pending, 1 failed").wait_for()
    board.scroll_into_view_if_needed()
    board.screenshot(path=pictures / "board.png")
