"""The last hour of each session: counted from what the journal tells, and carried on by the live stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_fleet import session

sys.path.insert(0, str(Path(__file__).parents[1] / "journal"))
from journal_histories import MIDNIGHT, History, event, state

from wakit.control.schemas import EventInfo
from wakit.journal import Journal
from wakit.notebook.past import EARLIER, MINUTES, NONE, RECENT, Hour, Minute, Past, hour_before, news, recall, step

MINUTE = 60_000
NOW = MIDNIGHT + timedelta(hours=2, seconds=30)
SINCE = hour_before(NOW)
BEGIN = (SINCE - MIDNIGHT).total_seconds()
KINDS = ("connected", "pending", "disconnected", "failed", "off", NONE)


@pytest.fixture
def history() -> Iterator[History]:
    made = History()
    yield made
    made.connection.close()


class Asked:
    """Answers like the daemon, and remembers what it was asked."""

    def __init__(self, history: History) -> None:
        history.rows("SELECT 1")  # writes what is pending
        self.history = history
        self.queries: list[str] = []

    async def __call__(self, query: str, params: list[Any]) -> Any:
        self.queries.append(query)
        return self.history.connection.sql(query, params=params).to_arrow_table()


async def past_of(history: History, *sessions: Any) -> tuple[Past, Asked]:
    asked, past = Asked(history), Past()
    past.asked()
    past.answered(await recall(asked, SINCE), SINCE, sessions)
    return past, asked


def change(seq: int, seconds: float, name: str, state: str) -> EventInfo:
    return EventInfo(seq=seq, ts=MIDNIGHT + timedelta(seconds=seconds), kind="state", session=name, state_to=state)


def minutes_until_now(hour: Hour) -> dict[int, Minute]:
    """What the browser makes of it: the same step, to the same state."""
    now = step(hour, int(NOW.timestamp() * 1000), hour.kind)
    first = int(SINCE.timestamp()) // 60
    return {each.minute - first: each for each in now.minutes if each.minute >= first}


def test_the_hour_ends_with_the_minute_under_way() -> None:
    assert timedelta(minutes=59, seconds=30) == NOW - SINCE


async def test_a_quiet_hour_reads_only_its_own_events(history: History) -> None:
    history.start(0)
    history.state(1, "sales", "starting")
    history.state(2, "sales", "connected")
    history.state(BEGIN + 600, "sales", "reconnecting")
    history.state(BEGIN + 660, "sales", "connected")
    past, asked = await past_of(history, session("sales"), session("calm", since=MIDNIGHT))
    assert asked.queries == [RECENT]
    minutes = minutes_until_now(past.hours["sales"])
    assert [minutes[n].worst for n in (0, 9, 10, 11, 12, 59)] == [
        "connected", "connected", "disconnected", "disconnected", "connected", "connected",
    ]  # fmt: skip
    assert sum(each.down for each in minutes.values()) == 60_000
    assert sum(each.losses for each in minutes.values()) == 1
    calm = minutes_until_now(past.hours["calm"])  # nothing happened to it: its own record says since when
    assert {each.worst for each in calm.values()} == {"connected"}
    assert len(calm) == MINUTES


async def test_what_was_before_a_restart_of_the_daemon_is_asked_for(history: History) -> None:
    history.start(0, "r1")
    history.state(2, "sales", "connected", run="r1")
    history.stop(BEGIN + 600, "r1")
    history.start(BEGIN + 900, "r2")
    history.state(BEGIN + 901, "sales", "starting", run="r2")
    history.state(BEGIN + 902, "sales", "connected", run="r2")
    past, asked = await past_of(history, session("sales"))
    assert asked.queries == [RECENT, EARLIER]
    minutes = minutes_until_now(past.hours["sales"])
    assert [minutes[n].worst for n in (0, 9, 11, 14, 15, 16)] == [
        "connected", "connected", NONE, NONE, "pending", "connected",
    ]  # fmt: skip
    assert sum(each.down for each in minutes.values()) == 302_000  # it was missed, daemon or not
    assert sum(each.losses for each in minutes.values()) == 1


async def test_a_daemon_that_was_killed_is_gone_since_its_last_sign_of_life(history: History) -> None:
    history.start(0, "r1")
    history.state(2, "sales", "connected", run="r1")
    history.add(BEGIN + 300, "warning", run="r1")
    history.start(BEGIN + 900, "r2")
    history.state(BEGIN + 900, "sales", "connected", run="r2")
    past, _ = await past_of(history, session("sales"))
    minutes = minutes_until_now(past.hours["sales"])
    assert [n for n, each in minutes.items() if each.worst == NONE] == list(range(6, 15))


async def test_first_pairings_and_parking_are_not_down(history: History) -> None:
    history.start(0)
    for name in ("new", "parked"):
        history.state(2, name, "declared")
    history.state(BEGIN + 60, "new", "pairing")
    history.state(BEGIN + 120, "parked", "connected")
    history.state(BEGIN + 180, "parked", "parked")
    history.state(BEGIN + 600, "parked", "starting")
    past, _ = await past_of(history, session("new", "pairing"), session("parked", "starting"))
    for name in ("new", "parked"):
        minutes = minutes_until_now(past.hours[name])
        assert sum(each.down for each in minutes.values()) == 0, name
        assert sum(each.losses for each in minutes.values()) == 0, name
    worst = {each.worst for each in minutes_until_now(past.hours["parked"]).values()}
    assert worst == {"pending", "connected", "off"}


async def test_without_a_journal_it_is_known_since_when_each_is_what_it_is() -> None:
    past = Past()
    past.asked()
    since = NOW - timedelta(minutes=5)
    past.answered([], SINCE, [session("sales", since=since)])
    minutes = minutes_until_now(past.hours["sales"])
    assert [n for n, each in minutes.items() if each.worst == "connected"] == [54, 55, 56, 57, 58, 59]


async def test_what_happens_while_the_journal_is_asked_is_counted_once(history: History) -> None:
    history.start(0)
    history.state(2, "sales", "connected")
    history.state(BEGIN + 60, "sales", "reconnecting")  # seq 3
    past, asked = Past(), Asked(history)
    past.asked()
    past.happened(change(3, BEGIN + 60, "sales", "reconnecting"))
    past.happened(change(4, BEGIN + 120, "sales", "connected"))
    assert past.hours == {}
    past.answered(await recall(asked, SINCE), SINCE, [])
    past.happened(change(4, BEGIN + 120, "sales", "connected"))
    minutes = minutes_until_now(past.hours["sales"])
    assert sum(each.losses for each in minutes.values()) == 1
    assert sum(each.down for each in minutes.values()) == 60_000


def test_what_is_no_change_of_state_or_unknown_is_nothing() -> None:
    past = Past()
    past.happened(EventInfo(seq=1, ts=NOW, kind="dial", session="sales"))
    assert past.hours == {}
    past.happened(change(2, 0, "sales", "dreaming"))  # a newer daemon's word
    assert past.hours["sales"].kind == NONE


def test_a_lost_daemon_leaves_nothing_known() -> None:
    past = Past()
    past.happened(change(1, 0, "sales", "connected"))
    past.lost(MIDNIGHT + timedelta(minutes=5))
    hour = past.hours["sales"]
    assert (hour.kind, hour.down) == (NONE, True)


def test_an_hour_is_bounded_however_often_a_session_changes() -> None:
    hour = Hour(NONE, 0)
    for n in range(20_000):
        hour = step(hour, n * 500, ("connected", "disconnected")[n % 2])
    assert len(hour.minutes) == MINUTES
    assert sum(each.losses for each in hour.minutes) in range(3540, 3601)
    assert sum(each.down for each in hour.minutes) == pytest.approx(30 * MINUTE, abs=MINUTE)


@given(st.lists(st.tuples(st.integers(-5, 200_000), st.sampled_from(KINDS)), max_size=30), st.integers(0, 30))
def test_what_is_told_makes_the_whole(steps: list[tuple[int, str]], seen: int) -> None:
    """A browser that was told up to some step, and then what is new, knows what one knows that is told all."""
    hour, at, told_last = Hour(NONE, 1_000_000), 1_000_000, None
    for n, (later, kind) in enumerate(steps):
        at += later  # now and then a clock goes back
        hour = step(hour, at, kind)
        if n == seen:
            told_last = hour
    if not hour.minutes:
        return
    (told,) = news({"x": told_last} if told_last else {}, {"x": hour}).values() if told_last is not hour else ({},)
    if not told:
        return
    assert told["kind"] == hour.kind
    known = () if told["whole"] or told_last is None else told_last.minutes
    merged = [each for each in known if each.minute < told["minutes"][0].minute] + list(told["minutes"])
    assert merged[-len(hour.minutes) :] == list(hour.minutes)
    assert [each.minute for each in hour.minutes] == sorted({each.minute for each in hour.minutes})
    for each in hour.minutes:
        assert 0 <= each.down <= MINUTE


async def test_the_daemons_own_journal_answers_both_questions(tmp_path: Path) -> None:
    """Its fences let them through: they are asked as any user's query is."""
    journal = Journal.open(tmp_path / "journal.duckdb")
    try:
        journal.log(event(kind="daemon_start"))
        await journal.log_durably(state(1, "sales", "connected", state_from="declared"))

        async def ask(query: str, params: list[Any]) -> Any:
            return await journal.query(query, params=params)

        assert [row["session"] for row in await recall(ask, MIDNIGHT)] == ["sales"]
        (row,) = await recall(ask, MIDNIGHT + timedelta(seconds=1))
        assert (row["at"], row["was"], row["state"]) == (
            int(MIDNIGHT.timestamp() * 1000) + 1000,
            "declared",
            "connected",
        )
    finally:
        await journal.close()
