"""Packages of the npm registry for tests that need Node: other people's clients and servers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def install(folder: Path, packages: Sequence[str]) -> None:
    """Install packages into a folder; without Node or npm the test is skipped, and fails in CI."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("Node and npm are missing, and CI must not skip this test")
        pytest.skip("needs Node and npm")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *packages]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
