from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wakit.core import phone
from wakit.core.phone import COARSE, WARN_AFTER, PhoneHealth, PhoneMemory, hear, judge_phone, quiet_words

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
moments = st.integers(0, 365 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))
memories = st.builds(PhoneMemory, moments, st.integers(1, 400), st.floats(0, 30 * 86400))


def after(*pauses: timedelta) -> PhoneMemory:
    """A phone that was linked, and showed itself after each of these pauses."""
    memory, at = hear(None, START), START
    for pause in pauses:
        at += pause
        memory = hear(memory, at)
    return memory


def test_the_examples() -> None:
    assert doctest.testmod(phone).failed == 0


def test_one_that_shows_itself_daily_is_missed_after_ten_days() -> None:
    memory = after(*[DAY] * 6)
    assert judge_phone(memory, memory.seen_at + timedelta(hours=2)) is PhoneHealth.SEEN
    assert judge_phone(memory, memory.seen_at + 9 * DAY) is PhoneHealth.UNKNOWN
    assert judge_phone(memory, memory.seen_at + 10 * DAY) is PhoneHealth.QUIET
    assert quiet_words(memory, memory.seen_at + 10 * DAY).endswith("within 4 days")
    assert quiet_words(memory, memory.seen_at + 13 * DAY).endswith("today")
    assert quiet_words(memory, memory.seen_at + 40 * DAY).endswith("today")


def test_one_that_was_only_linked_is_never_missed() -> None:
    """A fleet with little traffic: nothing was heard since the link, and nothing follows from that."""
    for days in (1, 10, 14, 100):
        assert judge_phone(hear(None, START), START + days * DAY) is PhoneHealth.UNKNOWN


def test_one_that_shows_itself_seldom_is_never_missed() -> None:
    memory = after(*[timedelta(days=8)] * 12)
    assert judge_phone(memory, memory.seen_at + 30 * DAY) is PhoneHealth.UNKNOWN


def test_a_long_pause_fades() -> None:
    holidays = after(*[DAY] * 6, timedelta(days=13), *[DAY] * 3)
    assert judge_phone(holidays, holidays.seen_at + 12 * DAY) is PhoneHealth.UNKNOWN
    long_ago = after(*[DAY] * 6, timedelta(days=13), *[DAY] * 12)
    assert judge_phone(long_ago, long_ago.seen_at + 12 * DAY) is PhoneHealth.QUIET


def test_a_busy_day_is_one_day() -> None:
    memory = after(*[timedelta(hours=1)] * 8)
    assert memory.days == 1
    assert judge_phone(memory, memory.seen_at + 12 * DAY) is PhoneHealth.UNKNOWN


@given(memories, moments)
def test_what_is_older_or_hardly_newer_adds_nothing(memory: PhoneMemory, at: datetime) -> None:
    heard = hear(memory, at)
    assert (heard is memory) is (at - memory.seen_at < COARSE)
    assert heard.seen_at >= memory.seen_at
    assert heard.days in (memory.days, memory.days + 1)


@given(st.none() | memories, moments)
def test_no_alarm_before_ten_days_nor_without_a_past(memory: PhoneMemory | None, now: datetime) -> None:
    if judge_phone(memory, now) is PhoneHealth.QUIET:
        assert memory is not None
        assert memory.days > 1
        assert now - memory.seen_at >= WARN_AFTER
        assert str((now - memory.seen_at).days) in quiet_words(memory, now)
