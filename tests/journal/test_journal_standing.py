"""Where the journal stands, from memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from journal_histories import declaration, event, naive

from wakit.errors import JournalError
from wakit.journal import Journal, JournalOptions, Numbered
from wakit.journal.standing import REMEMBERED, Memory


def numbers(memory: Memory, since: int) -> list[int] | None:
    events = memory.standing(since).events
    return None if events is None else [each.seq for each in events]


def written(*seqs: int) -> list[Numbered]:
    return [Numbered(seq, event(seq)) for seq in seqs]


def test_events_are_told_as_far_back_as_they_are_remembered() -> None:
    memory = Memory(remembered=3)
    memory.opened("x", seq=10, rev=1)
    assert (numbers(memory, 10), numbers(memory, 9), numbers(memory, 11)) == ([], None, None)
    memory.wrote(written(11, 12), seq=12, rev=1)
    assert [numbers(memory, since) for since in (9, 10, 11, 12)] == [None, [11, 12], [12], []]
    memory.wrote(written(13, 14), seq=14, rev=2)
    assert [numbers(memory, since) for since in (10, 11, 13)] == [None, [12, 13, 14], [14]]
    assert (memory.standing(14).seq, memory.standing(14).rev) == (14, 2)


def test_a_warning_stands_for_all_the_numbers_that_were_lost() -> None:
    memory = Memory(remembered=3)
    memory.opened("x", seq=0, rev=0)
    memory.wrote(written(1, 2), seq=9, rev=0)  # 2 is the warning that 2 to 9 were lost
    assert [numbers(memory, since) for since in (0, 1, 2, 9)] == [[1, 2], [2], [], []]
    assert memory.standing(2).seq == 9
    memory.wrote(written(10), seq=10, rev=0)
    assert [numbers(memory, since) for since in (2, 9)] == [[10], [10]]


def test_another_opening_forgets() -> None:
    memory = Memory()
    memory.opened("x", seq=0, rev=0)
    memory.wrote(written(1), seq=1, rev=0)
    memory.beat("r1", naive(0))
    memory.opened("y", seq=1, rev=0)
    told = memory.standing(0)
    assert (told.opening, told.events, told.pulses) == ("y", None, {})


async def test_only_what_is_durable_is_told(path: Path) -> None:
    async with Journal.open(path) as journal:
        opening = journal.standing(0).opening
        journal.declare(declaration("a"))
        seq = await journal.log_durably(event(1))
        told = journal.standing(0)
        assert (told.opening, told.seq, told.rev) == (opening, seq, 1)
        assert [(each.seq, each.record) for each in told.events or ()] == [(seq, event(1))]
        for _ in range(REMEMBERED):
            seq = journal.log(event(2))
        await journal.acked(seq)
        assert journal.standing(0).events is None
        assert len(journal.standing(1).events or ()) == REMEMBERED
    async with Journal.open(path) as journal:
        told = journal.standing(seq)
        assert (told.seq, told.rev, told.events) == (seq, 1, [])
        assert told.opening != opening


async def test_a_sign_of_life_is_told(path: Path) -> None:
    async with Journal.open(path, clock=lambda: event(7).ts, options=JournalOptions(pulse_every=0.01)) as journal:
        await journal.log_durably(event(0, kind="daemon_start"))
        async with asyncio.timeout(10):
            while not (pulses := journal.standing(0).pulses):  # noqa: ASYNC110 - nobody is told of one
                await asyncio.sleep(0)
        assert pulses == {"r1": naive(7)}


async def test_a_file_that_had_to_be_opened_anew_is_another_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journal.open(path) as journal:
        await journal.log_durably(event(1))
        opening, ledger = journal.standing(0).opening, journal._writer._ledger
        write, failures = ledger._commit, iter([JournalError("The disk is full")])

        def commit(items: object) -> object:
            for failure in failures:
                raise failure
            return write(items)  # type: ignore[arg-type]

        monkeypatch.setattr(ledger, "_commit", commit)
        seq = await journal.log_durably(event(2))
        told = journal.standing(seq)
        assert told.opening != opening
        assert (told.seq, told.events) == (seq, [])
