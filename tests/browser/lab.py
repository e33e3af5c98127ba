"""A JupyterLab of the test's own, and a browser that can reach nothing but it.

The server gets folders of its own for everything (settings, data, history), so that a person's Jupyter neither changes
the test nor is changed. The browser resolves no name; what it tries to reach outside is recorded, and the test fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "test"
_FLAGS = [
    "--no-sandbox",  # CI runs as root, where chromium's sandbox cannot
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
_SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"autoStartDefaultKernel": True},
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},  # the file must be clean even so
}


class Lab:
    """A running JupyterLab.

    Attributes:
        root: The folder it shows.
        url: Where it listens, without a slash at the end.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url

    def write(self, name: str, *cells: str) -> Path:
        """Put a notebook of code cells into the folder."""
        path = self.root / name
        content = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": cell, "outputs": [], "execution_count": None}
            for n, cell in enumerate(cells)
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        path.write_text(json.dumps({"cells": content, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
        return path


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Run JupyterLab on a free port of loopback until the block ends."""
    root, home = folder / "root", folder / "home"
    root.mkdir()
    for name, values in _SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "HOME": str(home),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
        *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}"),
        *(f"--ServerApp.root_dir={root}", f"--LabApp.user_settings_dir={home / 'settings'}"),
        *(f"--LabApp.workspaces_dir={home / 'workspaces'}", "--LabApp.collaborative=False"),
        "--LabApp.extension_manager=readonly",
    ]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:  # ends when the server does
            said.append(line)
            if "http://127.0.0.1:" in line:
                port = line.partition("http://127.0.0.1:")[2].partition("/")[0]
                break
        else:
            raise AssertionError("JupyterLab did not start:\n" + "".join(said))
        # Go on reading: a full pipe would stop the server.
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        yield Lab(root, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)
        if "drain" in locals():
            drain.wait(20)
        assert process.stderr is not None
        process.stderr.close()


def launch(playwright: Playwright) -> Browser:
    """Start Debian's chromium."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)


class Visit:
    """One page, and what went wrong on it.

    Attributes:
        page: Playwright's page.
        errors: Console errors and uncaught exceptions.
        outside: Addresses it tried to reach that are not the lab's.
    """

    def __init__(self, browser: Browser, lab: Lab, *, dark: bool = False) -> None:
        context = browser.new_context(
            viewport={"width": 1180, "height": 900}, device_scale_factor=2, color_scheme="dark" if dark else "light"
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=lab.url)
        self.lab = lab
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def open(self, name: str) -> None:
        """Open a notebook and wait until its kernel can take a cell."""
        self.page.goto(f"{self.lab.url}/doc/tree/{name}?token={TOKEN}&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function("window.jupyterapp !== undefined")
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
        )

    def command(self, name: str) -> None:
        """Begin one of JupyterLab's commands; wait for what it is to bring about."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    def run_cells(self, count: int) -> None:
        """Run the next cells of any kind, one after the other, as Shift-Enter does."""
        step = "async () => { await window.jupyterapp.commands.execute('notebook:run-cell-and-select-next'); }"
        for _ in range(count):
            self.page.evaluate(step)

    def close(self) -> None:
        """Close the page; everything heard on it stays."""
        self.page.context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.lab.url, "data:", "blob:", "about:")):
            self.outside.append(url)
