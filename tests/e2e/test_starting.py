"""Whose turn it is, and how often WhatsApp is dialled: a cold start, and everybody's return after an outage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness import Fleet, endpoint_table, fleet_in
from many import link_all
from support.whatsapp import LoopbackWhatsApp, fresh_number, loopback_whatsapp

from wakit.sim.scenarios import Drop

DIALS = """
    SELECT session, epoch_us(ts) / 1e6 AS at, worker_pid, CAST(detail->>'waited' AS DOUBLE) AS waited
    FROM events WHERE kind = 'dial' AND seq > {since} ORDER BY seq
"""


@pytest.fixture
def quiet_whatsapp() -> Iterator[LoopbackWhatsApp]:
    """A server of its own: this one is shut for everybody."""
    with loopback_whatsapp() as made:
        yield made


@pytest.fixture
def fleet(quiet_whatsapp: LoopbackWhatsApp) -> Iterator[Fleet]:
    with fleet_in(head=endpoint_table(quiet_whatsapp)) as made:
        yield made


def pair(fleet: Fleet, whatsapp: LoopbackWhatsApp, names: list[str]) -> None:
    waiting = set(names)
    while waiting:
        status = fleet.wait(
            lambda told: any(each.name in waiting and each.state == "pairing" for each in told.sessions), timeout=180
        )
        for session in status.sessions:
            if session.name in waiting and session.state == "pairing":
                whatsapp.sim.scan(fresh_number(), str(fleet.client().qr(session.name).payload))
                waiting.discard(session.name)


def dials(fleet: Fleet, since: int) -> list[dict[str, Any]]:
    return fleet.sql(DIALS.format(since=since))


def newest(fleet: Fleet) -> int:
    return int(fleet.sql("SELECT max(seq) AS seq FROM events")[0]["seq"])


def assert_paced(rows: list[dict[str, Any]], rate: float) -> None:
    moments = sorted(row["at"] for row in rows)
    for first, begin in enumerate(moments):
        for last in range(first, len(moments)):
            # A row's time is taken a moment after its token was.
            assert last - first + 1 <= max(1.0, rate) + rate * (moments[last] - begin + 0.02), moments


@pytest.mark.long
@pytest.mark.parametrize(("count", "rate"), [(9, 2), (60, 5)])
def test_a_cold_start_keeps_its_order_and_the_log_never_shows_more_dials_than_declared(
    fleet: Fleet, quiet_whatsapp: LoopbackWhatsApp, count: int, rate: int
) -> None:
    names = [f"s{number:02d}" for number in range(count)]
    urgent = {names[-1]: 5, names[4]: 3, names[0]: -1}
    fleet.head = "[wakit]\nsessions_per_worker = 4\n" + fleet.head
    fleet.write("".join(f"[sessions.{name}]\npriority = {urgent.get(name, 0)}\n" for name in names))
    fleet.up()
    pair(fleet, quiet_whatsapp, names)
    fleet.wait(lambda told: all(each.state == "connected" for each in told.sessions), timeout=180)
    fleet.end()

    fleet.head = fleet.head.replace('dials = "100/s"', f'dials = "{rate}/s"')
    fleet.write("".join(f"[sessions.{name}]\npriority = {urgent.get(name, 0)}\n" for name in names))
    fleet.up()
    fleet.wait(lambda told: all(each.state == "connected" for each in told.sessions), timeout=180)
    run = fleet.status().daemon.run_id
    since = int(fleet.sql(f"SELECT min(seq) AS seq FROM events WHERE run_id = '{run}'")[0]["seq"])
    cold = dials(fleet, since)
    middle = [name for name in names if name not in urgent]
    came = [row["session"] for row in cold]
    if count <= 2 * rate + 5:  # few workers, which come up in time for the places kept for them
        assert came == [names[-1], names[4], *middle, names[0]]
    else:
        assert {names[-1], names[4]} <= set(came[: count // 4])
        assert names[0] in came[-count // 4 :]
        assert sorted(came) == names
    assert_paced(cold, rate)
    assert {row["worker_pid"] for row in cold} == {each.worker_pid for each in fleet.status().sessions}
    assert all(row["waited"] >= 0 for row in cold)

    since = newest(fleet)
    quiet_whatsapp.sim.listen(False)
    quiet_whatsapp.sim.strike(Drop())
    fleet.wait(lambda told: all(each.state == "reconnecting" for each in told.sessions), timeout=60)
    quiet_whatsapp.sim.listen(True)
    fleet.wait(lambda told: all(each.state == "connected" for each in told.sessions), timeout=240)
    outage = dials(fleet, since)
    assert {row["session"] for row in outage} == set(names)
    assert_paced(outage, rate)
    assert fleet.sql(f"SELECT count(*) AS n FROM events WHERE seq > {since} AND kind = 'worker_exit'") == [{"n": 0}]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_five_hundred_that_wait_for_the_network_come_back_at_the_declared_rate(
    fleet: Fleet, quiet_whatsapp: LoopbackWhatsApp
) -> None:
    names, rate = [f"s{number:03d}" for number in range(500)], 20
    fleet.head = fleet.head.replace('dials = "100/s"', f'dials = "{rate}/s"')
    fleet.write("".join(f"[sessions.{name}]\n" for name in names))
    link_all(fleet, quiet_whatsapp, names)
    fleet.up()
    fleet.wait(lambda told: all(each.state == "connected" for each in told.sessions), timeout=300)
    cold = dials(fleet, 0)
    assert {row["session"] for row in cold} == set(names)
    assert_paced(cold, rate)

    since = newest(fleet)
    quiet_whatsapp.sim.listen(False)
    assert quiet_whatsapp.sim.strike(Drop()) == len(names)
    fleet.wait_event(lambda event: event.kind == "outage", since=since)
    fleet.wait(lambda told: all(each.state == "reconnecting" for each in told.sessions), timeout=300)
    returned = newest(fleet)
    quiet_whatsapp.sim.listen(True)
    fleet.wait(
        lambda told: told.daemon.outage is None and all(each.state == "connected" for each in told.sessions),
        timeout=300,
    )
    # Those that nobody answered, too: each of them took its permit.
    assert_paced(dials(fleet, since), rate)
    back = dials(fleet, returned)
    assert {row["session"] for row in back} == set(names)
    assert back[-1]["at"] - back[0]["at"] >= len(names) / rate - 1, "a second of the rate is all that may come at once"
    assert quiet_whatsapp.sim.status().totals.get("replaced", 0) == 0
