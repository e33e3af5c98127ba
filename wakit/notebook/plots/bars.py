"""How long reconnections took, and how far pairings came."""

from __future__ import annotations

from collections import Counter
from typing import Final

import altair as alt
import pyarrow as pa

from wakit.notebook.plots.lengths import LENGTHS
from wakit.notebook.plots.palette import COLOURS
from wakit.notebook.plots.rows import Drawing, values

_WIDTH: Final = 480
_HEIGHT: Final = 50  # of each cause's own
_TILTED: Final = alt.Axis(labelAngle=-40)
_HEADER: Final = alt.Header(labelOrient="top", labelAnchor="start", labelPadding=2, labelLimit=_WIDTH)


def draw_lengths(losses: pa.Table, title: str) -> Drawing:
    """Draw a histogram of how long sessions were gone, for each cause; each with a scale of its own.

    On one scale the everyday losses, back in seconds, would hide the long ones, which are few.

    Args:
        losses: ``lasted, cause, losses``, the shortest first.
        title: The heading.
    """
    counted: Counter[str] = Counter()
    for row in losses.to_pylist():
        counted[row["cause"]] += row["losses"]
    causes = [cause for cause, _ in counted.most_common()]
    chart = (
        alt.Chart(alt.NamedData("losses"))
        .mark_bar(color=COLOURS["disconnected"])
        .encode(
            x=alt.X("lasted:O", sort=LENGTHS, scale=alt.Scale(domain=LENGTHS), title="gone for", axis=_TILTED),
            y=alt.Y("losses:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=3, format="d")),
            row=alt.Row("cause:N", sort=causes, title=None, header=_HEADER),
            tooltip=["cause:N", "lasted:O", "losses:Q"],
        )
        .properties(
            title=title,
            width=_WIDTH,
            height=_HEIGHT,
            description=f"{title}: {counted.total()} losses, by length, for each of {len(causes)} causes",
        )
        .resolve_scale(y="independent")
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
