"""An answer of the journal: a DuckDB relation that speaks to people, when it is shown and when it goes wrong.

DuckDB's relations are questions, not copies: each reading runs the query again. So a mistake may show itself only when
the rows are read, long after ``fleet.sql()`` has returned, and DuckDB's own error would then come with the frames of
whatever displays it. :class:`Answer` is the same relation with the readings that turn such an error into two lines, and
with a table that a screen reader can walk through.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self

import duckdb

from wakit.errors import MissingExtraError, QueryError

if TYPE_CHECKING:
    import pyarrow as pa

_OF_A_FRAME: Final = {"df": "pandas", "to_df": "pandas", "fetchdf": "pandas", "fetchnumpy": "numpy", "pl": "polars"}
_POINTER: Final = re.compile(r"\s*LINE (\d+):.*", re.DOTALL)
_STRANGER: Final = re.compile(r'Python Object "(\w+)" of type "(\w+)"')
_HINTS: Final = {
    duckdb.BinderException: "`DESCRIBE events` lists its columns",
    duckdb.CatalogException: "`SHOW TABLES` lists tables and views",
}
_COUNTED: Final = re.compile(r"<p><small>(\d+) of (.*)</small></p>$")


def wrong(error: duckdb.Error) -> QueryError:
    r"""Say a query's mistake in words: DuckDB's, without its drawing of the query.

    Example:
        >>> wrong(duckdb.BinderException('Binder Error: no column "x"\n\nLINE 2: SELECT x\n         ^')).why
        'no column "x" (line 2 of the query)'
    """
    kind, _, text = str(error).partition(": ")
    if isinstance(error, duckdb.ConnectionException):
        return QueryError(
            "The answer can no longer be read", why="the fleet or journal it is from was closed", hint="connect again"
        )
    if stranger := _STRANGER.match(text):
        return QueryError(
            f"{stranger[1]} is nothing to ask",
            why=f"the journal has no such table, and the variable of that name is of type {stranger[2]}",
            hint="a frame is pandas', Polars' or Arrow's, or an answer of this journal",
        )
    place = _POINTER.search(text)
    why = " ".join(_POINTER.sub("", text).split())
    if place is not None:
        why = f"{why} (line {place[1]} of the query)"
    hints = [hint for known, hint in _HINTS.items() if isinstance(error, known)]
    return QueryError(f"The query is wrong ({kind})", why=why, hint="".join(hints))


def _reading(name: str) -> Any:
    """Return the relation's method of that name, with its errors in our words."""
    of_duckdb: Callable[..., Any] = getattr(duckdb.DuckDBPyRelation, name)

    @functools.wraps(of_duckdb)
    def read(self: Answer, *args: Any, **kwargs: Any) -> Any:
        try:
            return of_duckdb(self, *args, **kwargs)
        except duckdb.Error as error:
            raise wrong(error) from None
        except ImportError:
            library = _OF_A_FRAME.get(name)
            if library is None:
                raise
            raise MissingExtraError(
                f"`.{name}()` needs {library}",
                why="it is not installed",
                hint=f"`pip install {library}`; `.arrow()` works without",
            ) from None

    return read


class Answer(duckdb.DuckDBPyRelation):
    """What :meth:`Fleet.sql` gives: a DuckDB relation, to be read, refined, joined or shown.

    Everything DuckDB says of relations holds: ``.filter()``, ``.aggregate()`` and the like make further ones, and each
    reading asks anew. ``.materialize()`` keeps the rows as they are now. https://duckdb.org/docs/stable/clients/python/

    Example:
        >>> losses = journal.sql("SELECT session, seconds FROM reconnects")
        >>> losses.filter("seconds > 3600").aggregate("count(*) AS long").fetchall()
        [(7,)]
        >>> journal.sql("SELECT 'shop-1' AS session, 3 AS losses").to_dicts()
        [{'session': 'shop-1', 'losses': 3}]
    """

    __slots__ = ()

    @classmethod
    def of(cls, relation: Any) -> Self:
        """Let a relation speak as an answer; it is the same object."""
        # A relation has no constructor; a subclass without fields of its own may take its place.
        relation.__class__ = cls
        return relation  # type: ignore[no-any-return]

    fetchall = _reading("fetchall")
    to_dicts = _reading("to_dicts")
    df = _reading("df")
    to_df = _reading("to_df")
    fetchdf = _reading("fetchdf")
    fetchnumpy = _reading("fetchnumpy")
    pl = _reading("pl")
    to_arrow_table = _reading("to_arrow_table")
    to_arrow_reader = _reading("to_arrow_reader")
    materialize = _reading("materialize")
    show = _reading("show")
    __len__ = _reading("__len__")
    __str__ = _reading("__str__")
    __repr__ = _reading("__repr__")
    __arrow_c_stream__ = _reading("__arrow_c_stream__")
    _bundle = _reading("_repr_mimebundle_")

    def arrow(self, batch_size: int = 1_000_000) -> pa.Table:
        """Return the rows as an Arrow table; ``to_arrow_reader()`` streams them.

        Args:
            batch_size: The most rows in one of its chunks.
        """
        return self.to_arrow_table(batch_size)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return the first rows as text, and as a table with a caption and headings that say what they head."""
        bundle: dict[str, str] = self._bundle(include, exclude)
        return bundle | {"text/html": _readable(bundle["text/html"])}


def _readable(table: str) -> str:
    """Give DuckDB's table what a screen reader needs; what comes from the journal is escaped in it already."""
    counted = _COUNTED.search(table)
    if counted:
        caption = f"{counted[2]}, the first {counted[1]} of them"
    else:
        rows = table.count("<tr>") - 1
        caption = "1 row" if rows == 1 else f"{rows or 'no'} rows"
    table = _COUNTED.sub("", table).replace("<th>", '<th scope="col">')
    return table.replace("<thead>", f'<caption style="text-align:left">{caption}</caption><thead>', 1)
