"""Any folders of tests can run in one call: what they import by name is found, and is the one that is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
# pytest keeps these apart by itself; `python tests/bench` and the package `chaos` have theirs to themselves.
OF_EACH_FOLDER = {"conftest.py", "__init__.py", "__main__.py"}


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """Each folder is put on sys.path, so a second module of a name would never be imported."""
    found = defaultdict(list)
    for file in HERE.rglob("*.py"):
        if file.name not in OF_EACH_FOLDER:
            found[file.name].append(file)
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_nobody_imports_a_conftest() -> None:
    """`conftest` is whichever of them pytest has read last: that of another folder, once two are run together."""
    for file in HERE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert "conftest" not in names, file
