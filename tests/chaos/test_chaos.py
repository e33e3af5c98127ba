"""The short chaos run, and what can be said of its parts without one."""

from __future__ import annotations

import os

import pytest

from .book import Book
from .run import chaos, deadline
from .script import KINDS, draw

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
    assert {fault.kind for fault in faults} == set(KINDS)
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
