"""An answer of the journal that shows itself as a picture, and is a frame wherever one is wanted."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from wakit.errors import MissingExtraError

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from wakit.notebook.answer import Answer
    from wakit.notebook.plots.rows import Drawing

Draw: TypeAlias = "Callable[[pa.Table, str], Drawing]"
"""Makes a drawing from the rows and the title."""

VEGA_LITE: Final = "application/vnd.vegalite.v5+json"
"""What JupyterLab, VS Code and Voilà draw by themselves, without a script from the network."""
_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"


class Picture:
    """A DuckDB relation with a chart of it. Made by :meth:`Fleet.timeline` and its like.

    The chart is drawn when it is shown, from the rows as they are then.

    Args:
        title: What it shows, for people who do not see it, too.
        relation: The rows.
        draw: Makes the chart.

    Example:
        >>> uptime = journal.uptime()
        >>> uptime.title, len(uptime)
        ('Uptime', 372)
        >>> uptime.relation.filter("share < 0.6").select("session, connected").fetchall()
        [('shop-2', '11 h 0 min'), ('shop-2', '0 s'), ('shop-2', '14 h 22 min')]
    """

    def __init__(self, title: str, relation: Answer, draw: Draw) -> None:
        self.title = title
        self.relation = relation
        self._draw = draw

    def df(self) -> pd.DataFrame:
        """Return the rows as a pandas frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return self.relation.df()

    def pl(self) -> pl.DataFrame:
        """Return the rows as a Polars frame.

        Raises:
            MissingExtraError: Polars is not installed.
        """
        frame: pl.DataFrame = self.relation.pl()
        return frame

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table.

        Example:
            >>> journal.pairings().arrow().column_names
            ['step', 'method', 'pairings']
        """
        return self.relation.arrow()

    @property
    def chart(self) -> alt.TopLevelMixin:
        """The Altair chart, to be changed or combined with others.

        Raises:
            MissingExtraError: Altair is not installed.

        Example:
            >>> journal.uptime().chart.properties(width=900).width
            900
        """
        drawing = self._drawing()
        drawing.chart.datasets = drawing.datasets  # type: ignore[attr-defined] # every chart is a schema object
        return drawing.chart

    def __len__(self) -> int:
        return len(self.relation)

    def __repr__(self) -> str:
        return f"{self.title}\n{self.relation}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        try:
            drawing = self._drawing()
        except MissingExtraError as error:
            return {"text/plain": f"{self!r}\n{error.what}; {error.hint}"}
        # Charts of ours mean the same in Vega-Lite 5 and 6; the front ends know 5.
        spec = drawing.chart.to_dict() | {"$schema": _SCHEMA, "datasets": drawing.datasets}
        return {"text/plain": repr(self), VEGA_LITE: spec}

    def _display_(self) -> alt.TopLevelMixin:
        """Show it in marimo, which draws Altair's own charts."""
        return self.chart

    def _drawing(self) -> Drawing:
        if find_spec("altair") is None:
            raise MissingExtraError(
                "Pictures need Altair",
                why="it is not installed",
                hint="`pip install altair`; `.arrow()` works without",
            )
        return self._draw(self.arrow(), self.title)
