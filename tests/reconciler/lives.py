"""Thousands of lives of a fleet in seconds: the real reconciler, with a clock and ports of the simulation's own.

A seed decides everything: what people, phones, disks and workers do (:mod:`life_script`), how long each action takes,
in which order reports arrive. What must hold is asserted at each port and at every pause; at the end everybody stops
making trouble, people answer what asks for them, and within a bound the whole fleet must be in service.

Replay a seed, or look for one that fails::

    .venv/bin/python tests/reconciler/lives.py --seed 4711
    .venv/bin/python tests/reconciler/lives.py --count 20000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from fakes import NUMBERS, Fleet, Worker
from life_script import File, Move, script
from life_workers import BANNED_FOR, MemoryWorkers, Post
from memory_vault import MemoryVault

from wakit.control.schemas import PairRequest
from wakit.core.accounts import second_links
from wakit.core.actions import Action, Hold, Rename
from wakit.core.breaker import Trouble
from wakit.core.declaration import Pacing, Pairing, RetirePolicy, SessionSpec
from wakit.core.lifecycle import TRANSITIONS, State
from wakit.core.observation import Credential
from wakit.core.retry import AFTER_DIAL
from wakit.errors import ControlError, DeclarationError, Location, WakitError, WorkerError
from wakit.reconciler.loop import RESYNC
from wakit.reconciler.tracked import Tracked
from wakit.redact import PhoneNumber, Secret

_EDGES = {(before, after) for (before, _), after in TRANSITIONS.items()}
_CODES_LAST = 160.0
# Nothing that heals by itself takes longer than the longest pause, a ban, a round of codes and a resync one after the
# other; a person who looks every ten seconds does the rest.
BOUND = AFTER_DIAL.cap + BANNED_FOR + _CODES_LAST + RESYNC.total_seconds()
_LOOKS_AT_REST = 20


class Life(Fleet):
    """A fleet that lives one script.

    Args:
        root: An empty folder.
        seed: Decides how long things take and in which order reports come.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self._chance = Random(f"{seed} of ports")
        self.memory: MemoryVault | None = None
        self.workers: MemoryWorkers
        super().__init__(root)
        self.loop.work_takes = self._work_takes
        self._slow_vault = False
        self.chance = 0.5

    # -- ports -------------------------------------------------------------------------------------------------------

    def _hire(self) -> Any:
        return MemoryWorkers(self.loop, self.ledger.secrets, Random(self._chance.random()))

    def _open_vault(self) -> Any:
        self.memory = self.memory or MemoryVault(self.now, self.disk_faults)
        self.workers.vault = self.memory
        return self.memory

    def kill(self) -> None:
        self.post.close()
        super().kill()

    def stop(self) -> None:
        super().stop()
        self.post.close()

    def _boot(self) -> None:
        before = getattr(self, "workers", None)
        self._last_states: dict[str, str] = {}
        super()._boot()
        if before is not None:
            self.workers.slow, self.workers.one_may_leave = before.slow, before.one_may_leave
        self.post = Post(self.loop, Random(self._chance.random()), self.reconciler.take)
        self.workers.on_report = self.post.take
        self._told = len(self.ledger.records)

    def _work_takes(self) -> float:
        return self._chance.choice([0.001, 0.002, 0.3, 8.0] if self._slow_vault else [0.001, 0.002, 0.03])

    def _watch(self) -> None:
        super()._watch()
        carry_out = self.executor.carry_out

        def watched(actions: Sequence[Action]) -> list[Action]:
            busy = {name for name, tracked in self.roster.sessions.items() if tracked.busy}
            begun = carry_out(actions)
            concerned = [name for action in begun if not isinstance(action, Hold) for name in _concerned(action)]
            doubled = busy & set(concerned) or {name for name in concerned if concerned.count(name) > 1}
            if doubled:
                self.loop.faults.append(AssertionError(f"an action on {sorted(doubled)}, which is busy"))
            return begun

        self.executor.carry_out = watched  # type: ignore[method-assign]

    # -- what holds at every moment ----------------------------------------------------------------------------------

    def check(self) -> None:
        self.check_loop()
        for record in self.ledger.records[self._told :]:
            if record.kind == "state":
                before = self._last_states.get(record.session or "", record.state_from)
                assert record.state_from == before, f"{record.session} was {before}, not {record.state_from}"
                step = (State(record.state_from or ""), State(record.state_to or ""))
                assert step in _EDGES, f"{record.session} went from {step[0]} to {step[1]}"
                self._last_states[record.session or ""] = record.state_to or ""
        self._told = len(self.ledger.records)
        for tracked in self.roster.sessions.values():
            assert not (tracked.busy and self.executor.jobs.idle()), f"{tracked.name} is busy and nothing is under way"
            assert tracked.worker_id is None or tracked.state is not State.RETIRED or tracked.busy, tracked

    # -- moves -------------------------------------------------------------------------------------------------------

    def live(self, moves: Sequence[Move]) -> None:
        for verb, *values in moves:
            getattr(self, "do_" + verb.replace(" ", "_"))(*values)
            self.check_loop()
        self.come_to_rest()

    def do_wait(self, seconds: float) -> None:
        self.advance(seconds)

    def do_edit(self, file: File) -> None:
        specs = [
            SessionSpec(
                wanted.name,
                phone=_phone(wanted.name, wanted.phone),
                pairing=Pairing(wanted.pairing),
                proxy=Secret(f"socks5://user:hunter{wanted.proxy}@127.0.0.1:1") if wanted.proxy else None,
                enabled=wanted.enabled,
                labels={"team": wanted.team},
                renamed_from=wanted.renamed_from,
            )
            for wanted in file.sessions
        ]
        self.declare(
            *specs,
            masked="".join(map(_masked, specs)),
            retire=RetirePolicy(file.retire),
            pacing=Pacing(pairings=file.pairings),
            sessions_per_worker=file.per_worker,
        )

    def do_broken_file(self) -> None:
        self.reconciler.refuse(DeclarationError("It is no TOML", location=Location("sessions.toml", 1, 1)))

    def do_ask_to_pair(self, name: str, method: str) -> None:
        spec = self.roster.declared(name)
        phone = "+" + NUMBERS[name] if method == "code" and not (spec and spec.phone) else None
        with suppress(ControlError):
            self.run(self.desk.pair(name, PairRequest(method=method or None, phone=phone)))  # type: ignore[arg-type]
            self.workers.asked.add(name)

    def do_ask_to_restart(self, name: str) -> None:
        with suppress(ControlError):
            self.run(self.desk.restart(name))

    def do_ask_to_park(self, name: str) -> None:
        with suppress(ControlError):
            self.run(self.desk.park(name))

    def do_ask_to_resume(self, name: str) -> None:
        with suppress(ControlError):
            self.run(self.desk.resume(name))

    def do_apply(self, confirm: bool) -> None:
        self.run(self.desk.apply(confirm=confirm))

    def do_phone(self, name: str, after: float) -> None:
        self.loop.call_later(after, lambda: self.workers.scan(name, NUMBERS[name]))

    def do_wrong_phone(self, name: str, whose: str) -> None:
        self.workers.scan(name, NUMBERS[whose])

    def do_unlink(self, name: str) -> None:
        self.workers.unlink(name)

    def do_crash(self, name: str) -> None:
        self.workers.crash(name)

    def do_crash_while_linking(self, name: str) -> None:
        self.workers.crash_while_linking(name, NUMBERS[name])

    def do_lose_the_line(self, name: str, seconds: float) -> None:
        self.workers.lose_the_line(name, seconds)

    def do_last_words(self, name: str, word: str) -> None:
        self.workers.last_words(name, word)

    def do_echo(self, name: str, word: str) -> None:
        self.workers.echo(name, word)

    def do_post(self, late: float, doubled: float, swapped: float) -> None:
        self.post.late, self.post.doubled, self.post.swapped = late, doubled, swapped

    def do_launches_fail(self, often: int, ours: bool) -> None:
        self.workers.failures += [WorkerError("It did not start") if ours else OSError(11, "no processes")] * often

    def do_releases_fail(self, often: int) -> None:
        self.workers.release_failures += [WorkerError("It did not let go")] * often

    def do_disk_fails(self, often: int) -> None:
        self.disk_faults += [OSError(28, "no space left on device")] * often

    def do_slow(self, what: str) -> None:
        self.workers.slow = what in ("workers", "both")
        self._slow_vault = what in ("vault", "both")

    def do_daemon(self, kill: bool) -> None:
        self.restart(kill=kill)
        self._last_states.clear()  # a new run begins from what the vault remembers

    def do_give_away(self, name: str) -> None:
        self.memory.give_away(name)  # type: ignore[union-attr]

    def do_take_back(self, name: str) -> None:
        self.memory.take_back(name)  # type: ignore[union-attr]

    def do_spoil(self, name: str) -> None:
        self.memory.spoil(name)  # type: ignore[union-attr]

    def do_put_back(self, name: str) -> None:
        async def ask() -> None:
            with suppress(WakitError, OSError):
                await self.desk.restore(name, None)

        self.loop.create_task(ask())

    # -- the end -----------------------------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """No more trouble, and people who answer: within the bound everybody is in service, and nothing is to do."""
        self.disk_faults.clear()
        self.workers.failures.clear()
        self.workers.release_failures.clear()
        self.do_slow("nothing")
        self.post.calm()
        self.advance(30)  # until what is late has come
        for name in [name for worker in self.workers.live.values() for name in worker.clients]:
            self.workers.say_how_it_is(name)
        for _ in range(int(BOUND / 10)):
            self.advance(10)
            if self._in_service():
                break
            self._people_answer()
        self.advance(10)  # whoever was linked last may have its backup taken
        self.looks = 0
        self.advance(120)
        assert self.looks <= _LOOKS_AT_REST, f"at rest the loop looked {self.looks} times in two minutes"
        for _ in range(12):  # small workers may just be becoming one
            if self.executor.jobs.idle():
                break
            self.advance(10)
        assert self.executor.jobs.idle(), "something is under way for ever"
        left = self.reconciler.decide().actions
        assert not left, f"not empty at rest: {left}"
        missing = self._missing()
        assert not missing, f"not in service {BOUND:.0f} s after the last trouble: {missing}"
        for worker in self.workers.live.values():
            self._judge_alive(worker)

    def _judge_alive(self, worker: Worker) -> None:
        force = self.roster.in_force
        for name in worker.clients:
            tracked = self.roster.sessions[name]
            spec = force.declaration.sessions.get(name) if force else None
            assert tracked.worker_id == worker.worker_id, f"{name} runs in a worker that nobody knows of"
            assert spec is None or (spec.enabled and not tracked.parked) or tracked.held, f"{name} runs and is parked"
            assert spec is not None or tracked.held, f"{name} runs and is not in the file"

    def _people_answer(self) -> None:
        force = self.roster.in_force
        for name in force.declaration.sessions if force else ():
            info = self.info(name)
            if not info.needs_person or info.held is not None:
                continue
            if not self.workers.scan(name, NUMBERS[name]):
                self.do_ask_to_pair(name, "code" if info.pairing == "code" else "qr")
        outage = self.roster.outlook.outage
        if outage is not None and outage.trouble is Trouble.OUTDATED:
            for name, _, _ in self._missing()[:1]:  # wakit was upgraded: whoever asks for one has them all back
                if self.roster.get(name).credential is Credential.PRESENT:
                    self.do_ask_to_restart(name)
                else:
                    self.do_ask_to_pair(name, "qr")

    def _in_service(self) -> bool:
        return self.executor.jobs.idle() and not self.reconciler.decide().actions and not self._missing()

    def _missing(self) -> list[tuple[str, str, str]]:
        force = self.roster.in_force
        found = [(t.name, t.state.value, t.reason) for t in self.roster.sessions.values() if self._was_left_behind(t)]
        for name, spec in force.declaration.sessions.items() if force else ():
            tracked = self.roster.get(name)
            if tracked.held is not None or not spec.enabled or tracked.parked:
                continue
            client = self.workers.client(name)
            if tracked.state is not State.CONNECTED or client is None or not client.linked:
                found.append((name, tracked.state.value, tracked.reason))
        return found

    def _was_left_behind(self, tracked: Tracked) -> bool:
        """Whether nobody runs a session that left the file, but is kept in service until a person confirms that."""
        force, spec = self.roster.in_force, tracked.spec
        if force is None or spec is None or tracked.name in force.declaration.sessions or tracked.held is None:
            return False
        kept = spec.enabled and not tracked.parked and not tracked.waits_for_person
        if not kept or tracked.credential is not Credential.PRESENT or self.roster.outlook.outage is not None:
            return False
        if tracked.name in second_links(force.declaration, self.roster.observe()):
            return False
        client = self.workers.client(tracked.name)
        return client is None or not client.linked


def _concerned(action: Action) -> list[str]:
    return [action.session, action.source] if isinstance(action, Rename) else [action.session]


def _masked(spec: SessionSpec) -> str:
    proxy = 'proxy = "socks5://[credentials]@127.0.0.1:1"\n' if spec.proxy else ""
    return f"[sessions.{spec.name}]\nenabled = {str(spec.enabled).lower()}\n{proxy}"


def _phone(name: str, whose: str) -> PhoneNumber | None:
    if whose == "none":
        return None
    other = "abcde"[("abcde".index(name) + 1) % 5]
    return PhoneNumber("+" + NUMBERS[other if whose == "another's" else name])


def problem(root: Path, seed: int, moves: Sequence[Move]) -> str:
    """Live a script; return what went wrong, or ""."""
    with mock.patch("os.fsync", return_value=None):
        life = Life(root, seed)
        try:
            life.live(moves)
        except (AssertionError, RuntimeError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            life.close()
    return ""


def history(root: Path, seed: int) -> list[str]:
    """Return what the journal has of a life, to compare one with another."""
    with mock.patch("os.fsync", return_value=None):
        life = Life(root, seed)
        try:
            life.live(script(seed))
            return [f"{r.ts} {r.session} {r.kind} {r.state_to} {r.reason}" for r in life.ledger.records]
        finally:
            life.close()


def shorten(root: Path, seed: int, moves: Sequence[Move], *, tries: int = 300) -> list[Move]:
    """Leave moves out for as long as it still fails."""
    kept, size = list(moves), len(moves) // 2
    while size and tries:
        start = 0
        while start < len(kept) and tries:
            shorter = kept[:start] + kept[start + size :]
            tries -= 1
            if problem(root, seed, shorter):
                kept = shorter
            else:
                start += size
        size //= 2
    return kept


def explain(root: Path, seed: int, moves: Sequence[Move]) -> str:
    """Say what fails, by the shortest way to it that was found, and how to see it again."""
    kept = shorten(root, seed, moves)
    steps = "\n".join(f"    {move}" for move in kept)
    again = f".venv/bin/python tests/reconciler/lives.py --seed {seed}"
    return f"seed {seed}: {problem(root, seed, kept) or problem(root, seed, moves)}\n{steps}\n  again: {again}"


def live_all(root: Path, seeds: Sequence[int]) -> tuple[int, list[str]]:
    """Live every seed; return how many moves that were, and what failed, explained."""
    scripts = {seed: script(seed) for seed in seeds}
    failed = [explain(root, seed, moves) for seed, moves in scripts.items() if problem(root, seed, moves)]
    return sum(map(len, scripts.values())), failed


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, help="live this one only")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--history", action="store_true", help="print the journal of each life")
    chosen = parser.parse_args()
    seeds = [chosen.seed] if chosen.seed is not None else range(chosen.first, chosen.first + chosen.count)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wk", dir="/tmp") as folder:
        if chosen.history:
            print(*(line for seed in seeds for line in history(Path(folder), seed)), sep="\n")
            return 0
        moved, failed = live_all(Path(folder), seeds)
    for each in failed:
        print(each)
    print(f"{len(seeds)} lives, {moved} moves, {len(failed)} failed, {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
