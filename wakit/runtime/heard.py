"""In which state each session was last heard of: the journal's newest word on every name, kept in memory.

An edit may bring back a name that left the file long ago, so each new name has to be looked up. The journal answers
that with a query of milliseconds and, over thousands of edits, megabytes; a name and its state take a tenth of a
kilobyte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

KEPT: Final = 10_000
"""Names kept; a megabyte or two."""


class Heard:
    """The newest state of each name, or of those heard of last if there are more than there is room for.

    Args:
        kept: How many names are kept.

    Attributes:
        complete: Whether a name that is not here was never heard of.

    Example:
        >>> heard = Heard()
        >>> heard.note("sales", "retired")
        >>> heard.known({"sales", "support"}), heard.missing({"sales", "support"})
        ({'sales': 'retired'}, {'support'})
        >>> heard.learn({"sales": "connected"}, complete=True)  # older than what was noted
        >>> heard.known({"sales"}), heard.missing({"sales", "support"})
        ({'sales': 'retired'}, set())
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.complete = False
        self._kept = kept
        self._states: dict[str, str] = {}  # who was heard of last comes last

    def note(self, name: str, state: str) -> None:
        """Take in what happens now."""
        self._states.pop(name, None)
        self._states[name] = state
        while len(self._states) > self._kept:
            del self._states[next(iter(self._states))]
            self.complete = False

    def learn(self, states: Mapping[str, str], *, complete: bool) -> None:
        """Take in what the journal knows of earlier times, the name heard of last coming last.

        Args:
            states: By name.
            complete: Whether the journal knows of nobody else.
        """
        known, self._states, self.complete = self._states, {}, complete
        for name, state in (*states.items(), *known.items()):
            self.note(name, state)

    def known(self, names: Iterable[str]) -> dict[str, str]:
        """Return the states of those of these names that are here."""
        return {name: self._states[name] for name in names if name in self._states}

    def missing(self, names: Iterable[str]) -> set[str]:
        """Return those of these names that only the journal can tell of."""
        return set() if self.complete else {name for name in names if name not in self._states}
