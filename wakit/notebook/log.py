"""The end of a session's log: lines for a program, words for a person."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape


class Log(list[str]):
    """Lines of a log, oldest first, each one JSON object. Made by :meth:`Session.logs`.

    Args:
        session: Whose it is.
        lines: The lines.

    Example:
        >>> log = Log("sales", ['{"ts": "2026-01-01T00:00:00Z", "level": "info", "text": "up"}'])
        >>> log
        2026-01-01T00:00:00Z info up
        >>> log.entries()[0]["level"]
        'info'
    """

    def __init__(self, session: str, lines: Iterable[str] = ()) -> None:
        super().__init__(lines)
        self.session = session

    def entries(self) -> list[dict[str, object]]:
        """Return each line as a dict; a line that is none (something else wrote it) as its ``text``.

        Example:
            >>> Log("sales", ["panic!"]).entries()
            [{'text': 'panic!'}]
        """
        return [_entry(line) for line in self]

    def __repr__(self) -> str:
        return "\n".join(_words(line) for line in self) or f"The log of {self.session} is empty."

    def _repr_html_(self) -> str:
        return f'<pre aria-label="Log of {escape(self.session)}" tabindex="0">{escape(repr(self))}</pre>'


def _entry(line: str) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) else {"text": line}


def _words(line: str) -> str:
    entry = _entry(line)
    trace = entry.pop("trace", None)
    told = " ".join(str(value) for value in entry.values() if value not in (None, "", {}))
    return f"{told}\n{trace}" if trace else told
