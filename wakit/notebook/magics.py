"""``%wakit`` and ``%%wakit sql``: the fleet without a variable for it. Loaded by ``%load_ext wakit``.

The fleet is the one the notebook has already (the newest variable that is one), else the one of the nearest
sessions.toml. Nothing is started: where no daemon runs, that is said.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from wakit.errors import WakitError
from wakit.notebook.connect import connect
from wakit.notebook.fleet import Fleet

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from wakit.notebook.answer import Answer

Order: TypeAlias = Callable[[Fleet, list[str]], Any]

USAGE: Final = """\
%wakit                      the board
%wakit plan                 what the daemon would do now
%wakit pair NAME            the pairing widget
%wakit restart|park|resume NAME
%wakit events|logs NAME     what happened to it; the last lines of its log
%wakit timeline|uptime|reconnects|pairings [NAME ...]
%wakit sql QUERY            a question to the journal
%%wakit sql [--out NAME]    the same, over several lines; the answer goes into a variable, too
%wakit connect [FOLDER]     another fleet from now on"""

_FOR_ONE: Final[Mapping[str, Order]] = MappingProxyType(
    {
        "pair": lambda fleet, names: fleet[names[0]].pair(),
        "restart": lambda fleet, names: fleet[names[0]].restart(),
        "park": lambda fleet, names: fleet[names[0]].park(),
        "resume": lambda fleet, names: fleet[names[0]].resume(),
        "events": lambda fleet, names: fleet[names[0]].events(),
        "logs": lambda fleet, names: fleet[names[0]].logs(),
    }
)
_FOR_SOME: Final[Mapping[str, Order]] = MappingProxyType(
    {
        "timeline": lambda fleet, names: fleet.timeline(*names),
        "uptime": lambda fleet, names: fleet.uptime(*names),
        "reconnects": lambda fleet, names: fleet.reconnects(*names),
        "pairings": lambda fleet, names: fleet.pairings(*names),
    }
)
_FOR_ALL: Final[Mapping[str, Order]] = MappingProxyType(
    {"status": lambda fleet, _: fleet, "plan": lambda fleet, _: fleet.plan()}
)
WORDS: Final = ("status", "plan", *_FOR_ONE, *_FOR_SOME, "sql", "connect", "help")


@magics_class
class WakitMagics(Magics):
    """The magics of one kernel."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._variables: dict[str, Any] = shell.user_ns
        self._fleet: Fleet | None = None

    @line_cell_magic
    def wakit(self, line: str, cell: str | None = None) -> Any:
        """Show or order; ``%wakit help`` lists what there is.

        Example:
            >>> shell.run_line_magic("wakit", "plan")
            Nothing to do: the sessions are as declared.
            >>> shell.run_cell_magic("wakit", "sql --out now", "SELECT session, state FROM sessions_now").fetchall()
            [('sales', 'connected')]
            >>> shell.user_ns["now"].columns
            ['session', 'state']
        """
        word, _, rest = line.strip().partition(" ")
        try:
            if word == "sql" or (cell is not None and not word):
                return self._sql(rest, cell)
            if cell is not None:
                raise UsageError(f"%%wakit knows `sql` only, not {word!r}")
            return self._order(word, _split(rest))
        except WakitError as error:  # a user's mistake is one line, as everywhere, and no traceback
            raise UsageError(_said(error)) from None

    def _order(self, word: str, names: list[str]) -> Any:
        if word == "help":
            print(USAGE)  # noqa: T201 - a magic speaks by printing
            return None
        if word == "connect":
            self._fleet = connect(*names[:1])
            return self._fleet
        if word in _FOR_ONE:
            if len(names) != 1:
                raise UsageError(f"`%wakit {word}` is about one session: `%wakit {word} NAME`")
            return _FOR_ONE[word](self.fleet, names)
        order = _FOR_SOME.get(word) or _FOR_ALL.get(word or "status")
        if order is None:
            raise UsageError(f"%wakit does not know {word!r}; it knows:\n{USAGE}")
        return order(self.fleet, names)

    def _sql(self, rest: str, cell: str | None) -> Answer:
        if cell is None:
            if not rest.strip():
                raise UsageError("`%wakit sql` needs a query behind it; `%%wakit sql` takes the lines below it")
            return self.fleet.sql(rest, names=self._variables)
        words = _split(rest)
        if words[:1] not in ([], ["--out"]) or len(words) not in (0, 2):
            raise UsageError("`%%wakit sql` takes `--out NAME` and nothing else; the query stands below it")
        if words and not words[1].isidentifier():
            raise UsageError(f"{words[1]!r} cannot be a variable")
        answer = self.fleet.sql(cell, names=self._variables)
        if words:
            self._variables[words[1]] = answer
        return answer

    @property
    def fleet(self) -> Fleet:
        """The notebook's fleet; attached to the nearest one when it has none."""
        held = self._held()
        if held is None:
            held = self._fleet = connect()
        return held

    def _held(self) -> Fleet | None:
        """Return the fleet that is meant, if there is one already: asking for it must not connect anything."""
        if self._fleet is not None and not self._fleet.closed:
            return self._fleet
        held = [value for value in self._variables.values() if isinstance(value, Fleet) and not value.closed]
        return held[-1] if held else None

    def complete(self, _: Any, event: Any) -> list[str]:
        """Complete what follows ``%wakit``: words first, then names of sessions."""
        typed = event.line.split()
        if len(typed) + event.line.endswith(" ") <= 2:  # noqa: PLR2004 - the magic, and the word that is being typed
            return list(WORDS)
        fleet = self._held()
        return list(fleet) if fleet is not None and typed[1] in {*_FOR_ONE, *_FOR_SOME} else []


def load(shell: InteractiveShell) -> None:
    """Make the magics known to a shell; what ``%load_ext wakit`` calls."""
    magics = WakitMagics(shell)
    shell.register_magics(magics)
    for key in ("%wakit", "%%wakit"):
        shell.set_hook("complete_command", magics.complete, str_key=key)  # type: ignore[no-untyped-call]


def _split(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"That cannot be read: {str(error).lower()}") from None


def _said(error: WakitError) -> str:
    why = f": {error.why}" if error.why else ""
    return f"{error.what}{why}" + (f"\nhint: {error.hint}" if error.hint else "")
