"""The names of the cell that asks, so that a query may name its frames.

DuckDB looks for a table it does not know among the variables of the frame that calls it. Between a user's cell and
DuckDB lie frames of ours, with variables of their own (``query``, ``params``): looking through all of them, as DuckDB
can, would find those first. So the call is made in a frame that has the user's names and nothing else.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

_WORDS: Final = re.compile(r"\w+")
_OURS: Final = f"{Path(__file__).parents[1]}{os.sep}"
_CALL: Final = compile("__wakit_ask(__wakit_query, params=__wakit_params)", "<the query>", "eval")


def names_of_the_caller() -> dict[str, Any]:
    """Return the variables that the first frame outside of wakit sees; those of its callers in the same file, too."""
    frame = sys._getframe(1)  # noqa: SLF001 - there is no public way to the caller's variables
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    file, found = frame.f_code.co_filename, dict(frame.f_globals)
    seen = []
    while frame is not None and frame.f_code.co_filename == file:  # a list comprehension is a frame of its own
        seen.append(frame.f_locals)
        frame = frame.f_back  # type: ignore[assignment]
    for names in reversed(seen):
        found |= names
    return found


def ask(sql: Callable[..., Any], query: str, params: object, names: Mapping[str, Any]) -> Any:
    """Call ``sql(query, params=params)`` where only ``names`` are to be found.

    Example:
        >>> ask(lambda query, params: (query, params), "FROM owners", None, {"owners": 1})
        ('FROM owners', None)
    """
    wanted = {word: names[word] for word in _WORDS.findall(query) if word in names}
    ours = {"__builtins__": {}, "__wakit_ask": sql, "__wakit_query": query, "__wakit_params": params}
    return eval(_CALL, ours, wanted)  # noqa: S307 - our own line; only the names it sees are the user's
