"""A session that makes the Go library panic: the journal names it, and nobody else suffers for long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import Fleet
from support.whatsapp import LoopbackWhatsApp
from test_crashes import pair

pytestmark = pytest.mark.timeout(300)
FAULTS = Path(__file__).parent / "faults"
NAMES = ("a", "b", "c", "d")


def exits(fleet: Fleet, since: int) -> list[dict[str, Any]]:
    """The crashes, one row for everybody who was aboard."""
    return fleet.sql(
        "SELECT seq, session, reason, worker_pid, (detail->>'aboard')::INT AS aboard,"
        " (detail->>'culprit')::BOOL AS culprit, detail->>'evidence' AS evidence"
        f" FROM events WHERE seq > {since} AND kind = 'worker_exit' ORDER BY seq"
    )


@pytest.mark.long
def test_the_culprit_of_a_go_panic_is_named_and_keeps_to_itself(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.head = "[wakit]\nsessions_per_worker = 4\n" + fleet.head
    flag = fleet.folder / "panic"
    fleet.environ = {"PYTHONPATH": str(FAULTS), "WAKIT_TEST_PANIC": f"c={flag}"}
    numbers = pair(fleet, whatsapp, *NAMES)
    fleet.end()
    fleet.up()
    shared = fleet.wait_connected(*NAMES)
    assert len({session.worker_pid for session in shared.sessions}) == 1
    since = fleet.seq()

    flag.touch()
    fleet.wait_event(lambda event: bool((event.detail or {}).get("culprit")), since=since)
    fleet.wait_connected("a", "b", "d")
    told = exits(fleet, since)
    assert {row["session"] for row in told if row["culprit"]} == {"c"}, "nobody else is blamed"
    assert sorted({row["aboard"] for row in told}, reverse=True) == [4, 2, 1]
    assert [row["session"] for row in told if row["aboard"] == 4] == list(NAMES)
    for row in told:
        panic, *rest = row["evidence"].splitlines()
        assert panic == "panic: runtime error: invalid memory address or nil pointer dereference"
        assert any("goroutine" in line for line in rest)
        assert row["reason"].startswith("the Go library aborted: runtime error: invalid memory address")
    assert "the fault is its own" in next(row["reason"] for row in told if row["culprit"])

    # It crashes on by itself, more and more seldom, and nobody else is aboard then.
    seq = max(row["seq"] for row in told)
    before = {s.name: (s.since, s.worker_pid) for s in fleet.status().sessions if s.name != "c"}
    again = fleet.wait_event(lambda event: event.kind == "worker_exit", since=seq)
    assert (again.session, (again.detail or {})["aboard"]) == ("c", 1)
    assert {s.name: (s.since, s.worker_pid) for s in fleet.status().sessions if s.name != "c"} == before
    attempt = next(s.attempt for s in fleet.status().sessions if s.name == "c")
    assert attempt >= 4, "its pause grows with every crash"

    flag.unlink()
    fleet.wait_connected(*NAMES)
    journal = repr(fleet.sql("SELECT * FROM events"))
    assert not [number for number in numbers.values() if number.lstrip("+") in journal]
