"""When a deaf session's client is replaced, and with whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wakit.core.silence import Cure, Deaf, Over, cure

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(seconds=60)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize("over", [None, Over(at(-500), at(-400), dialled=True)])
def test_who_is_deaf_for_its_own_reasons_has_restart_after(over: Over | None) -> None:
    assert cure(Deaf(at(0), at(-30)), over, MINUTE) == Cure(at(60), together=False)


def test_once_a_new_connection_got_through_all_dead_ones_are_replaced_at_one_moment() -> None:
    over = Over(at(0), at(17), dialled=True)
    told = [Deaf(at(moment), at(moment - 38)) for moment in (10, 14, 20, 33, 44)]
    assert {cure(deaf, over, MINUTE) for deaf in told} == {Cure(at(45), together=True)}


def test_after_a_long_outage_dead_ones_have_as_long_as_a_heartbeat_takes_to_tell() -> None:
    assert cure(Deaf(at(20), at(-3)), Over(at(0), at(300), dialled=True), MINUTE) == Cure(at(310), together=True)


def test_once_an_old_connection_carries_something_the_others_have_until_their_next_ping() -> None:
    assert cure(Deaf(at(20), at(-3)), Over(at(0), at(300), dialled=False), MINUTE) == Cure(at(345), together=True)


def test_whose_line_carries_something_is_left_until_its_next_ping_and_then_replaced_alone() -> None:
    assert cure(Deaf(at(20), at(299)), Over(at(0), at(300), dialled=True), MINUTE) == Cure(at(345), together=False)


def test_who_was_replaced_a_moment_ago_is_not_helped_by_another_connection() -> None:
    deaf = Deaf(at(20), at(-3), replaced_at=at(-60))
    assert not deaf.helped_by_another
    assert not cure(deaf, Over(at(0), at(30), dialled=True), MINUTE).together
