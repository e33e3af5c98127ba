"""Lives by the thousand (:mod:`lives`): none fails, each can be replayed, and what is asserted in them can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lives
import pytest
from fakes import NUMBERS
from life_script import File, Move, Wanted, script
from life_workers import MemoryWorkers
from memory_vault import MemoryVault

from wakit.core import planner
from wakit.core.declaration import Pacing, SessionSpec
from wakit.core.lifecycle import Happening, State, follow
from wakit.core.observation import Credential
from wakit.core.retry import Backoff
from wakit.reconciler import roster
from wakit.reconciler.jobs import Jobs
from wakit.reconciler.reports import Reports
from wakit.reconciler.starting import Starter
from wakit.reconciler.stopping import Stopper
from wakit.whatsapp.port import DialFailed, DialFailure, SessionReport

BLOCK = 250


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.long) for first in range(BLOCK, 4 * BLOCK, BLOCK))]
)
def test_a_thousand_lives_end_well(tmp_path: Path, first: int) -> None:
    _, failed = lives.live_all(tmp_path, range(first, first + BLOCK))
    assert not failed, "\n".join(failed)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(10_000, 20_000, 1250))
def test_ten_thousand_more_lives_end_well(tmp_path: Path, first: int) -> None:
    _, failed = lives.live_all(tmp_path, range(first, first + 1250))
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_one_405_while_everybody_is_starting_keeps_nobody_waiting_for_an_hour(
    tmp_path: Path, seed: int, chance: float
) -> None:
    """What seed 7 of chaos met: a new daemon, a lost network, one 405, and two that get through while nobody asks."""
    life = lives.Life(tmp_path, seed)
    life.chance = chance
    try:
        _meet_one_405(life)
        life.come_to_rest()
    finally:
        life.close()


def _meet_one_405(life: lives.Life) -> None:
    linked, new = "abcdefghijklmnopqrst", "uv"
    fleet: dict[str, Any] = {"pacing": Pacing(pairings=26), "sessions_per_worker": 4}
    life.paired(*linked, **fleet)
    life.declare(*(SessionSpec(name) for name in linked + new), **fleet)
    life.advance(3)
    life.restart(kill=True)
    life.workers.mute = linked  # they dial, and have no answer yet
    life.advance(3)
    assert {life.state(name) for name in linked} == {State.STARTING}
    assert {life.state(name) for name in new} == {State.PAIRING}
    for name in "bcd":
        life.workers.tell(name, DialFailed(cause=DialFailure.TIMEOUT, detail="no answer from web.whatsapp.com"))
    assert [opened.code for opened in life.ledger.told("outage")] == ["network"]
    life.workers.last_words("a", "outdated")
    life.workers.mute = ""
    life.advance(20)
    launched = len(life.workers.launches)
    assert life.state("a") is State.OUTDATED
    assert {life.state(name) for name in linked[1:]} == {State.RECONNECTING}
    for name in new:
        assert life.workers.scan(name, NUMBERS[name])
    life.advance(5)
    assert {life.state(name) for name in new} == {State.CONNECTED}
    assert len(life.workers.launches) == launched, "nobody is tried before a probe is due"
    life.advance(180)
    assert {life.state(name) for name in linked + new} == {State.CONNECTED}
    assert [start.name for start in life.workers.launches[launched].sessions] == ["a"]
    assert [(over.code, over.detail["probes"]) for over in life.ledger.told("outage_over")][1:] == [("outdated", 1)]


def test_a_seed_is_the_same_life_in_every_process() -> None:
    def told(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, lives.__file__, "--count", "12", "--history"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout

    first = told("1")
    assert first.count("\n") > 100
    assert told("2") == first


# -- every assertion can fail: wakit is broken in one place, and some life soon tells ----------------------------------

Break = Callable[[pytest.MonkeyPatch], None]


def _let_go_without_waiting(patch: pytest.MonkeyPatch) -> None:
    async def stop(self: Stopper, tracked: Any, why: str) -> None:
        tracked.leave_worker()

    patch.setattr(Stopper, "stop", stop)
    patch.setattr(MemoryVault, "_free", staticmethod(lambda drawer: drawer))


def _pair_whoever_was_unlinked(patch: pytest.MonkeyPatch) -> None:
    start = planner._plan_start

    def as_new(draft: Any, spec: Any, seen: Any, free: int) -> int:
        if seen.credential is Credential.UNLINKED:
            seen = replace(seen, credential=Credential.ABSENT, waits_for_person=False)
        return start(draft, spec, seen, free)

    patch.setattr(planner, "_plan_start", as_new)


def _two_of_an_account(patch: pytest.MonkeyPatch) -> None:
    async def nobody_looks(*_: Any) -> None: ...

    patch.setattr(MemoryVault, "_in_use_elsewhere", lambda _self, _account: False)
    patch.setattr(MemoryWorkers, "hold_account", nobody_looks)
    for found in ("second_links", "runners"):
        patch.setattr(planner, found, lambda *_: {})


def _act_on_who_is_busy(patch: pytest.MonkeyPatch) -> None:
    begin = Jobs.begin

    def forgetful(self: Jobs, concerned: Any, *work: Any, **how: Any) -> Any:
        task = begin(self, concerned, *work, **how)
        for tracked in concerned:
            tracked.busy = False
        return task

    patch.setattr(Jobs, "begin", forgetful)


def _leave_the_table(patch: pytest.MonkeyPatch) -> None:
    def wrong(state: State, happening: Happening) -> State:
        return State.PAIRING if happening is Happening.CLIENT_ENDED else follow(state, happening)

    patch.setattr(roster, "follow", wrong)


def _retire_without_asking(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planner, "_objection", lambda *_: None)


def _wait_for_hours(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "pause", lambda *_: 7200.0)


def _look_all_the_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Jobs, "wake_at", lambda self: self._roster.ports.now() + timedelta(seconds=0.5))


def _believe_former_workers(patch: pytest.MonkeyPatch) -> None:
    take = Reports.take

    def gullible(self: Reports, report: Any) -> None:
        tracked = self._roster.sessions.get(report.session) if isinstance(report, SessionReport) else None
        if tracked is not None and tracked.worker_id is not None:
            report = SessionReport(
                worker_id=tracked.worker_id, session=report.session, at=report.at, event=report.event
            )
        take(self, report)

    patch.setattr(Reports, "take", gullible)


def _never_look_into_what_is_spoilt(patch: pytest.MonkeyPatch) -> None:
    async def no(_self: Starter, _name: str) -> bool:
        return False

    patch.setattr(Starter, "_is_spoilt", no)


# Rare by chance: two sessions are linked to one phone, and the one in service leaves the file.
_ONE_PHONE_FOR_TWO: list[Move] = [
    ("edit", File((Wanted("a", pairing="code"), Wanted("c", "none")))),
    ("wait", 1.0),
    ("phone", "a", 0.5),
    ("wrong phone", "c", "a"),
    ("wait", 45.0),
    ("edit", File((Wanted("a", pairing="code"),))),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_let_go_without_waiting, ("two clients on the credential",)),
        (_pair_whoever_was_unlinked, ("was paired once, and nobody asked",)),
        (_two_of_an_account, ("which has its account",)),
        (_act_on_who_is_busy, ("is under way", "which is busy")),
        (_leave_the_table, ("went from",)),
        (_retire_without_asking, ("an empty file retired a credential",)),
        (_wait_for_hours, ("not in service",)),
        (_look_all_the_time, ("the loop looked",)),
        (_believe_former_workers, ("not in service", "that nobody knows of", "not empty at rest")),
        (_never_look_into_what_is_spoilt, ("not in service",)),
    ],
)
def test_a_broken_wakit_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Break, words: tuple[str, ...]
) -> None:
    break_it(monkeypatch)
    told_lives: list[list[Move]] = [_ONE_PHONE_FOR_TWO, *map(script, range(200))]
    said = (lives.problem(tmp_path, seed, moves) for seed, moves in enumerate(told_lives, start=1))
    assert any(word in told for told in said for word in words)
