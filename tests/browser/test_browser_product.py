"""The running product in a browser: notebook 01, the daemon, real clients, and phones that scan the very picture.

With ``WAKIT_PICTURES=docs/pictures`` it writes the README's pictures. The QR in one of them is the simulator's, was
used, and is over when the test ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
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
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]
ROOT = Path(__file__).parents[2]
NOTEBOOK = "notebooks/01-pair-and-inspect.ipynb"


@pytest.fixture
def lab_of_its_own(equipped: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose notebook makes its temporary folder in ours, so that its daemon is found and ended."""
    from lab import running_lab  # noqa: PLC0415 - needs what may be missing

    monkeypatch.setenv("TMPDIR", str(folder))
    with running_lab(folder) as lab:
        for shown in ("sessions.toml", NOTEBOOK, "docs/pictures"):
            target = lab.root / shown
            target.parent.mkdir(exist_ok=True)
            (shutil.copytree if (ROOT / shown).is_dir() else shutil.copy)(ROOT / shown, target)
        yield lab
    for pid in daemons(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            wait_for_end(pid, 15)


def daemons(folder: Path) -> list[int]:
    """The processes of the daemons that notebooks started."""
    return [json.loads(record.read_text())["pid"] for record in folder.glob("wakit-*/.wakit-sim/daemon.json")]


def read(panel: Locator, client: SyncClient, name: str, **shot: Path) -> str:
    """Read the QR off the screen; it has to be the one that the daemon holds, character for character."""
    from test_browser_widgets import scanned  # noqa: PLC0415 - reads pictures with what may be missing

    while True:
        held = client.qr(name).payload
        (seen,) = scanned(panel.screenshot(**shot))
        if client.qr(name).payload == held:  # it was not renewed in the middle
            break
    assert seen == held
    return seen


def test_a_phone_scans_the_picture(
    lab_of_its_own: Lab, visit: Callable[..., Visit], folder: Path, pictures: Path
) -> None:
    cells = json.loads((ROOT / NOTEBOOK).read_text("utf-8"))["cells"]
    v = visit(lab=lab_of_its_own)
    v.open(NOTEBOOK)
    v.run_cells(1 + next(n for n, cell in enumerate(cells) if "support.pair()" in "".join(cell["source"])))

    (state_dir,) = folder.glob("wakit-*/.wakit-sim")
    phones, client = SyncSimClient(state_dir / "whatsapp" / "admin.sock"), SyncClient(state_dir)
    panel = v.page.locator(".wakit-pairing")
    panel.get_by_role("img").wait_for()
    panel.scroll_into_view_if_needed()
    v.theme("JupyterLab Dark")
    read(panel, client, "support", path=pictures / "pairing-dark.png")
    v.theme("JupyterLab Light")
    payload = read(panel, client, "support", path=pictures / "pairing.png")
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

    (pid,) = daemons(folder)
    os.kill(pid, signal.SIGKILL)
    board.get_by_text("The daemon does not answer").wait_for(timeout=3_000)
    board.screenshot(path=pictures / "board-without-daemon.png")
    up = [sys.executable, "-m", "wakit", "up", "--detach", "--sim", "--config", str(state_dir.parent / "sessions.toml")]
    subprocess.run(up, env=os.environ | {"WAKIT_SIM_PHONES": "manual"}, check=True, capture_output=True, timeout=90)
    board.locator("tr[data-session=support][data-status=connected]").wait_for(timeout=60_000)  # without a phone
    board.get_by_text("The daemon does not answer").wait_for(state="detached")

    v.restart_kernel()
    board.get_by_text("Not live: the kernel was restarted").wait_for()
    panel.get_by_text("Not live: the kernel was restarted").wait_for()
    board.screenshot(path=pictures / "board-stale.png")


def test_all_of_the_notebook_runs_from_a_fresh_kernel(lab_of_its_own: Lab, visit: Callable[..., Visit]) -> None:
    v = visit(lab=lab_of_its_own)
    v.open(NOTEBOOK)
    v.command("notebook:run-all-cells")
    cells = json.loads((ROOT / NOTEBOOK).read_text("utf-8"))["cells"]
    last = sum(cell["cell_type"] == "code" for cell in cells)
    v.page.wait_for_function(
        "count => window.jupyterapp.shell.currentWidget.content.widgets"
        ".filter(cell => cell.model.type === 'code').at(-1).model.executionCount === count",
        arg=last,
        timeout=200_000,
    )
    outputs = v.page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code')"
        ".flatMap(cell => cell.model.outputs.toJSON())"
    )
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert "sales is logged_out" in json.dumps(outputs)
