"""Rows of the journal as a chart wants them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final, NamedTuple

import altair as alt
import pyarrow as pa

_SECOND: Final = "utcyearmonthdatehoursminutesseconds"


class Drawing(NamedTuple):
    """A chart, and the rows of the datasets it names.

    They travel apart, because Altair checks and copies all that a chart holds: seconds for a month of events.
    """

    chart: alt.TopLevelMixin
    datasets: dict[str, list[dict[str, Any]]]


def values(rows: pa.Table) -> list[dict[str, Any]]:
    """Return rows as a chart's dataset."""
    return [{name: plain(value) for name, value in row.items()} for row in rows.to_pylist()]


def plain(value: object) -> object:
    """Write a time of the journal (UTC, without a zone) so that a browser does not take it for its own zone's.

    Example:
        >>> plain(datetime(2026, 1, 2, 3, 4, 5))
        '2026-01-02T03:04:05.000Z'
    """
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    return value.isoformat() if isinstance(value, date) else value


def moment(field: str) -> alt.Tooltip:
    """Tell a time in a tooltip, in UTC."""
    return alt.Tooltip(f"{field}:T", timeUnit=_SECOND, format="%Y-%m-%d %H:%M:%S", title=field.replace("_", " "))
