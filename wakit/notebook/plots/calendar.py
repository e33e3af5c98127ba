"""The uptime calendar: a square for each session and day, the darker the longer it was not connected."""

from __future__ import annotations

from typing import Final

import altair as alt
import pyarrow as pa

from wakit.notebook.plots.rows import Drawing, values

_SQUARE: Final = 20  # pixels
_GAP: Final = 0.1  # of a square, in whatever colour the page has
# Most days are near 1; what matters is how far from it they are.
_STEPS: Final = (0.5, 0.9, 0.99, 0.999)
_SHADES: Final = ("#cf222e", "#e16f24", "#d4a72c", "#7fc794", "#2da44e")


def draw(days: pa.Table, title: str) -> Drawing:
    """Draw the calendar.

    Args:
        days: ``session, day, share, connected, observed`` (the last two in words); a day that was not observed has no
            row and stays empty.
        title: The heading.
    """
    names = sorted(set(days.column("session").to_pylist()))
    dates = len(set(days.column("day").to_pylist()))
    chart = (
        alt.Chart(alt.NamedData("days"))
        .mark_rect()
        .encode(
            x=alt.X(
                "day:O",
                timeUnit="utcyearmonthdate",
                title="day (UTC)",
                axis=alt.Axis(format="%d %b", labelAngle=-60),
                scale=alt.Scale(paddingInner=_GAP),
            ),
            y=alt.Y("session:N", sort=names, title=None, scale=alt.Scale(paddingInner=_GAP)),
            color=alt.Color(
                "share:Q",
                title="connected",
                scale=alt.Scale(type="threshold", domain=list(_STEPS), range=list(_SHADES)),
                legend=alt.Legend(format=".1%"),
            ),
            tooltip=[
                "session:N",
                alt.Tooltip("day:T", timeUnit="utcyearmonthdate", format="%Y-%m-%d", title="day"),
                alt.Tooltip("share:Q", format=".2%"),
                "connected:N",
                "observed:N",
            ],
        )
        .properties(
            title=title,
            width=alt.Step(_SQUARE),
            height=alt.Step(_SQUARE),
            description=f"{title}: {len(names)} sessions over {dates} days, coloured by the share of time connected",
        )
    )
    return Drawing(chart, {"days": values(days)})
