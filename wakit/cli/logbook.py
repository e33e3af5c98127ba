"""``logs``: the last lines of a log, and the ones that are added. Reads the files, so it needs no daemon."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from wakit.cli.fleet import Fleet
from wakit.core.declaration import SESSION_NAME
from wakit.errors import UnknownSessionError

_OURS: Final = ("_daemon", "_workers")  # logs of no session
_NAMED: Final = 10  # names in an error, at most
_LOOK: Final = 0.2  # seconds between two looks at a file that is followed


def show(fleet: Fleet, name: str, lines: int, *, follow: bool, as_json: bool) -> None:
    """Print a log.

    Raises:
        UnknownSessionError: There is no log of that name.
    """
    path = fleet.logs / f"{name}.log"
    if not (name in _OURS or SESSION_NAME.fullmatch(name)) or not path.is_file():
        known = sorted(found.stem for found in fleet.logs.glob("*.log")) if fleet.logs.is_dir() else []
        raise UnknownSessionError(
            "There is no log of that name", why="a session has one once it was started", hint=_hint(name, known)
        )
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=lines):
            _print(line, as_json=as_json)
        if follow:
            for line in _follow(path, file.fileno(), file.tell()):
                _print(line, as_json=as_json)


def _hint(name: str, known: list[str]) -> str:
    if not known:
        return "nothing was started yet: `wakit up`"
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return f"there are: {', '.join(known[:_NAMED])}{more}"


def _follow(path: Path, opened: int, position: int) -> Iterator[str]:
    """Yield what is added; when the log is rotated (another file stands in its place), begin with the new one."""
    inode = os.fstat(opened).st_ino
    rest = ""
    while True:
        try:
            found = path.stat()
        except FileNotFoundError:
            time.sleep(_LOOK)
            continue
        if found.st_ino != inode or found.st_size < position:
            inode, position, rest = found.st_ino, 0, ""
        with path.open(encoding="utf-8", errors="replace") as file:
            file.seek(position)
            *whole, rest = (rest + file.read()).split("\n")
            position = file.tell()
        yield from (line + "\n" for line in whole)
        time.sleep(_LOOK)


def _print(line: str, *, as_json: bool) -> None:
    sys.stdout.write(line if as_json else readable(line))
    sys.stdout.flush()


def readable(line: str) -> str:
    r"""Turn a JSON line into words; any other line stays as it is.

    Example:
        >>> readable('{"ts": "2026-01-01T00:00:00Z", "level": "info", "text": "up"}\n')
        '2026-01-01T00:00:00Z info up\n'
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    trace = entry.pop("trace", "")
    told = " ".join(value if isinstance(value, str) else json.dumps(value) for value in entry.values())
    return f"{told}\n{trace}\n" if trace else f"{told}\n"
