"""docs/notebook.md: its code runs, and nothing people call is missing from it."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from served_fleet import ServedFleet
from test_notebook_history import journal, write

from wakit.notebook.fleet import Fleet
from wakit.notebook.session import Session

__all__ = ["journal"]

PAGE = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text("utf-8")
MAPPING = {"get", "items", "keys", "values", "config", "state_dir"}


async def test_its_code_runs(served: ServedFleet, folder: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(folder, "starting", "connected")
    (folder / "sessions.toml").write_text('[wakit]\nstate_dir = "."\n\n[sessions.sales]\n\n[sessions.support]\n')
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 5
    try:
        for block in blocks:
            code = compile(block, "<docs/notebook.md>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            running = eval(code, names)
            if inspect.iscoroutine(running):
                await running
    finally:
        names["fleet"].close()


@pytest.mark.parametrize("kind", [Fleet, Session])
def test_everything_people_call_is_on_it(kind: type) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")} - MAPPING
    missing = {name for name in public if not re.search(rf"\.{name}\b", PAGE) and f"`{name}`" not in PAGE}
    assert not missing
