"""Nothing secret is in a saved notebook: executed with its widgets shown, saved with their state, and exported."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from served_fleet import PAYLOAD, ServedFleet

from wakit.notebook.widgets.qr import modules

CODE = "WXYZ-2345"
NUMBER = "+447700900123"
CELLS = [
    """
import asyncio, os
from pathlib import Path
from wakit.notebook.fleet import Fleet
folder = Path(os.environ["WAKIT_TEST_FOLDER"])
fleet = Fleet(folder / "sessions.toml", folder)
fleet
""",
    """
def sees(widget, phase):
    there, send = asyncio.Event(), widget.send
    def heard(content, buffers=None):
        send(content, buffers)
        if content["phase"] == phase:
            there.set()
    widget.send = heard
    return there

by_qr = fleet["sales"].pair("qr")
qr_shown = sees(by_qr, "qr")
by_qr
""",
    """
by_code = fleet["support"].pair("code", phone=os.environ["WAKIT_TEST_NUMBER"])
code_shown = sees(by_code, "code")
by_code
""",
    """
async with asyncio.timeout(20):
    await qr_shown.wait()
    await code_shown.wait()
print("both are shown")
""",
    "print(by_qr, by_code, fleet['sales'], fleet, fleet['sales'].pairing())",
    "fleet.close()",
]


@pytest.mark.timeout(90)
def test_no_secret_in_the_saved_notebook_or_its_export(
    served: ServedFleet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAKIT_TEST_FOLDER", str(folder))
    monkeypatch.setenv("WAKIT_TEST_NUMBER", NUMBER)
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{kind}_DIR", str(folder / kind.lower()))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    served.do(lambda fake: (fake.change("sales", "pairing"), fake.show("sales", seconds=600)))
    served.do(
        lambda fake: (fake.change("support", "pairing"), fake.show("support", payload=None, code=CODE, seconds=600))
    )

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    NotebookClient(notebook, timeout=60, kernel_name="python3", store_widget_state=True).execute()
    path = folder / "saved.ipynb"
    nbformat.write(notebook, path)
    saved = path.read_text("utf-8")
    exported, _ = HTMLExporter().from_notebook_node(notebook)

    # That the test can fail: the widgets were shown and saved, and the QR and the code were on the screen.
    assert "both are shown" in saved
    state = json.loads(saved)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert {"sales", "support"} <= {model["state"].get("session") for model in state.values()}
    assert any("opening" in model["state"] for model in state.values())
    for text in (saved, exported):
        assert "sales" in text
        for secret in (
            PAYLOAD,
            "linked_devices",
            CODE,
            CODE.replace("-", ""),
            NUMBER,
            NUMBER[1:],
            *modules(PAYLOAD)[9:12],
        ):
            assert secret not in text, os.linesep.join(line for line in text.splitlines() if secret in line)[:500]
