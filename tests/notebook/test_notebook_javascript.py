from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wakit.notebook.widgets.pairing import Phase

HERE = Path(__file__).parent
WIDGETS = HERE.parents[1] / "wakit" / "notebook" / "widgets"


def test_javascript() -> None:
    """The widgets' own tests; node 18 or newer is the only thing they need."""
    node = shutil.which("node")
    if node is None:
        assert not os.environ.get("CI"), "CI has to run the JavaScript tests: install node"
        pytest.skip("node is not installed; CI runs these")
    command = [node, "--test", str(HERE / "widgets.test.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_phase_has_words_in_the_browser() -> None:
    source = (WIDGETS / "pairing.js").read_text("utf-8")
    for phase in Phase:
        assert f"\n  {phase}: [" in source


@pytest.mark.parametrize("name", ["board.js", "pairing.js"])
def test_nothing_is_loaded_from_elsewhere_and_text_stays_text(name: str) -> None:
    source = (WIDGETS / name).read_text("utf-8")
    for forbidden in ("https:", "//cdn", "import ", "import(", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("):
        assert forbidden not in source
    urls = [line for line in source.splitlines() if "http:" in line]
    assert urls in ([], ['const SVG = "http://www.w3.org/2000/svg";'])  # a name, nothing is fetched
