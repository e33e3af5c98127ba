"""Sessions that say they are connected and hear nothing, and workers that give no sign of life."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NUMBERS, START, Fleet

from wakit.core.declaration import HealthPolicy
from wakit.core.lifecycle import State
from wakit.redact import Secret
from wakit.whatsapp.port import (
    ClientEnded,
    Connected,
    ConnectionLost,
    DialFailed,
    DialFailure,
    HearsAgain,
    Pulse,
    WentDeaf,
    WorkerBeat,
    WorkerSilent,
)

POLICY = HealthPolicy(stale_after=90, deaf_after=45, restart_after=60)


def beat(
    fleet: Fleet,
    name: str,
    *,
    unheard: float | None = 1.0,
    unsent: float | None = 1.0,
    by: str = "",
    fresh: bool = True,
) -> None:
    worker = by or fleet.tracked(name).worker_id or "nobody"

    async def now() -> None:
        fleet.reconciler.watch.beat(
            WorkerBeat(worker_id=worker, pulses={name: Pulse(unheard_for=unheard, unsent_for=unsent, fresh=fresh)})
        )

    fleet.run(now())


def beats(fleet: Fleet, seconds: int, *names: str, unheard: float = 1.0, grows: bool = False) -> None:
    for second in range(0, seconds, 2):
        for name in names:
            if fleet.tracked(name).worker_id is not None:
                beat(fleet, name, unheard=unheard + (second if grows else 0))
        fleet.advance(2)


def test_a_line_without_a_byte_is_degraded_although_the_library_says_nothing(fleet: Fleet) -> None:
    fleet.paired("a", "b", health=POLICY)
    beat(fleet, "a", unheard=44)
    assert fleet.state("a") is State.CONNECTED
    beat(fleet, "a", unheard=46)
    assert fleet.state("a") is State.DEGRADED
    assert fleet.info("a").status == "disconnected"
    assert fleet.info("a").reason == "connected, but no byte came from WhatsApp for 45 s"
    assert fleet.state("b") is State.CONNECTED
    beat(fleet, "a", unheard=1)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.ledger.states("a")[-2:] == ["degraded", "connected"]


def test_what_a_client_says_while_it_is_replaced_hides_no_cause(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    beat(fleet, "a", unheard=46)
    fleet.workers.release_takes = 5.0
    fleet.advance(61)
    beat(fleet, "a", unheard=107)
    fleet.advance(1)
    cause = "it was degraded for 60 s and did not recover"
    for event in (
        ConnectionLost(why="the connection dropped"),
        DialFailed(cause=DialFailure.NOT_ALLOWED, detail="wakit has cut this session's network"),
        ClientEnded(why="wakit has cut this session's network", cause=DialFailure.NOT_ALLOWED),
    ):
        fleet.workers.tell("a", event)
        fleet.advance(0.1)
        assert fleet.info("a").reason.startswith(cause)
    assert fleet.ledger.told("dial_failed") == []


def test_a_client_that_sends_nothing_hangs(fleet: Fleet) -> None:
    """Messages may still come in, but nobody takes them."""
    fleet.paired("a", health=POLICY)
    beat(fleet, "a", unheard=1, unsent=50)
    assert fleet.state("a") is State.DEGRADED
    assert "it hangs" in fleet.info("a").reason


def test_bytes_do_not_outvote_the_library(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    fleet.workers.tell("a", WentDeaf(errors=1))
    assert fleet.info("a").reason == "connected, but a keepalive went unanswered"
    beat(fleet, "a", unheard=1)
    assert fleet.state("a") is State.DEGRADED, "something comes in, but pings are not answered"
    fleet.workers.tell("a", HearsAgain())
    assert fleet.state("a") is State.CONNECTED
    beat(fleet, "a", unheard=1)
    assert fleet.state("a") is State.CONNECTED


def test_a_reconnect_of_the_library_ends_what_was_wrong_with_the_old_line(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    fleet.workers.tell("a", WentDeaf(errors=3))
    fleet.workers.tell("a", Connected(account=Secret(NUMBERS["a"])))
    beat(fleet, "a", unheard=1)
    assert fleet.state("a") is State.CONNECTED


def test_who_stays_degraded_is_started_anew_alone(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c", health=POLICY)
    fleet.restart()  # they share a worker now
    fleet.declare(*fleet.declaration.sessions.values(), sessions_per_worker=4, health=POLICY)  # type: ignore[union-attr]
    fleet.advance(3)
    others = {name: fleet.tracked(name).worker_id for name in ("a", "c")}
    before = len(fleet.launches("b"))
    beats(fleet, 58, "b", unheard=46)
    assert fleet.state("b") is State.DEGRADED
    assert len(fleet.launches("b")) == before, "it has time to recover"
    beats(fleet, 6, "b", unheard=46)
    fleet.advance(10)
    assert fleet.state("b") is State.CONNECTED
    assert len(fleet.launches("b")) == before + 1
    assert {name: fleet.tracked(name).worker_id for name in ("a", "c")} == others
    (state,) = [r for r in fleet.ledger.told("state", "b") if r.code == "deaf" and r.state_to == "reconnecting"]
    assert state.reason == (
        "it was degraded for 60 s and did not recover (connected, but no byte came from WhatsApp for 45 s); "
        "its client is replaced"
    )
    assert fleet.info("b").restarts == 1


def test_when_all_are_deaf_only_a_few_are_tried(fleet: Fleet) -> None:
    names = tuple("abcdefgh")
    fleet.paired(*names, health=POLICY)
    fleet.workers.silent = True  # no client that is started now gets through
    beats(fleet, 70, *names, unheard=46)
    tried = [name for name in names if fleet.state(name) is not State.DEGRADED]
    assert len(tried) == 4
    for name in tried:
        fleet.workers.tell(name, Connected())
    beats(fleet, 4, *(name for name in names if name not in tried), unheard=46)
    fleet.advance(1)
    assert all(fleet.state(name) is not State.DEGRADED for name in names), "the next ones follow"


@pytest.mark.parametrize("silent", [True, False])
def test_once_one_is_back_the_others_follow_whose_lines_are_silent(fleet: Fleet, silent: bool) -> None:
    """A line that carries bytes although it is deaf is a slow server's, which new connections would not help."""
    names = tuple("abcdefgh")
    fleet.paired(*names, health=POLICY)
    fleet.workers.silent = True
    beats(fleet, 70, *names, unheard=46, grows=silent)
    tried = [name for name in names if fleet.state(name) is not State.DEGRADED]
    assert len(tried) == 4
    fleet.workers.tell(tried[0], Connected())
    beats(fleet, 4, *(name for name in names if name not in tried), unheard=116 if silent else 46)
    fleet.advance(1)
    assert len([name for name in names if fleet.state(name) is State.DEGRADED]) == (0 if silent else 3)


def test_tries_in_vain_do_not_keep_the_others_waiting_for_ever(fleet: Fleet) -> None:
    names = tuple("abcde")
    fleet.paired(*names, health=POLICY)
    fleet.workers.silent = True
    beats(fleet, 70, *names, unheard=46)
    (last,) = [name for name in names if fleet.state(name) is State.DEGRADED]
    beats(fleet, 124, last, unheard=46)
    assert fleet.state(last) is not State.DEGRADED


def test_a_session_that_is_not_connected_is_not_judged(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    former = fleet.tracked("a").worker_id or ""
    fleet.run(fleet.desk.park("a"))
    fleet.advance(1)
    beat(fleet, "a", unheard=500, by=former)
    assert fleet.state("a") is State.PARKED


def test_a_former_worker_is_not_believed(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    former = fleet.tracked("a").worker_id or ""
    fleet.run(fleet.desk.restart("a"))
    fleet.advance(5)
    assert fleet.state("a") is State.CONNECTED
    beat(fleet, "a", unheard=500, by=former)
    assert fleet.state("a") is State.CONNECTED


def test_a_silent_worker_makes_its_sessions_stale_until_others_have_logged_in(fleet: Fleet) -> None:
    fleet.paired("a", "b", health=POLICY)
    worker = fleet.tracked("a").worker_id or ""

    async def falls_silent() -> None:
        fleet.workers.on_report(WorkerSilent(worker_id=worker, sessions=("a",), seconds=90))

    fleet.run(falls_silent())
    told = fleet.info("a")
    assert (told.stale, told.state, told.status) == (True, "reconnecting", "disconnected")
    assert told.reason == "stale: its worker gave no sign of life for 90 s; the worker is ended by force and replaced"
    assert not fleet.info("b").stale
    assert len(fleet.launches("a")) == 1, "the worker is not gone yet: nobody else may have the credential"
    fleet.workers.crash("a", "it fell silent for 90 s and was ended by force")
    assert fleet.info("a").stale
    fleet.advance(2)
    assert (fleet.info("a").state, fleet.info("a").stale) == ("connected", False)
    assert len(fleet.launches("a")) == 2
    assert fleet.ledger.told("state", "a")[-2].code == "stale"
    assert fleet.state("b") is State.CONNECTED
    assert len(fleet.launches("b")) == 1


def test_who_is_parked_while_stale_is_parked(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    fleet.tracked("a").stale = True
    fleet.run(fleet.desk.park("a"))
    fleet.advance(2)
    assert not fleet.info("a").stale


def test_last_seen_is_exact_for_who_asks_and_rare_for_who_listens(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.paired("a", health=POLICY)
    beat(fleet, "a", unheard=1)
    told: list[str] = []
    monkeypatch.setattr(fleet.feed, "session", told.append)
    looks = fleet.looks
    beats(fleet, 240, "a", unheard=3)
    seen_at = fleet.info("a").last_seen_at
    assert seen_at is not None
    assert START + timedelta(seconds=fleet.loop.time()) - seen_at == timedelta(seconds=5)
    assert 3 <= len(told) <= 4, "once a minute"
    assert fleet.looks - looks <= 10, "heartbeats wake nobody"


def test_a_line_that_stands_still_is_no_news(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.paired("a", health=HealthPolicy(restart_after=10_000))
    beat(fleet, "a", unheard=40)
    beat(fleet, "a", unheard=46)
    told: list[str] = []
    monkeypatch.setattr(fleet.feed, "session", told.append)
    before = len(fleet.ledger.records)
    beats(fleet, 300, "a", unheard=46, grows=True)
    assert told == []
    assert len(fleet.ledger.records) == before


def test_of_a_session_without_news_only_the_silence_grows(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    beat(fleet, "a", unheard=1)
    seen_at = fleet.info("a").last_seen_at
    fleet.advance(30)
    beat(fleet, "a", unheard=30, fresh=False)
    assert (fleet.state("a"), fleet.info("a").last_seen_at) == (State.CONNECTED, seen_at)
    beat(fleet, "a", unheard=46, fresh=False)
    assert fleet.state("a") is State.DEGRADED


def test_a_sign_of_life_is_no_change_of_the_session(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    changed: list[str] = []
    seen: list[str] = []
    fleet.roster.changed, fleet.roster.seen = changed.append, seen.append
    beats(fleet, 130, "a")
    assert changed == []
    assert seen


def test_a_standstill_of_the_daemon_is_said(fleet: Fleet) -> None:
    fleet.paired("a", health=POLICY)
    watching = fleet.loop.create_task(fleet.reconciler.watch.run())
    fleet.advance(60)
    assert fleet.ledger.told("warning") == []
    fleet.loop.stand_still(100)
    fleet.advance(10)
    (said,) = fleet.ledger.told("warning")
    assert said.code == "standstill"
    assert said.reason.startswith("the daemon stood still for ")
    watching.cancel()


def test_a_session_is_asked_only_while_it_may_answer(fleet: Fleet) -> None:
    fleet.paired("a", "b", health=POLICY)
    told = fleet.run(fleet.desk.ping("a"))
    assert (told.alive, told.seconds, told.why) == (True, 0.02, "")
    fleet.workers.answers["a"] = "no answer within 10 s"
    told = fleet.run(fleet.desk.ping("a"))
    assert (told.alive, told.seconds, told.why) == (False, None, "no answer within 10 s")
    fleet.workers.tell("a", ConnectionLost(why="the connection dropped"))
    assert "reconnecting" in fleet.run(fleet.desk.ping("a")).why
    fleet.run(fleet.desk.park("b"))
    fleet.advance(1)
    assert "it has no client" in fleet.run(fleet.desk.ping("b")).why
