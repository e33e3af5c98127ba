"""What the journal tells: questions in SQL, and the pictures people ask for most.

A fleet is one, and so is a journal that was kept, or sent by somebody: :func:`wakit.read_journal`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from wakit.core.lifecycle import State
from wakit.errors import QueryError
from wakit.notebook.names import no_such_session
from wakit.notebook.picture import Picture
from wakit.notebook.plots.lengths import BINS
from wakit.notebook.plots.palette import kind_of

if TYPE_CHECKING:
    import pyarrow as pa

    from wakit.notebook.answer import Answer
    from wakit.notebook.plots.rows import Drawing

Moment = str | date | datetime
"""A day (``"2026-11-17"``, its first moment in UTC), or a time; one without a zone is UTC, as the journal's are."""

_ALWAYS: Final = (datetime(1970, 1, 1), datetime(9999, 1, 1))  # noqa: DTZ001 - the journal's times have no zone
_MOST: Final = 20_000  # lanes' pieces that a browser still draws at once
_LASTED: Final = """
    CASE WHEN s IS NULL THEN NULL
         WHEN s < 60 THEN printf('%.3g s', s)
         WHEN s < 3600 THEN printf('%d min %d s', s::BIGINT // 60, s::BIGINT % 60)
         WHEN s < 172800 THEN printf('%d h %d min', s::BIGINT // 3600, s::BIGINT % 3600 // 60)
         ELSE printf('%d d %d h', s::BIGINT // 86400, s::BIGINT % 86400 // 3600) END
"""
_LENGTH: Final = "to_microseconds((s * 1e6)::BIGINT)"
_CHOSEN: Final = "(len($names::VARCHAR[]) = 0 OR list_contains($names::VARCHAR[], session))"
_KIND: Final = "CASE state " + " ".join(f"WHEN '{state}' THEN '{kind_of(state)}'" for state in State) + " END"
_BIN: Final = "CASE " + " ".join(
    f"WHEN seconds < '{end}'::DOUBLE THEN {place}" for place, end in enumerate(BINS.values(), start=1)
) + " END"  # fmt: skip
_BIN_WORDS: Final = "CASE bin " + " ".join(f"WHEN {n} THEN '{words}'" for n, words in enumerate(BINS, start=1)) + " END"


class Chronicle(ABC):
    """Questions to one journal, and pictures of the answers.

    Example:
        >>> journal.timeline("emea-1", since="2026-10-13", until="2026-10-14").title
        'Timeline since 2026-10-13 until 2026-10-14'
    """

    @abstractmethod
    def sql(
        self,
        query: str,
        params: Mapping[str, Any] | list[Any] | None = None,
        *,
        names: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Ask the journal; the answer is a DuckDB relation.

        Example:
            >>> journal.sql("SELECT count(*) FROM declarations WHERE rev > ?", [2]).fetchall()
            [(1,)]
        """

    def _declared(self) -> Iterable[str]:
        """Return names that are known although the journal may have nothing of them."""
        return ()

    def _params(self, sessions: Sequence[str], window: _Window) -> dict[str, Any]:
        if sessions:
            found = self.sql("SELECT DISTINCT session FROM events WHERE session IS NOT NULL").fetchall()
            known = {*self._declared(), *(name for (name,) in found)}
            for name in sessions:
                if name not in known:
                    listed = "`SELECT DISTINCT session FROM events` lists them"
                    raise no_such_session(name, sorted(known), what="known", listed=listed)
        return window.params(sessions)

    def events(self) -> Answer:
        """Return all events of the journal, oldest first, as a DuckDB relation.

        Example:
            >>> journal.events().columns[:4]
            ['seq', 'ts', 'session', 'kind']
        """
        return self.sql("SELECT * FROM events ORDER BY seq")

    def timeline(self, *sessions: str, since: Moment | None = None, until: Moment | None = None) -> Picture:
        """Show who was what when: a lane for each session, with incidents, and a line for each edit of the file.

        Zoom with the wheel, pan along the time, and point at a piece for its reason.

        Args:
            sessions: Names; all if none is given.
            since: From when; the journal's beginning if None.
            until: Until when; the newest if None.

        Returns:
            A picture whose rows are ``session, state, kind, from, to, lasted, seconds, reason, git_commit``.

        Raises:
            UnknownSessionError: The journal has never heard of a name.
            QueryError: A time cannot be read, or there is more than a browser draws; say since when.

        Example:
            >>> tuesday = journal.timeline("emea-1", since="2026-10-13T09:00", until="2026-10-13T12:00")
            >>> tuesday.relation.filter("state <> 'connected'").select("state, reason").limit(1).fetchall()
            [('reconnecting', 'its declaration changed')]
        """
        window = _Window(since, until)
        spans = self.sql(
            f"""
            WITH pieces AS (
                SELECT session, state, "from", coalesce("to", "from" + {_LENGTH}) AS "to", s, reason, git_commit, seq
                FROM (SELECT *, duration AS s FROM intervals)
            )
            SELECT session, state, {_KIND} AS kind, greatest("from", $since) AS "from", least("to", $until) AS "to",
                   {_LASTED} AS lasted, s AS seconds, reason, git_commit
            FROM pieces
            WHERE {_CHOSEN} AND "to" >= $since AND "from" <= $until
            ORDER BY seq
            """,  # noqa: S608 - pieces of ours
            self._params(sessions, window),
        )
        return Picture("Timeline" + window.words, spans, partial(self._draw_timeline, window.params(sessions)))

    def uptime(self, *sessions: str, since: Moment | None = None, until: Moment | None = None) -> Picture:
        """Show how much of each day each session was connected.

        Args:
            sessions: Names; all if none is given.
            since: From which day.
            until: Until which day, with it.

        Returns:
            A picture whose rows are ``session, day, share, connected, observed, seconds``.

        Raises:
            UnknownSessionError: The journal has never heard of a name.
            QueryError: A time cannot be read.

        Example:
            >>> journal.uptime("shop-2", since="2026-10-08", until="2026-10-10").relation.select("connected").fetchall()
            [('11 h 0 min',), ('0 s',), ('14 h 22 min',)]
        """
        window = _Window(since, until, days=True)
        days = self.sql(
            f"""
            SELECT session, day, share,
                   (SELECT {_LASTED} FROM (SELECT seconds AS s)) AS connected,
                   (SELECT {_LASTED} FROM (SELECT observed AS s)) AS observed,
                   seconds
            FROM uptime_daily
            WHERE {_CHOSEN} AND day + INTERVAL 1 DAY > $since AND day <= $until
            ORDER BY session, day
            """,  # noqa: S608 - pieces of ours
            self._params(sessions, window),
        )
        return Picture("Uptime" + window.words, days, _draw_calendar)

    def reconnects(self, *sessions: str, since: Moment | None = None, until: Moment | None = None) -> Picture:
        """Show how long connections were lost for, and why.

        Args:
            sessions: Names; all if none is given.
            since: Losses from when on.
            until: And until when.

        Returns:
            A picture whose rows are ``lasted, cause, losses``, the shortest first. Each loss alone is in the view
            ``reconnects``.

        Raises:
            UnknownSessionError: The journal has never heard of a name.
            QueryError: A time cannot be read.

        Example:
            >>> journal.reconnects("shop-1").relation.columns
            ['lasted', 'cause', 'losses']
        """
        window = _Window(since, until)
        losses = self.sql(
            f"""
            WITH binned AS (
                SELECT {_BIN} AS bin, coalesce(nullif(reason, ''), code, 'unknown') AS cause
                FROM reconnects
                WHERE {_CHOSEN} AND lost_at >= $since AND lost_at <= $until
            )
            SELECT {_BIN_WORDS} AS lasted, cause, count(*) AS losses
            FROM binned
            GROUP BY bin, cause
            ORDER BY bin, losses DESC, cause
            """,  # noqa: S608 - pieces of ours
            self._params(sessions, window),
        )
        return Picture("Reconnections" + window.words, losses, _draw_lengths)

    def pairings(self, *sessions: str, since: Moment | None = None, until: Moment | None = None) -> Picture:
        """Show how far pairings came: begun, a code shown, linked.

        Args:
            sessions: Names; all if none is given.
            since: Pairings begun from when on.
            until: And until when.

        Returns:
            A picture whose rows are ``step, method, pairings``. Each attempt alone is in the view ``pairings``.

        Raises:
            UnknownSessionError: The journal has never heard of a name.
            QueryError: A time cannot be read.

        Example:
            >>> journal.pairings().relation.filter("method = 'code'").fetchall()
            [('begun', 'code', 6), ('a code shown', 'code', 6), ('linked', 'code', 4)]
        """
        window = _Window(since, until)
        steps = self.sql(
            f"""
            WITH asked AS (
                SELECT coalesce(method, 'unknown') AS method, shown, outcome FROM pairings
                WHERE {_CHOSEN} AND started_at >= $since AND started_at <= $until
            )
            SELECT step, method, pairings FROM (
                SELECT 1 AS n, 'begun' AS step, method, count(*) AS pairings FROM asked GROUP BY method
                UNION ALL
                SELECT 2, 'a code shown', method, count(*) FILTER (shown > 0) FROM asked GROUP BY method
                UNION ALL
                SELECT 3, 'linked', method, count(*) FILTER (outcome = 'paired') FROM asked GROUP BY method
            )
            ORDER BY n, method
            """,  # noqa: S608 - pieces of ours
            self._params(sessions, window),
        )
        return Picture("Pairings" + window.words, steps, _draw_funnel)

    def _draw_timeline(self, params: Mapping[str, Any], spans: pa.Table, title: str) -> Drawing:
        from wakit.notebook.plots import lanes  # noqa: PLC0415 - Altair only where something is drawn

        if spans.num_rows > _MOST:
            raise QueryError(
                "The timeline is too long to be drawn",
                why=f"it has {spans.num_rows} pieces",
                hint='say since when: `.timeline(since="2026-11-01")`, or name sessions',
            )
        incidents = self.sql(
            f"""
            SELECT session, sessions, greatest(started_at, $since) AS started_at, least(over_at, $until) AS ended_at,
                   {_LASTED} AS lasted, cause
            FROM (
                SELECT *, coalesce(ended_at, started_at + {_LENGTH}) AS over_at
                FROM (SELECT *, seconds AS s FROM incidents)
            )
            WHERE ({_CHOSEN} OR session IS NULL) AND over_at >= $since AND started_at <= $until
            """,  # noqa: S608 - pieces of ours
            dict(params),
        )
        edits = self.sql(
            "SELECT rev, loaded_at, git_commit, git_branch, dirty FROM declarations "
            "WHERE loaded_at >= $since AND loaded_at <= $until",
            {end: params[end] for end in ("since", "until")},
        )
        return lanes.draw(spans, title, incidents=incidents.to_arrow_table(), edits=edits.to_arrow_table())


@dataclass(frozen=True, slots=True)
class _Window:
    """From when to when, as a person said it."""

    since: Moment | None
    until: Moment | None
    days: bool = False  # both ends are days, and the last one counts

    def params(self, sessions: Sequence[str]) -> dict[str, Any]:
        since = _ALWAYS[0] if self.since is None else _moment(self.since)
        until = _ALWAYS[1] if self.until is None else _moment(self.until)
        if until < since or (until == since and not self.days):
            raise QueryError("That is no span of time", why=f"{until} is not after {since}")
        return {"names": list(sessions), "since": since, "until": until}

    @property
    def words(self) -> str:
        since = f" since {_said(self.since)}" if self.since is not None else ""
        return since + (f" until {_said(self.until)}" if self.until is not None else "")


def _moment(given: Moment) -> datetime:
    """Return a time as the journal has it: UTC, without a zone."""
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            raise QueryError(
                "That is no time",
                why=f"{given!r} is no ISO date",
                hint='for example "2026-11-17" or "2026-11-17T08:30"',
            ) from None
    if not isinstance(given, datetime):
        given = datetime.combine(given, time())
    return given.astimezone(UTC).replace(tzinfo=None) if given.tzinfo else given


def _said(given: Moment) -> str:
    return f"{_moment(given):%Y-%m-%d %H:%M}".removesuffix(" 00:00")


def _draw_calendar(rows: pa.Table, title: str) -> Drawing:
    from wakit.notebook.plots import calendar  # noqa: PLC0415

    return calendar.draw(rows, title)


def _draw_lengths(rows: pa.Table, title: str) -> Drawing:
    from wakit.notebook.plots import bars  # noqa: PLC0415

    return bars.draw_lengths(rows, title)


def _draw_funnel(rows: pa.Table, title: str) -> Drawing:
    from wakit.notebook.plots import bars  # noqa: PLC0415

    return bars.draw_funnel(rows, title)
