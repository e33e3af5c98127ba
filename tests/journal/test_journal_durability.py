"""What an acknowledgement is worth: numbers, crashes, a disk that is full, and a file that is not ours."""

from __future__ import annotations

import asyncio
import doctest
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from journal_histories import declaration, event, naive, state

from wakit.errors import HeldError, JournalError
from wakit.journal import Gap, Journal, JournalOptions, acks, live, mirror, offline, open_read_only
from wakit.journal import journal as door

CRASHING = Path(__file__).with_name("crashing_journal.py")
STARVED = Path(__file__).with_name("starved_journal.py")


async def rows(journal: Journal, sql: str) -> list[dict[str, Any]]:
    return (await journal.query(sql)).to_pylist()


@pytest.mark.parametrize("module", [acks, door, live, mirror, offline])
def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    ran = doctest.testmod(module)
    assert ran.attempted
    assert ran.failed == 0


async def test_an_acknowledged_event_can_be_asked_for(journal: Journal) -> None:
    seq = await journal.log_durably(
        state(1.5, "sales", "connected", state_from="starting", reason="restored", code="ok", detail={"attempt": [1]},
              worker_pid=7, declaration_rev=2, git_commit="abc", git_branch="main")
    )  # fmt: skip
    assert await rows(journal, "FROM events") == [
        {
            "seq": seq, "ts": naive(1.5), "session": "sales", "kind": "state", "state_from": "starting",
            "state_to": "connected", "reason": "restored", "code": "ok", "detail": '{"attempt":[1]}', "worker_pid": 7,
            "run_id": "r1", "declaration_rev": 2, "git_commit": "abc", "git_branch": "main",
        }
    ]  # fmt: skip


async def test_numbers_rise_over_restarts(path: Path) -> None:
    seen = []
    for _ in range(3):
        async with Journal.open(path) as journal:
            seen += [journal.log(event()), journal.log(event())]
    assert seen == [1, 2, 3, 4, 5, 6]
    async with Journal.open(path) as journal:
        assert [row["seq"] for row in await rows(journal, "SELECT seq FROM events ORDER BY seq")] == seen


async def test_closing_writes_what_was_logged(path: Path) -> None:
    async with Journal.open(path) as journal:
        for number in range(20_000):
            journal.log(event(number))
    with open_read_only(path) as reader:
        assert reader.query("SELECT count(*) AS n, max(seq) AS top FROM events").to_pylist() == [
            {"n": 20_000, "top": 20_000}
        ]


async def test_waiting_for_a_number_nobody_has_is_an_error(journal: Journal) -> None:
    journal.log(event())
    for seq in (0, -1, 2):
        with pytest.raises(ValueError, match="no event"):
            await journal.acked(seq)


async def test_a_waiter_that_gives_up_disturbs_nobody(journal: Journal) -> None:
    waiters = [asyncio.create_task(journal.acked(journal.log(event(n)))) for n in range(50)]
    for waiter in waiters[::2]:
        waiter.cancel()
    await asyncio.gather(*waiters[1::2])


async def test_a_closed_journal_takes_nothing(path: Path) -> None:
    journal = Journal.open(path)
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.log(event())
    with pytest.raises(JournalError, match="closed"):
        journal.declare(declaration("a"))


async def test_declarations_are_numbered_and_the_same_bytes_are_the_same_revision(path: Path) -> None:
    async with Journal.open(path) as journal:
        assert [journal.declare(declaration(sha)) for sha in ("a", "a", "b", "a")] == [1, 1, 2, 3]
    async with Journal.open(path) as journal:
        assert journal.declare(declaration("a", git_commit="later")) == 3
        assert journal.declare(declaration("c", git_commit="f00", git_branch="main", dirty=True)) == 4
        await journal.log_durably(event())
        assert (await rows(journal, "SELECT * EXCLUDE loaded_at FROM declarations ORDER BY rev"))[-1] == {
            "rev": 4, "sha256": "c", "git_commit": "f00", "git_branch": "main", "dirty": True, "text": "[wakit]"
        }  # fmt: skip
        assert await rows(journal, "SELECT count(*) AS n FROM declarations") == [{"n": 4}]


async def test_the_text_before_is_one_of_an_earlier_run(path: Path) -> None:
    async with Journal.open(path) as journal:
        journal.declare(replace(declaration("whole"), text="[sessions.a]\n# +34 600 000 001\n"))
        journal.declare(replace(declaration("half"), text="[sessions.a]\n"))
        assert journal.text_before("half") is None
    whole = "[sessions.a]\n# [number]\n"
    async with Journal.open(path) as journal:
        journal.declare(declaration("another"))
        await journal.prune(event(10**9).ts)
        assert [journal.text_before(sha) for sha in ("half", "whole", "new")] == [
            whole,
            "[sessions.a]\n",
            "[sessions.a]\n",
        ]
    with open_read_only(path) as reader:
        assert [reader.text_before(sha) for sha in ("another", "half")] == ["[sessions.a]\n", "[wakit]"]


async def test_an_idle_run_gives_signs_of_life(path: Path) -> None:
    ticks = iter(range(1, 1000))
    async with Journal.open(
        path, clock=lambda: event(next(ticks) * 100).ts, options=JournalOptions(pulse_every=0.01)
    ) as journal:
        journal.log(event(0, kind="daemon_start"))
        await journal.log_durably(state(1, "sales", "connected"))
        async with asyncio.timeout(10):
            while (await rows(journal, "SELECT epoch(seen_at - started_at) AS s FROM runs"))[0]["s"] < 200:
                pass
        await journal.log_durably(event(100_000, kind="daemon_stop"))
    with open_read_only(path) as reader:
        assert reader.query("SELECT duration FROM intervals").to_pylist() == [{"duration": 99_999}]


async def test_pruning_keeps_what_present_answers_rest_on(journal: Journal) -> None:
    first, second, third = (journal.declare(declaration(sha)) for sha in "abc")
    journal.log(event(0, kind="daemon_start"))
    journal.log(state(1, "sales", "starting", declaration_rev=first))
    journal.log(state(2, "sales", "connected", declaration_rev=second))
    journal.log(event(3))
    journal.log(state(500, "sales", "reconnecting"))
    last = await journal.log_durably(event(600))
    assert await journal.prune(event(100).ts) == 3
    assert [row["kind"] for row in await rows(journal, "SELECT kind FROM events ORDER BY seq")] == [
        "state", "state", "warning"
    ]  # fmt: skip
    assert (await rows(journal, 'SELECT state, duration FROM intervals ORDER BY "from"'))[0] == {
        "state": "connected", "duration": 498
    }  # fmt: skip
    assert await rows(journal, "SELECT rev FROM declarations") == [{"rev": second}, {"rev": third}]
    assert await journal.prune(event(10_000).ts) == 1
    assert await journal.prune(event(10_000).ts) == 0
    assert journal.log(event()) == last + 1


async def test_two_owners_are_refused(path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, str(CRASHING), str(path), "1", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    await owner.stdout.readline()
    for opening in (Journal.open, open_read_only):
        with pytest.raises(HeldError, match="in use") as caught:
            opening(path)
        assert "wakit" in caught.value.hint
    owner.kill()
    await owner.communicate()
    async with Journal.open(path):
        for opening in (Journal.open, open_read_only):
            with pytest.raises(HeldError, match="this process"):
                opening(path)


@pytest.mark.parametrize("content", [b"", b"not a database", b"\0" * 8192])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match="cannot be used") as caught:
        Journal.open(path)
    assert "move it away" in caught.value.hint
    assert path.read_bytes() == content


def test_a_journal_that_is_not_there_cannot_be_read(path: Path) -> None:
    with pytest.raises(JournalError, match="no journal") as caught:
        open_read_only(path)
    assert caught.value.hint
    assert not path.exists()


async def test_the_file_is_its_owner_s_alone(journal: Journal, path: Path) -> None:
    await journal.log_durably(event())
    assert path.stat().st_mode & 0o777 == 0o600  # noqa: ASYNC240


async def test_no_acknowledged_event_is_missing_after_kill_9(path: Path) -> None:
    """Several lives of one journal, each killed at another point; the file opens, and has all it promised."""
    promised = 0
    for lines in (1, 7, 40, 111, 300):
        promised = max(promised, await _live_until(path, lines))
        if lines == 40:  # a WAL left by the dead is no obstacle to a reader, either
            with open_read_only(path) as reader:
                assert reader.query("SELECT max(seq) AS top FROM events").to_pylist()[0]["top"] >= promised
    async with Journal.open(path) as journal:
        (found,) = await rows(
            journal,
            "SELECT count(*) AS n, count(DISTINCT seq) AS numbers, min(seq) AS low, max(seq) AS top, "
            "count(*) FILTER ((detail ->> 'value')::BIGINT = seq) AS whole FROM events",
        )
        assert found["top"] >= promised
        assert found["n"] == found["numbers"] == found["top"] == found["whole"]
        assert found["low"] == 1
        assert journal.log(event()) == found["top"] + 1


async def _live_until(path: Path, lines: int) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CRASHING), str(path), "1000000", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    promised = 0
    for _ in range(lines):
        promised = int(await asyncio.wait_for(process.stdout.readline(), 30))
    process.send_signal(signal.SIGKILL)
    rest, _ = await process.communicate()
    whole = [line for line in rest.decode().splitlines(keepends=True) if line.endswith("\n")]
    return max([promised, *(int(line) for line in whole)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs RLIMIT_FSIZE")
async def test_a_full_disk_delays_acknowledgements_and_loses_only_what_it_says(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(STARVED), str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    told = json.loads(out)
    assert not told["ok_while_full"]
    assert told["error_while_full"]
    assert told["acked_while_full"] == told["acked_before"], "acknowledged what the disk did not take"
    assert told["ok_afterwards"]
    assert told["lost"] > 0
    assert told["lost_waiter"] == "JournalError"
    with open_read_only(path) as reader:
        (found,) = reader.query(
            "SELECT count(*) FILTER (code IS DISTINCT FROM 'events_lost') AS kept, max(seq) AS top, "
            "sum((detail ->> 'count')::BIGINT) AS lost, count(DISTINCT seq) = count(*) AS once FROM events"
        ).to_pylist()
        assert found == {
            "kept": told["logged"] - told["lost"],
            "top": told["logged"],
            "lost": told["lost"],
            "once": True,
        }
        holes = reader.query(
            "WITH n AS (SELECT seq, code, detail, lead(seq) OVER (ORDER BY seq) AS next FROM events) "
            "SELECT count(*) AS n FROM n WHERE next <> seq + 1 AND NOT "
            "(code = 'events_lost' AND (detail ->> 'last')::BIGINT + 1 = next)"
        ).to_pylist()
        assert holes == [{"n": 0}], "a hole in the numbers that nothing explains"


async def test_the_live_feed_brings_what_is_acknowledged(journal: Journal) -> None:
    journal.log(event(0, reason="before"))
    await journal.log_durably(event(0, reason="before"))
    with journal.subscribe() as feed:
        logged = [journal.log(event(n, reason=f"number {n}")) for n in range(100)]
        items = [await asyncio.wait_for(anext(feed), 10) for _ in logged]
    assert all(not isinstance(item, Gap) for item in items)
    assert [(item[0], item[1].reason) for item in items if not isinstance(item, Gap)] == [
        (seq, f"number {n}") for n, seq in enumerate(logged)
    ]
    assert journal.health.durable_seq >= logged[-1]


async def test_a_slow_listener_is_told_what_it_missed(journal: Journal) -> None:
    with journal.subscribe(capacity=10) as feed:
        for number in range(1000):
            last = journal.log(event(number))
        await journal.acked(last)
        first = await asyncio.wait_for(anext(feed), 10)
        assert isinstance(first, Gap)
        rest = []
        while not rest or rest[-1] < last:
            item = await asyncio.wait_for(anext(feed), 10)
            assert not isinstance(item, Gap)
            rest.append(item.seq)
    assert rest == list(range(first.last + 1, last + 1))
    assert len(rest) <= 10
    missed = await rows(journal, f"SELECT count(*) AS n FROM events WHERE seq BETWEEN {first.first} AND {first.last}")
    assert missed == [{"n": last - len(rest)}]


async def test_closing_ends_the_live_feed(path: Path) -> None:
    journal = Journal.open(path)
    feed = journal.subscribe()
    last = journal.log(event())
    await journal.close()
    assert [item.seq async for item in feed if not isinstance(item, Gap)] == [last]


def test_where_only_the_simulated_fleet_has_a_journal_the_hint_says_so(tmp_path: Path) -> None:
    simulated = tmp_path / ".wakit-sim" / "journal.duckdb"
    simulated.parent.mkdir()
    simulated.touch()
    with pytest.raises(JournalError) as caught:
        open_read_only(tmp_path / ".wakit" / "journal.duckdb")
    assert "--sim" in caught.value.hint
