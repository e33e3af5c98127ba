"""Both widgets in a real JupyterLab in a real browser, fed by the real control server with a fleet in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from served_fleet import PAYLOAD, ServedFleet

if TYPE_CHECKING:
    from lab import Lab, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

ATTACH = """
from pathlib import Path
from wakit.notebook.fleet import Fleet
fleet = Fleet(Path({folder!r}) / "sessions.toml", Path({folder!r}))
"""
CODE = "WXYZ-2345"


def opened(visit: Visit, lab: Lab, folder: Path, *cells: str) -> Path:
    """Open a notebook that attaches and runs the cells."""
    path = lab.write(f"{folder.name}.ipynb", ATTACH.format(folder=str(folder)), *cells)
    visit.open(path.name)
    visit.command("notebook:run-all-cells")
    return path


def scanned(picture: bytes) -> list[str]:
    """Read the QR codes in a screenshot, as a phone would."""
    import zxingcpp  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    return [code.text for code in zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))]


def test_board(visit: Callable[..., Visit], lab: Lab, served: ServedFleet, folder: Path) -> None:
    v = visit()
    opened(v, lab, folder, "fleet", "fleet.board()")
    first, second = (
        v.page.locator(".wakit-board").all() if v.page.locator(".wakit-board").nth(1).wait_for() is None else ()
    )
    row = first.locator("tr[data-session=sales]")
    row.get_by_text("connected").wait_for()
    first.get_by_text("3 connected").wait_for()

    served.do(
        lambda fake: fake.change("sales", "failed", reason="<img src=x onerror=alert(1)>", labels={"team": "emea"})
    )
    for view in (first, second):  # two views of one widget agree
        view.locator("tr[data-session=sales][data-status=failed]").get_by_text("<img src=x").wait_for()
        view.get_by_text("2 connected, 1 failed").wait_for()

    names = first.locator("tbody .wakit-name")
    assert names.all_inner_texts() == ["sales", "support", "field"]
    first.get_by_role("button", name="Session").click()
    v.page.wait_for_function("() => document.querySelector('.wakit-board tbody .wakit-name').textContent === 'field'")
    first.get_by_label("Filter sessions").fill("team=emea")
    first.locator("tr[data-session=support]").wait_for(state="detached")
    assert names.all_inner_texts() == ["sales"]

    row.get_by_role("button", name="Restart sales").click()
    assert v.page.evaluate("document.activeElement.textContent") == "No"  # the harmless answer has the focus
    v.page.keyboard.press("Escape")
    assert served.fake.orders == []
    row.get_by_role("button", name="Restart sales").click()
    row.get_by_role("button", name="Yes, restart").click()
    row.get_by_text("restarted").wait_for()
    assert served.fake.orders == [("restart", "sales")]


BUSY = """
board = fleet.board()
told, send = [], board.send
def counting(content, buffers=None):
    told.append(content["type"])
    send(content, buffers)
board.send = counting
board
"""


def test_a_cell_that_computes_holds_the_board_and_loses_nothing(
    visit: Callable[..., Visit], lab: Lab, served: ServedFleet, folder: Path
) -> None:
    """Ten thousand events while the kernel is busy: what is left of them comes at once when it is free."""
    go = folder / "go"
    path = lab.write(
        f"{folder.name}.ipynb",
        ATTACH.format(folder=str(folder)),
        BUSY,
        f"told.clear()\nwhile not Path({str(go)!r}).exists(): pass",
        "print('messages:', len(told))",
    )
    v = visit()
    v.open(path.name)
    v.run_cells(2)
    row = v.page.locator(".wakit-board tr[data-session=sales]")
    row.get_by_role("img", name="connected for all of the last hour").wait_for()
    v.command("notebook:run-cell-and-select-next")
    v.page.wait_for_function("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")

    def burst(fake: Any) -> None:
        for n in range(10_000):
            fake.change("sales", "reconnecting" if n % 2 else "failed", reason=f"event {n}")
        fake.change("sales", "connected", reason="the last one")

    served.do(burst)
    assert row.get_attribute("data-status") == "connected"
    assert row.get_by_text("the last one").count() == 0  # nothing can be sent by who computes
    go.touch()
    row.get_by_text("the last one").wait_for()
    v.run_cells(1)
    said = v.page.locator(".jp-OutputArea-output").get_by_text("messages:").inner_text()
    assert 1 <= int(said.partition(": ")[2]) <= 10


def test_board_pairs_in_place(visit: Callable[..., Visit], lab: Lab, served: ServedFleet, folder: Path) -> None:
    served.do(lambda fake: fake.change("field", "declared"))
    v = visit()
    opened(v, lab, folder, "fleet")
    v.page.get_by_role("button", name="Pair field").click()
    panel = v.page.locator(".wakit-drawer .wakit-pairing")
    panel.get_by_text("Asking WhatsApp").wait_for()
    served.do(lambda fake: (fake.change("field", "pairing"), fake.show("field")))
    panel.get_by_role("img").wait_for()
    served.do(lambda fake: (fake.unshow("field"), fake.change("field", "connected")))
    panel.get_by_text("Connected.").wait_for()


def test_board_outlives_the_daemon_and_knows_when_it_is_stale(
    visit: Callable[..., Visit], lab: Lab, folder: Path
) -> None:
    served = ServedFleet(folder, "sales")
    v = visit()
    with served.up():
        opened(v, lab, folder, "fleet")
        v.page.get_by_text("1 connected").wait_for()
    v.page.get_by_text("The daemon does not answer").wait_for(timeout=3_000)
    assert v.page.get_by_role("button", name="Restart sales").is_disabled()
    with served.up():
        v.page.get_by_text("1 connected").wait_for()
        v.restart_kernel()
        v.page.get_by_text("Not live: the kernel was restarted").wait_for()
        v.page.locator("tr[data-session=sales]").wait_for()  # what was last known stays to be read


@pytest.mark.parametrize("dark", [False, True])
def test_pairing_by_qr(visit: Callable[..., Visit], lab: Lab, served: ServedFleet, folder: Path, *, dark: bool) -> None:
    served.do(lambda fake: fake.change("sales", "declared"))
    v = visit(dark=dark)
    path = opened(v, lab, folder, "fleet['sales'].pair()")
    if dark:
        v.theme("JupyterLab Dark")
    panel = v.page.locator(".wakit-pairing")
    panel.get_by_role("button", name="Show a QR").click()
    panel.get_by_text("Asking WhatsApp").wait_for()
    served.do(lambda fake: (fake.change("sales", "pairing"), fake.show("sales", seconds=60)))
    picture = panel.get_by_role("img", name="QR code that links sales")
    picture.wait_for()
    assert scanned(picture.screenshot()) == [PAYLOAD]
    assert scanned(panel.screenshot()) == [PAYLOAD]
    panel.get_by_text("The next one in").wait_for()

    served.do(lambda fake: fake.show("sales", payload=PAYLOAD + "2", seconds=0.8))
    panel.get_by_text("This one has expired").wait_for()
    assert picture.count() == 0  # what cannot be scanned any more is not there to be scanned

    served.do(lambda fake: fake.show("sales", payload=PAYLOAD + "3", seconds=20))
    picture.wait_for()
    saved = save(v, path)
    served.do(lambda fake: (fake.unshow("sales"), fake.change("sales", "connected")))
    panel.get_by_text("Connected.").wait_for()
    for text in (saved, save(v, path)):
        assert "application/vnd.jupyter.widget-state+json" in text  # the widgets were saved, and yet
        for secret in (PAYLOAD, "linked_devices", *rows_of(PAYLOAD + "3")):
            assert secret not in text


def test_pairing_by_code(visit: Callable[..., Visit], lab: Lab, served: ServedFleet, folder: Path) -> None:
    served.do(lambda fake: fake.change("sales", "declared"))
    v = visit()
    path = opened(v, lab, folder, "fleet['sales'].pair()")
    panel = v.page.locator(".wakit-pairing")
    number = panel.get_by_label("Phone number")
    number.fill("0044 7700 900123")
    number.press("Enter")
    panel.get_by_text("Write + instead of 00").wait_for()
    number.fill("+44 7700 900123")
    number.press("Enter")
    panel.get_by_text("Asking WhatsApp").wait_for()
    served.do(lambda fake: (fake.change("sales", "pairing"), fake.show("sales", payload=None, code=CODE, seconds=150)))
    panel.get_by_text(CODE).wait_for()
    ((_, (_, request)),) = served.fake.orders
    assert (request.method, request.phone) == ("code", "+447700900123")
    panel.get_by_role("button", name="Copy").click()
    panel.get_by_text("Copied").wait_for()
    assert v.page.evaluate("navigator.clipboard.readText()") == CODE
    text = save(v, path)
    for secret in (CODE, "7700900123", "7700 900123"):
        assert secret not in text

    served.do(
        lambda fake: (fake.unshow("sales"), fake.change("sales", "declared", needs_person=True, reason="nobody typed"))
    )
    panel.get_by_text("the codes ran out").wait_for()
    panel.get_by_role("button", name="New code").click()
    v.page.wait_for_function("() => document.querySelector('.wakit-pairing').dataset.phase === 'waiting'")
    served.do(lambda fake: fake.change("sales", "passkey_required"))
    panel.get_by_text("asks this account for a passkey").wait_for()


def save(visit: Visit, path: Path) -> str:
    """Save the notebook as a person does, and return the file."""
    visit.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.save(); }")
    text = path.read_text("utf-8")
    notebook: dict[str, Any] = json.loads(text)
    assert any(cell["outputs"] for cell in notebook["cells"])
    return text


def rows_of(payload: str) -> list[str]:
    """Rows of the code that only this code has."""
    from wakit.notebook.widgets.qr import modules  # noqa: PLC0415

    return modules(payload)[9:12]
