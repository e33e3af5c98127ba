"""Joins a widget's modules into the one ES module and the one style sheet that anywidget sends to the browser.

The modules in ``parts`` are shared by the widgets, and each is an ordinary ES module that imports its neighbours. A
front end gets one text, so what a widget imports is put before it, each module once, and the import lines are left out.
That is all there is to it: no build step, no Node where wakit is installed, and the text in the browser is the text in
the repository. It asks two things of the modules: an import is one line and names a file, and no two modules have a
name in common at their top. Node's parser holds the second in the tests.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_IMPORT: Final = re.compile(r'^import \{[^}\n]+\} from "(\./[\w./-]+\.js)";\n', re.MULTILINE)


def script(name: str) -> str:
    r"""Return the ES module of a widget, its imports within it.

    Args:
        name: ``"board"`` or ``"pairing"``.

    Example:
        >>> "\nimport " in script("board")
        False
    """
    return "\n".join(_gathered(_HERE / f"{name}.js", []))


def style(name: str) -> str:
    """Return the style sheet of a widget: what all of them share, then its own."""
    return (_HERE / "parts" / "theme.css").read_text("utf-8") + (_HERE / f"{name}.css").read_text("utf-8")


def _gathered(path: Path, seen: list[Path]) -> list[str]:
    """Return the texts of a module and of what it imports, the imported first."""
    if path in seen:
        return []
    seen.append(path)
    text = path.read_text("utf-8")
    before = [part for found in _IMPORT.findall(text) for part in _gathered((path.parent / found).resolve(), seen)]
    return [*before, _IMPORT.sub("", text)]
