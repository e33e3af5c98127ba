"""The views, against histories small enough to compute by hand. Times are seconds after midnight, 1 March 2026 UTC."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_histories import History

DAY = 86_400.0
STATES = ["declared", "starting", "pairing", "connected", "degraded", "reconnecting", "failed", "parked", "retired"]


def spans(history: History) -> list[tuple[Any, ...]]:
    return history.rows('SELECT session, state, "from", "to", duration FROM intervals ORDER BY session, seq')


def test_an_interval_ends_where_the_next_begins_and_the_last_is_open(history: History) -> None:
    history.start(0)
    history.state(10, "sales", "starting")
    history.state(12, "sales", "connected")
    history.add(100, "plan")
    assert spans(history) == [("sales", "starting", 10, 12, 2), ("sales", "connected", 12, None, 88)]


def test_a_stopped_daemon_closes_its_intervals(history: History) -> None:
    history.start(0)
    history.state(10, "sales", "connected")
    history.stop(50)
    assert spans(history) == [("sales", "connected", 10, 50, 40)]


def test_a_dead_daemon_s_intervals_end_with_its_last_event_when_another_starts(history: History) -> None:
    history.start(0)
    history.state(10, "sales", "connected")
    history.add(60, "dial", session="sales")
    history.start(1000, run="r2")  # nobody ran from 60 to 1000
    history.state(1001, "sales", "starting", run="r2")
    history.state(1002, "sales", "connected", run="r2")
    history.add(1010, "dial", run="r2")
    assert spans(history) == [
        ("sales", "connected", 10, 60, 50),
        ("sales", "starting", 1001, 1002, 1),
        ("sales", "connected", 1002, None, 8),
    ]
    assert history.rows("SELECT seconds, observed, share FROM uptime_daily") == [(58, 59, 58 / 59)]


def test_a_pulse_carries_a_quiet_run_on(history: History) -> None:
    history.start(0)
    history.state(10, "sales", "connected")
    history.pulse(5000)
    history.start(9000, run="r2")
    assert spans(history) == [("sales", "connected", 10, 5000, 4990)]


def test_a_session_only_the_first_run_knew_stays_closed(history: History) -> None:
    history.start(0)
    history.state(10, "sales", "connected")
    history.add(20, "plan")
    for number in range(2, 5):
        history.start(number * 1000, run=f"r{number}")
    assert spans(history) == [("sales", "connected", 10, 20, 10)]


def test_a_clock_set_back_never_makes_time_run_backwards(history: History) -> None:
    history.start(0)
    history.state(100, "sales", "starting")
    history.state(90, "sales", "connected")  # the clock was set back by a minute
    history.state(150, "sales", "reconnecting")
    assert spans(history) == [
        ("sales", "starting", 100, 100, 0),
        ("sales", "connected", 100, 150, 50),
        ("sales", "reconnecting", 150, None, 0),
    ]


def test_uptime_is_cut_at_midnight_utc(history: History) -> None:
    history.start(DAY - 100)
    history.state(DAY - 100, "sales", "connected")
    history.state(2 * DAY + 50, "sales", "reconnecting")
    history.stop(2 * DAY + 200)
    assert history.rows("SELECT day::VARCHAR, seconds, observed, share FROM uptime_daily") == [
        ("2026-03-01", 100, 100, 1.0),
        ("2026-03-02", DAY, DAY, 1.0),
        ("2026-03-03", 50, 200, 0.25),
    ]


def test_an_interval_that_ends_at_midnight_belongs_to_the_day_before(history: History) -> None:
    history.start(DAY - 10)
    history.state(DAY - 10, "sales", "connected")
    history.stop(DAY)
    assert history.rows("SELECT day::VARCHAR, seconds FROM uptime_daily") == [("2026-03-01", 10)]


def test_parked_and_retired_time_is_not_observed(history: History) -> None:
    history.start(0)
    history.state(0, "sales", "connected")
    history.state(100, "sales", "parked")
    history.state(700, "sales", "starting")
    history.state(710, "sales", "connected")
    history.state(800, "sales", "retired")
    history.stop(5000)
    assert history.rows("SELECT seconds, observed FROM uptime_daily") == [(190, 200)]


def test_a_day_without_connection_says_zero(history: History) -> None:
    history.start(0)
    history.state(0, "sales", "reconnecting")
    history.stop(60)
    assert history.rows("SELECT seconds, observed, share FROM uptime_daily") == [(0, 60, 0.0)]


def test_sessions_now_has_the_newest_state_and_when_it_began(history: History) -> None:
    history.start(0)
    history.state(1, "sales", "starting", worker_pid=7)
    history.state(2, "sales", "connected", code="ok")
    history.state(9, "sales", "reconnecting", "the network went away")
    history.state(11, "sales", "reconnecting", "name look-up failed, next try in 4 s", worker_pid=7)
    history.state(3, "support", "parked")
    history.add(20, "plan")
    assert history.rows("SELECT session, state, since, reason, code, worker_pid, seen_at FROM sessions_now") == [
        ("sales", "reconnecting", 9, "name look-up failed, next try in 4 s", None, 7, 20),
        ("support", "parked", 3, "", None, None, 20),
    ]


def test_pairings_have_method_outcome_and_length(history: History) -> None:
    history.start(0)
    history.add(10, "pair_started", session="sales", detail={"method": "qr"}, declaration_rev=3)
    history.state(10, "sales", "pairing")
    history.add(11, "qr", session="sales")
    history.add(71, "qr", session="sales")
    history.state(90, "sales", "paired")
    history.state(92, "sales", "connected")
    history.add(20, "pair_started", session="support")
    history.add(21, "code", session="support")
    history.add(180, "pair_failed", session="support", reason="nobody typed the code", code="timeout")
    history.state(180, "support", "declared")
    history.add(200, "pair_started", session="support", detail={"method": "code"})
    history.add(300, "pair_started", session="support", detail={"method": "code"})
    history.add(310, "plan")
    assert history.rows(
        "SELECT session, started_at, method, outcome, seconds, shown, reason, code, declaration_rev FROM pairings"
    ) == [
        ("sales", 10, "qr", "paired", 80, 2, "", None, 3),
        ("support", 20, "code", "failed", 160, 1, "nobody typed the code", "timeout", None),
        ("support", 200, "code", "superseded", 100, 0, None, None, None),
        ("support", 300, "code", "running", None, 0, None, None, None),
    ]


def test_a_pairing_ends_with_its_daemon(history: History) -> None:
    history.start(0)
    history.add(10, "pair_started", session="sales", detail={"method": "qr"})
    history.add(30, "qr", session="sales")
    history.start(500, run="r2")
    history.state(501, "sales", "paired", run="r2")  # a later run's success is not this attempt's
    assert history.rows("SELECT outcome, seconds FROM pairings") == [("interrupted", 20)]


def test_reconnects_measure_from_loss_to_return(history: History) -> None:
    history.start(0)
    history.state(1, "sales", "starting")
    history.state(2, "sales", "connected")
    history.state(10, "sales", "degraded", "no sign of life for 90 s", code="stale")
    history.state(12, "sales", "reconnecting", "the socket was dropped")
    history.state(15, "sales", "connected")
    history.state(20, "sales", "parked")
    history.state(30, "sales", "starting")
    history.state(31, "sales", "connected")
    history.state(40, "sales", "reconnecting", "the socket was dropped")  # not back yet
    assert history.rows("SELECT session, lost_at, back_at, seconds, reason, code, state FROM reconnects") == [
        ("sales", 10, 15, 5, "no sign of life for 90 s", "stale", "degraded")
    ]


def test_a_new_daemon_is_no_reconnect(history: History) -> None:
    history.start(0)
    history.state(2, "sales", "connected")
    history.start(100, run="r2")
    history.state(101, "sales", "starting", run="r2")
    history.state(102, "sales", "connected", run="r2")
    assert history.rows("FROM reconnects") == []


INCIDENTS = "SELECT session, sessions, started_at, ended_at, seconds, state, cause, declaration_rev FROM incidents"


def test_an_incident_is_one_however_many_states_it_went_through(history: History) -> None:
    history.start(0)
    history.state(1, "sales", "connected")
    history.state(10, "sales", "degraded", "no sign of life for 90 s", declaration_rev=4)
    history.state(20, "sales", "reconnecting", "the worker died")
    history.state(30, "sales", "starting")
    history.state(35, "sales", "connected")
    history.stop(99)
    assert history.rows(INCIDENTS) == [("sales", 1, 10, 35, 25, "starting", "no sign of life for 90 s", 4)]


def test_pairing_a_new_session_is_no_incident_but_failing_to_is(history: History) -> None:
    history.start(0)
    history.state(1, "sales", "declared")
    history.state(2, "sales", "starting")
    history.state(3, "sales", "pairing")
    history.state(90, "sales", "paired")
    history.state(92, "sales", "connected")
    history.state(1, "support", "starting")
    history.state(2, "support", "failed", "name look-up failed")
    history.add(100, "plan")
    assert history.rows(INCIDENTS) == [("support", 1, 2, None, 98, "failed", "name look-up failed", None)]


def test_a_move_into_another_worker_is_no_incident_unless_it_does_not_arrive(history: History) -> None:
    history.start(0)
    for name in ("arrives", "fails", "restarted", "on its way", "alone"):
        history.state(1, name, "connected")
    for name in ("arrives", "fails"):
        history.state(10, name, "starting", "moves", code="moved")
    history.state(10, "restarted", "starting", "starts anew: a person asked")
    history.state(11, "arrives", "connected")
    history.state(12, "fails", "reconnecting", "the worker died")
    history.state(13, "restarted", "connected")
    history.state(20, "fails", "connected")
    history.state(30, "alone", "reconnecting", "the network went away")
    history.state(40, "on its way", "starting", "moves", code="moved")
    history.stop(99)
    assert history.rows(INCIDENTS) == [
        ("fails", 1, 10, 20, 10, "reconnecting", "moves", None),
        ("restarted", 1, 10, 13, 3, "starting", "starts anew: a person asked", None),
        ("alone", 1, 30, 99, 69, "reconnecting", "the network went away", None),
    ]
    assert history.rows("SELECT session, reason, code FROM reconnects") == [
        ("arrives", "moves", "moved"),
        ("fails", "moves", "moved"),
        ("restarted", "starts anew: a person asked", None),
    ]


def test_parking_is_no_incident_and_starts_the_count_anew(history: History) -> None:
    history.start(0)
    history.state(1, "sales", "connected")
    history.state(10, "sales", "parked")
    history.state(50, "sales", "starting")
    history.state(52, "sales", "connected")
    history.stop(60)
    assert history.rows(INCIDENTS) == []


def test_the_time_without_a_daemon_is_an_incident_with_that_cause(history: History) -> None:
    history.start(0)
    history.state(1, "sales", "connected", declaration_rev=1)
    history.stop(100)
    history.start(500, run="r2")
    history.state(500, "sales", "starting", run="r2", declaration_rev=2)
    history.state(502, "sales", "connected", run="r2", declaration_rev=2)
    history.stop(600, run="r2")
    assert history.rows(INCIDENTS) == [
        ("sales", 1, 100, 502, 402, "starting", "no daemon ran: the last one was stopped", 1)
    ]


def test_all_sessions_down_at_once_is_also_a_fleet_wide_incident(history: History) -> None:
    history.start(0)
    for name in ("a", "b", "c"):
        history.state(1, name, "connected")
    history.state(10, "a", "reconnecting", "the network went away")
    history.state(12, "b", "reconnecting", "the network went away")
    history.state(14, "c", "reconnecting", "the network went away")
    history.state(20, "b", "connected")
    history.state(21, "a", "connected")
    history.state(25, "c", "connected")
    history.stop(99)
    assert history.rows(INCIDENTS) == [
        ("a", 1, 10, 21, 11, "reconnecting", "the network went away", None),
        ("b", 1, 12, 20, 8, "reconnecting", "the network went away", None),
        (None, 3, 14, 20, 6, "reconnecting", "the network went away", None),
        ("c", 1, 14, 25, 11, "reconnecting", "the network went away", None),
    ]


def test_a_fleet_that_is_still_down_is_an_open_incident(history: History) -> None:
    history.start(0)
    for name in ("a", "b"):
        history.state(1, name, "connected")
    for name in ("a", "b"):
        history.state(10, name, "reconnecting", "the network went away")
    history.add(40, "plan")
    assert history.rows(f"{INCIDENTS} WHERE session IS NULL") == [
        (None, 2, 10, None, 30, "reconnecting", "the network went away", None)
    ]


def test_an_incident_names_the_declaration_in_force_even_if_its_event_does_not(history: History) -> None:
    history.declare(0, 1, "aaa")
    history.declare(8, 2, "bbb")
    history.declare(50, 3, "ccc")
    history.start(0)
    history.state(1, "sales", "connected")
    history.state(10, "sales", "failed")
    history.add(60, "plan")
    assert history.rows("SELECT cause, declaration_rev, git_commit, git_branch FROM incidents") == [
        ("failed", 2, "bbb", "main")
    ]


lives = st.lists(
    st.tuples(
        st.integers(0, 400_000),  # seconds since the event before
        st.sampled_from(["a", "b"]),
        st.sampled_from([*STATES, "new run", "stop and new run"]),
        st.integers(-30, 30),  # how far the clock is off
    ),
    min_size=1,
    max_size=25,
)


@given(steps=lives)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_intervals_never_overlap_cover_their_run_and_add_up(
    history: History, steps: list[tuple[int, str, str, int]]
) -> None:
    history.clear()  # hypothesis hands every example the same one
    run, now, last = 1, 0, 0.0
    ends: dict[str, float] = {}
    first: dict[tuple[str, str], float] = {}
    history.start(0, run="r1")
    for wait, session, what, skew in steps:
        now += wait
        if what.endswith("new run"):
            if what.startswith("stop"):
                history.stop(now, run=f"r{run}")
                last = max(last, now)
            ends[f"r{run}"] = last
            run += 1
            history.start(now, run=f"r{run}")
            last = float(now)
            continue
        at = max(0, now + skew)
        last = max(last, at)
        history.state(at, session, what, run=f"r{run}")
        first.setdefault((session, f"r{run}"), at)
    ends[f"r{run}"] = last
    rows = history.rows('SELECT session, run_id, "from", coalesce("to", "from" + duration * INTERVAL 1 SECOND), '
                        '"to" IS NULL, duration FROM intervals ORDER BY session, seq')  # fmt: skip
    for before, after in itertools.pairwise(rows):
        if before[0] == after[0]:
            assert before[3] <= after[2], "intervals of a session overlap"
            assert not before[4], "only the last interval of a session is open"
            if before[1] == after[1]:
                assert before[3] == after[2], "a hole within a run"
    for (session, run_id), began in first.items():
        mine = [row for row in rows if row[:2] == (session, run_id)]
        assert mine[0][2] >= began
        until = max(ends[run_id], mine[-1][2])  # the end of its run, and not a second more
        after = rows.index(mine[-1]) + 1
        if after < len(rows) and rows[after][0] == session:  # unless the clock put the next run before that
            until = min(until, rows[after][2])
        assert mine[-1][3] == until
    assert all(row[5] == row[3] - row[2] >= 0 for row in rows)
    measured = history.rows("SELECT coalesce(sum(seconds), 0), coalesce(sum(observed), 0) FROM uptime_daily")[0]
    by_state = history.rows(
        "SELECT coalesce(sum(duration) FILTER (state = 'connected'), 0), "
        "coalesce(sum(duration) FILTER (state NOT IN ('parked', 'retired')), 0) FROM intervals"
    )[0]
    assert [round(v, 3) for v in measured] == [round(v, 3) for v in by_state]
    assert history.rows("SELECT count(*) FROM uptime_daily WHERE seconds > observed OR observed > 86400.001") == [(0,)]
    assert history.rows("SELECT count(*) FROM incidents WHERE seconds < 0 OR ended_at < started_at") == [(0,)]


# -- outages ---------------------------------------------------------------------------------------------------------

OUTAGES = "SELECT trouble, started_at, ended_at, seconds, sessions FROM outages"
FLEET = [f"s{number}" for number in range(5)]


def lost(history: History, *, back: float | None, run: str = "r1") -> None:
    """Five sessions go down within seconds, and come back one after the other."""
    for number, name in enumerate(FLEET):
        history.state(100 + number, name, "reconnecting", "the connection dropped", run=run)
    detail: dict[str, Any] = {"sessions": 2, "began_seconds_before": 1.5}
    history.add(106, "outage", run=run, code="network", reason="the network is lost", detail=detail)
    if back is not None:
        history.add(back, "outage_over", run=run, code="network", detail={"sessions": 5, "seconds": back - 104.5})
        for number, name in enumerate(FLEET):
            history.state(back + number, name, "connected", run=run)
        history.pulse(back + 100, run=run)


def connected(history: History) -> None:
    history.start(0)
    for name in FLEET:
        history.state(10, name, "connected")


def test_an_outage_is_one_incident_and_not_one_for_each_session(history: History) -> None:
    connected(history)
    lost(history, back=400)
    assert history.rows(OUTAGES) == [("network", 104.5, 400, 295.5, 5)]
    assert history.rows(
        "SELECT session, sessions, started_at, ended_at, seconds, state, cause, code FROM incidents"
    ) == [(None, 5, 104.5, 400, 295.5, "outage", "the network is lost", "network")]
    assert history.rows("SELECT count(*) FROM interruptions WHERE session IS NOT NULL") == [(5,)]


def test_who_is_told_to_be_deaf_when_a_silent_outage_is_over_belongs_to_it_all_the_same(history: History) -> None:
    """The outage began at 100 and was over at 120; a line that is dead is known to be so 45 s after its last byte."""
    connected(history)
    for moment, name in zip((110, 112, 125, 139, 165), FLEET, strict=True):
        history.state(moment, name, "degraded", "a keepalive went unanswered", code="deaf")
    detail: dict[str, Any] = {"sessions": 2, "began_seconds_before": 12}
    history.add(112, "outage", code="network", reason="the network is lost", detail=detail)
    history.state(126, "s0", "reconnecting", "the connection dropped")
    history.add(120, "outage_over", code="network", detail={"sessions": 5, "seconds": 20})
    for name in FLEET:
        history.state(170 if name == "s4" else 160, name, "connected")
    history.pulse(300)
    found = history.rows("SELECT session, sessions, started_at FROM incidents ORDER BY started_at")
    assert found == [(None, 5, 100), ("s4", 1, 165)]


def test_an_outage_that_goes_on_is_open(history: History) -> None:
    connected(history)
    lost(history, back=None)
    history.pulse(200)
    assert history.rows("SELECT session, started_at, ended_at, seconds FROM incidents") == [(None, 104.5, None, 95.5)]


def test_an_outage_ends_with_its_daemon(history: History) -> None:
    connected(history)
    lost(history, back=None)
    history.pulse(200)
    history.start(1000, run="r2")
    assert history.rows(OUTAGES) == [("network", 104.5, 200, 95.5, 2)]


def test_what_began_before_or_went_on_long_after_an_outage_is_a_session_s_own(history: History) -> None:
    connected(history)
    history.state(20, "early", "connected")
    history.state(30, "early", "failed", "its proxy is gone")
    history.state(20, "late", "connected")
    history.state(103, "late", "reconnecting", "the connection dropped")
    lost(history, back=400)
    history.state(4000, "late", "connected")
    history.pulse(5000)
    found = history.rows("SELECT session, state FROM incidents WHERE session IS NOT NULL ORDER BY session")
    assert found == [("early", "failed"), ("late", "reconnecting")]
    assert history.rows("SELECT count(*) FROM incidents WHERE state = 'outage'") == [(1,)]
