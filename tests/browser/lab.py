"""Servers of the test's own that show a notebook, JupyterLab first, and a browser that can reach nothing but them.

A server gets folders of its own for everything (settings, data, history), so that a person's Jupyter neither changes
the test nor is changed. The browser resolves no name; what it tries to reach outside is recorded, and the test fails.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
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


class Site:
    """A running server.

    Attributes:
        url: Where it listens, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url


class Lab(Site):
    """A running JupyterLab.

    Attributes:
        root: The folder it shows.
    """

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(url)
        self.root = root

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
    environment = os.environ | homes(home)
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


def homes(home: Path) -> dict[str, str]:
    """Give the environment in which Jupyter and marimo keep all they keep below ``home``."""
    jupyter = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    xdg = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE")}
    return jupyter | xdg | {"IPYTHONDIR": str(home / "ipython"), "HOME": str(home)}


def free_port() -> int:
    """Find a port of loopback that is free now, for servers that cannot be asked which one they took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], port: int, environment: Mapping[str, str], log: Path) -> Iterator[Site]:
    """Run a server until the block ends; it has to listen on ``port`` of loopback within three minutes."""
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        give_up = time.monotonic() + 180  # a busy machine needs one for the imports
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up, log.read_text()
                time.sleep(0.1)  # nothing tells when a port of another process begins to listen
        yield Site(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)


def launch(playwright: Playwright) -> Browser:
    """Start Debian's chromium."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)


class Visit:
    """One page, and what went wrong on it.

    Attributes:
        page: Playwright's page.
        errors: Console errors and uncaught exceptions.
        outside: Addresses it tried to reach that are not the server's.
    """

    def __init__(self, browser: Browser, lab: Site, *, dark: bool = False) -> None:
        context = browser.new_context(
            viewport={"width": 1180, "height": 900}, device_scale_factor=2, color_scheme="dark" if dark else "light"
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=lab.url)
        self.lab = lab
        self.page: Page = context.new_page()
        self.page.set_default_timeout(90_000)  # what is to be fast has a time of its own; a busy machine is not a fault
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

    def theme(self, name: str) -> None:
        """Choose one of JupyterLab's themes, and wait until it shows."""
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")  # without a size of its own

    def restart_kernel(self) -> None:
        """Restart the kernel without asking."""
        self.page.evaluate(
            "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
        )

    def close(self) -> None:
        """Close the page; everything heard on it stays."""
        self.page.context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.lab.url + "/", "data:", "blob:", "about:")):
            self.outside.append(url)
