"""The timeline: a lane for each session, coloured by what it was, with incidents and edits of the file."""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import pyarrow as pa

from wakit.notebook.plots.palette import COLOURS
from wakit.notebook.plots.rows import Drawing, moment, values

_LANE: Final = 22  # pixels
_WIDTH: Final = 720
# Days at midnight, else the hour of 24, with seconds where the zoom shows them.
_LABELS: Final = (
    "utcFormat(datum.value, utcseconds(datum.value) ? '%H:%M:%S'"
    " : utchours(datum.value) || utcminutes(datum.value) ? '%H:%M' : '%a %d %b')"
)


def draw(spans: pa.Table, title: str, *, incidents: pa.Table, edits: pa.Table) -> Drawing:
    """Draw the timeline; it zooms with the wheel and pans along time.

    Args:
        spans: ``session, state, kind, from, to, lasted, reason``; one row for each time a session was in a state.
        title: The heading.
        incidents: ``session, sessions, started_at, ended_at, lasted, cause``; a session of null is the whole fleet.
        edits: ``rev, loaded_at, git_commit, git_branch, dirty`` of the declarations.
    """
    x: dict[str, Any] = {"scale": alt.Scale(type="utc"), "title": "UTC", "axis": alt.Axis(labelExpr=_LABELS)}
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    lanes = sorted({name for name in spans.column("session").to_pylist() if name is not None})
    sessions = alt.Y("session:N", sort=lanes, title=None, scale=alt.Scale(domain=lanes, paddingOuter=0.6))
    bars = (
        alt.Chart(alt.NamedData("spans"))
        .mark_bar(height=_LANE * 0.6, clip=True)
        .encode(
            x=alt.X("from:T", **x),
            x2="to:T",
            y=sessions,
            color=alt.Color(
                "kind:N", title=None, scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["session:N", "state:N", moment("from"), moment("to"), "lasted:N", "reason:N"],
        )
        .add_params(zoom)
    )  # fmt: skip
    troubles = (
        alt.Chart(alt.NamedData("troubles"))
        .mark_point(
            shape="triangle-down", size=60, filled=True, color=COLOURS["failed"], yOffset=-_LANE * 0.45, clip=True
        )
        .encode(
            x=alt.X("started_at:T", **x),
            y=sessions,
            tooltip=["session:N", moment("started_at"), "lasted:N", "cause:N"],
        )
    )
    dark = (
        alt.Chart(alt.NamedData("dark"))
        .mark_rect(opacity=0.15, color=COLOURS["failed"], clip=True)
        .encode(
            x=alt.X("started_at:T", **x),
            x2="ended_at:T",
            tooltip=["sessions:Q", moment("started_at"), "lasted:N", "cause:N"],
        )
    )
    rules = (
        alt.Chart(alt.NamedData("edits"))
        .mark_rule(strokeDash=[4, 3], color="#6e7781", clip=True)
        .encode(
            x=alt.X("loaded_at:T", **x),
            tooltip=["rev:Q", moment("loaded_at"), "git_commit:N", "git_branch:N", "dirty:N"],
        )
    )
    described = f"{title}: a lane for each of {len(lanes)} sessions, coloured by its state over time"
    chart = alt.layer(dark, bars, rules, troubles).properties(
        title=title, width=_WIDTH, height=max(_LANE, _LANE * len(lanes)), description=described
    )
    return Drawing(
        chart,
        {
            "spans": values(spans),
            "edits": values(edits),
            "troubles": values(_of(incidents, fleet_wide=False)),
            "dark": values(_of(incidents, fleet_wide=True)),
        },
    )


def _of(incidents: pa.Table, *, fleet_wide: bool) -> pa.Table:
    whole = [(name is None) is fleet_wide for name in incidents.column("session").to_pylist()]
    return incidents.filter(pa.array(whole, pa.bool_()))
