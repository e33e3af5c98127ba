"""The shipped notebooks run from top to bottom, and say what they said when they were written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsals import end_of_rehearsal

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """Folders of the test's own; the notebook tidies up after itself, at the latest when its kernel has ended."""
    home = {"HOME": str(folder), "TMPDIR": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    home |= {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    outer = {name: value for name, value in os.environ.items() if name != "WAKIT_CONFIG"}
    with end_of_rehearsal(folder):
        yield outer | home


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "notebook",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem.startswith("01") else [pytest.mark.long])
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_and_says_what_it_said(notebook: Path, environment: dict[str, str]) -> None:
    """nbval runs every cell and compares the outputs of those with the tag ``nbval-check-output``."""
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-c",
            os.devnull,
            "--rootdir",
            str(notebook.parent),
            "-p",
            "no:cacheprovider",
        ),
        *("--nbval-lax", "--nbval-cell-timeout", "60", "-q", str(notebook)),
    ]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_compared_outputs_are_stored(notebook: Path) -> None:
    """What would differ at every run is not in the repository, and no widget's state."""
    content = json.loads(notebook.read_text("utf-8"))
    assert "widgets" not in content["metadata"]
    for number, cell in enumerate((c for c in content["cells"] if c["cell_type"] == "code"), start=1):
        compared = "nbval-check-output" in cell["metadata"].get("tags", [])
        assert bool(cell["outputs"]) == compared, cell["source"]
        assert cell["execution_count"] == number  # nbval compares only cells that were run; run from top to bottom
