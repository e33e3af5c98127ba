from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wakit.notebook.widgets.bundle import script, style
from wakit.notebook.widgets.pairing import Phase

HERE = Path(__file__).parent
WIDGETS = HERE.parents[1] / "wakit" / "notebook" / "widgets"


def test_javascript(tmp_path: Path) -> None:
    """The widgets' own tests; node 18 or newer is the only thing they need.

    Node's parser also says whether two of the joined modules have a name in common.
    """
    node = shutil.which("node")
    if node is None:
        assert not os.environ.get("CI"), "CI has to run the JavaScript tests: install node"
        pytest.skip("node is not installed; CI runs these")
    for name in ("board", "pairing"):
        (tmp_path / f"{name}.mjs").write_text(script(name), "utf-8")
    command = [node, "--test", str(HERE / "widgets.test.mjs")]
    environment = os.environ | {"WIDGETS": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_phase_has_words_in_the_browser() -> None:
    source = (WIDGETS / "pairing.js").read_text("utf-8")
    for phase in Phase:
        assert f"\n  {phase}: [" in source


@pytest.mark.parametrize("name", ["board", "pairing"])
def test_nothing_is_loaded_from_elsewhere_and_text_stays_text(name: str) -> None:
    source = script(name)
    for forbidden in ("https:", "//cdn", "import ", "import(", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("):
        assert forbidden not in source
    urls = [line for line in source.splitlines() if "http:" in line]
    assert urls in ([], ['const SVG = "http://www.w3.org/2000/svg";'])  # a name, nothing is fetched
    assert not re.search(r"url\(|@import", style(name))


@pytest.mark.parametrize("name", ["board", "pairing"])
def test_each_module_is_in_a_widget_once(name: str) -> None:
    lines = script(name).splitlines()
    assert sum(line.startswith("export function element(") for line in lines) == 1
    assert sum(line.startswith("export default") for line in lines) == 1


def test_no_module_is_left_over() -> None:
    both = script("board") + script("pairing")
    for part in (WIDGETS / "parts").glob("*.js"):
        assert part.read_text("utf-8").splitlines()[-1] in both
        assert part.read_text("utf-8").partition("\n")[0] in both
