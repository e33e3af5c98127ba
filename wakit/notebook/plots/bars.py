"""How long reconnections took, and how far pairings came."""

from __future__ import annotations

from typing import Final

import altair as alt
import pyarrow as pa

from wakit.notebook.plots.palette import COLOURS
from wakit.notebook.plots.rows import Drawing, values

_WIDTH: Final = 480


def draw_lengths(losses: pa.Table, title: str) -> Drawing:
    """Draw a histogram of how long sessions were gone, by cause.

    Args:
        losses: ``bin, lasted, cause, losses``: bins in order, with their words.
        title: The heading.
    """
    order = list(dict.fromkeys(losses.column("lasted").to_pylist()))
    total = sum(losses.column("losses").to_pylist())
    chart = (
        alt.Chart(alt.NamedData("losses"))
        .mark_bar()
        .encode(
            x=alt.X("lasted:O", sort=order, title="gone for", axis=alt.Axis(labelAngle=-40)),
            y=alt.Y("sum(losses):Q", title="losses"),
            color=alt.Color("cause:N", title=None, legend=alt.Legend(orient="bottom", columns=1, labelLimit=400)),
            tooltip=["lasted:O", "cause:N", alt.Tooltip("sum(losses):Q", title="losses")],
        )
        .properties(
            title=title,
            width=_WIDTH,
            description=f"{title}: {total} losses, by length and cause",
        )
    )
    return Drawing(chart, {"losses": values(losses)})


def draw_funnel(steps: pa.Table, title: str) -> Drawing:
    """Draw how many pairings came how far, by method.

    Args:
        steps: ``step, method, pairings``, the steps in order.
        title: The heading.
    """
    order = list(dict.fromkeys(steps.column("step").to_pylist()))
    chart = (
        alt.Chart(alt.NamedData("steps"))
        .mark_bar()
        .encode(
            y=alt.Y("step:O", sort=order, title=None),
            x=alt.X("sum(pairings):Q", title="pairings"),
            color=alt.Color("method:N", title="by", scale=alt.Scale(range=["#0969da", "#8250df", COLOURS["off"]])),
            tooltip=["step:O", "method:N", alt.Tooltip("sum(pairings):Q", title="pairings")],
        )
        .properties(
            title=title,
            width=_WIDTH,
            description=f"{title}: from begun to linked, by method",
        )
    )
    return Drawing(chart, {"steps": values(steps)})
