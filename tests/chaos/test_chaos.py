"""The short chaos run, and what can be said of its parts without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from e2e.harness import gone

from .book import Book
from .owner import orphans_of
from .patience import Clock, read_clock
from .returns import Returns
from .run import chaos, deadline
from .script import KINDS, draw
from .watching import Watch

SEED = int(os.environ.get("WAKIT_CHAOS_SEED", "7"))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_forty_sessions_survive_a_minute_of_chaos() -> None:
    verdict = chaos(SEED, sessions=40, seconds=60.0)
    assert not verdict.broken, str(verdict)
    met = verdict.figures["faults"]
    assert len(met) > 10, "the trouble met nobody"


def test_a_seed_is_a_run() -> None:
    faults = draw(3, 200, 600.0)
    assert faults == draw(3, 200, 600.0)
    assert faults != draw(4, 200, 600.0)
    assert {fault.kind for fault in faults} == {*KINDS, "daemon killed"}
    killed = [fault for fault in faults if fault.kind == "daemon killed"]
    assert len(killed) == 5
    assert any(fault.how for fault in killed)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert 900 < len(faults) < 1500


def test_the_deadline_grows_with_what_has_to_be_dialled() -> None:
    assert deadline(2000) - deadline(1000) == pytest.approx(50)


def test_the_file_that_is_edited_is_one(tmp_path) -> None:
    from wakit.declare import load  # noqa: PLC0415

    book = Book(tmp_path / "sessions.toml", "")
    first, second = book.add("a", "+999770000001"), book.add("b", "+999770000002")
    first.team, first.device, first.proxy = 'x"y', "desk 1", "http://127.0.0.1:1"
    book.rename(second, "br")
    book.save()
    found = load(book.path).sessions
    assert found["a"].labels == {"team": 'x"y'}
    assert found["br"].renamed_from == "b"
    book.remove(first)
    book.save()
    assert list(load(book.path).sessions) == ["br"]
    assert book.retirable == {"a", "b"}


def judged(book: Book, *events: dict[str, Any]) -> list[str]:
    """What a watch says of events of the journal."""
    stage = SimpleNamespace(fleet=SimpleNamespace(client=lambda: None), since=0, book=book)
    watch = Watch(stage, trouble=None, paired={"+999770000001"})  # type: ignore[arg-type] - only the journal's side
    for seq, event in enumerate(events, 1):
        base = {"seq": seq, "at": 100.0 + seq, "session": "a", "kind": "state", "reason": "", "run_id": "r1"}
        watch.judge(base | {"state_from": None, "state_to": None, "worker_pid": None} | event)
    return watch.broken


def test_who_was_paired_may_show_no_code_after_the_daemon_was_killed(tmp_path: Path) -> None:
    book = Book(tmp_path / "sessions.toml", "")
    line = book.add("a", "+999770000001")
    login = {"state_from": "starting", "state_to": "connected"}
    shown = {"kind": "qr", "run_id": "r2"}
    assert judged(book, login, shown) == ["a (journal 2): qr shows a code, and it was paired"]
    line.may_pair = True
    assert judged(book, shown) == []


def test_a_new_daemon_begins_anew_and_the_old_one_does_not(tmp_path: Path) -> None:
    book = Book(tmp_path / "sessions.toml", "")
    book.add("a", "+999770000001")
    login = {"state_from": "declared", "state_to": "connected"}
    assert judged(book, login, login | {"run_id": "r2"}) == []
    assert judged(book, login, login) == ["a (journal 2): state was connected, not declared"]


def test_a_name_that_was_never_linked_and_left_is_a_new_one(tmp_path: Path) -> None:
    book = Book(tmp_path / "sessions.toml", "")
    book.retirable.add("a")
    book.add("a", "+999770000002")
    left, back = {"state_from": "declared", "state_to": "retired"}, {"state_from": "declared", "state_to": "starting"}
    assert judged(book, left, back) == []
    book.lines.clear()
    book.add("a", "+999770000001")
    assert judged(book, left, back) == ["a (journal 2): state was retired, not declared"]


def test_a_daemon_that_had_no_cpu_is_not_slow() -> None:
    before = Clock(7, 100.0, 3.0)
    assert before.share_waited(Clock(7, 110.0, 11.0)) == pytest.approx(0.8)
    assert before.share_waited(Clock(7, 110.0, 3.5)) == pytest.approx(0.05)
    assert before.share_waited(Clock(8, 110.0, 0.0)) == 1.0


def test_the_clock_of_a_daemon_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "chaos.patience.locate", lambda _config: SimpleNamespace(daemon=SimpleNamespace(pid=os.getpid()))
    )
    first, second = read_clock(tmp_path), read_clock(tmp_path)
    assert first is not None
    assert second is not None
    assert 0 <= first.waited <= second.waited
    assert first.at < second.at


def test_who_was_parked_stays_so_whoever_runs_the_fleet(tmp_path: Path) -> None:
    book = Book(tmp_path / "sessions.toml", "")
    line = book.add("a", "+999770000001")
    login = {"state_from": "declared", "state_to": "connected", "run_id": "r2", "at": 200.0}
    line.parked, line.parked_at = True, 100.0
    assert judged(book, login) == ["a (journal 1): state is connected, and a person had parked it"]
    book.remove(line)
    assert judged(book, login) == [], "whoever leaves the file is no longer parked"


def test_returns_are_those_that_nobody_helped() -> None:
    returns = Returns()
    for at, who, state in [
        (1.0, "x", "connected"), (1.0, "y", "connected"), (2.0, "y", "logged_out"), (3.0, "x", "reconnecting"),
        (9.0, "x", "connected"), (9.0, "y", "connected"),
    ]:  # fmt: skip
        returns.state(who, who, at, state, "why")
    returns.daemon_died(10.0)
    returns.state("x", "x", 12.0, "connected", "logged in")
    assert returns.seconds == [6.0, 2.0]
    assert returns.longest == "x after 6.0 s: reconnecting (why)"


def test_who_has_ended_is_gone_although_nobody_has_reaped_it() -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', '']); print(p.pid, flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin
        assert parent.stdout
        orphan = psutil.Process(int(parent.stdout.readline()))
        assert gone([orphan])
        assert not gone([psutil.Process(parent.pid)], timeout=0.0)
        parent.stdin.close()


def test_a_worker_is_known_by_its_daemon_when_that_is_gone() -> None:
    code = "import sys; sys.stdin.read()"
    command = [sys.executable, "-c", code, "wakit.worker", "7", "4242"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as worker:
        try:
            assert orphans_of(4242) == [psutil.Process(worker.pid)]
            assert orphans_of(4243) == []
        finally:
            worker.kill()
