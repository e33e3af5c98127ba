"""What may be deleted, for every policy and every history."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wakit.core.declaration import VaultPolicy
from wakit.vault.retention import Item, Standing, expendable

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
GOOD, BAD, UNKNOWN = Standing.GOOD, Standing.BAD, Standing.UNKNOWN


def item(hours_ago: float, standing: Standing = GOOD, account: str | None = "a", size: int = 10) -> Item:
    at = NOW - timedelta(hours=hours_ago)
    return Item(f"{at:%Y%m%dT%H%M%S%fZ}", at, account, size, standing)


def kept(items: list[Item], policy: VaultPolicy = VaultPolicy()) -> list[Item]:  # noqa: B008 (frozen)
    gone = expendable(items, policy, NOW)
    assert gone == sorted(set(gone))
    assert set(gone) <= {item.name for item in items}
    return [item for item in items if item.name not in gone]


def test_the_newest_five_and_one_a_day_for_a_week() -> None:
    every_six_hours = [item(6 * number) for number in range(100)]
    left = kept(every_six_hours)
    assert left[:5] == every_six_hours[:5]
    days = Counter(it.taken_at.date() for it in left[5:])
    assert set(days.values()) == {1}
    assert {it.taken_at.date() for it in left} == {(NOW - timedelta(days=number)).date() for number in range(7)}


def test_a_day_keeps_its_last_one() -> None:
    morning, noon, evening = item(30), item(27), item(25)
    assert morning.taken_at.date() == evening.taken_at.date()
    assert kept([item(1), evening, noon, morning], VaultPolicy(keep=1)) == [item(1), evening]


def test_the_room_is_taken_from_the_oldest() -> None:
    items = [item(number, size=30) for number in range(5)]
    assert kept(items, VaultPolicy(max_bytes=100)) == items[:3]


def test_the_last_good_one_stays_although_it_is_too_large() -> None:
    assert kept([item(1, size=1000)], VaultPolicy(max_bytes=100)) == [item(1, size=1000)]
    bad = item(0, BAD)
    assert kept([bad, item(1, size=1000)], VaultPolicy(max_bytes=100)) == [bad, item(1, size=1000)]


def test_a_bad_one_takes_no_good_ones_place() -> None:
    good = [item(number) for number in range(10, 15)]
    bad = [item(number, BAD) for number in range(8)]
    assert kept([*bad, *good]) == [*bad, *good]


def test_a_bad_one_goes_once_there_is_a_good_newer_one() -> None:
    assert kept([item(1), item(2, BAD), item(3)]) == [item(1), item(3)]
    assert kept([item(1, account="b"), item(2, BAD)]) == [item(1, account="b"), item(2, BAD)], "of another account"
    assert kept([item(1, account="b"), item(2, BAD, account=None)]) == [item(1, account="b")]


def test_another_account_is_kept_on_its_own() -> None:
    former = [item(24 * 300 + number, account="b") for number in range(5)]
    now = [item(number / 10) for number in range(9)]
    assert kept([*now, *former]) == [*now[:5], *former]


def test_what_cannot_be_judged_is_left_alone() -> None:
    unknown = [item(number, UNKNOWN, account=None) for number in range(1, 9)]
    assert kept([item(0), *unknown], VaultPolicy(max_bytes=1)) == [item(0), *unknown]


def test_a_clock_that_was_wrong_deletes_nothing_new() -> None:
    future = [Item(f"2099010{day}", NOW + timedelta(days=9999 + day), "a", 10, GOOD) for day in range(1, 7)]
    newest = Item("20990107", NOW, "a", 10, GOOD)  # named to be after them
    assert newest in kept([newest, *reversed(future)])


items = st.lists(
    st.builds(
        item,
        st.integers(-48, 24 * 20) | st.floats(0, 24 * 9),
        st.sampled_from([GOOD, GOOD, GOOD, BAD, UNKNOWN]),
        st.sampled_from(["a", "a", "b", None]),
        st.integers(1, 100),
    ),
    max_size=40,
    unique_by=lambda it: it.name,
)
policies = st.builds(VaultPolicy, keep=st.integers(1, 12), max_bytes=st.integers(1, 3000))


def last_good_of(account: str | None, items: list[Item]) -> Item | None:
    good = [it for it in items if it.account == account and it.standing is GOOD]
    return max(good, key=lambda it: it.name, default=None)


@given(items, policies)
def test_invariants(items: list[Item], policy: VaultPolicy) -> None:
    left = kept(items, policy)
    accounts = {it.account for it in items}
    last_good = {account: last_good_of(account, items) for account in accounts}

    for account, last in last_good.items():
        assert last is None or last in left, f"the last good one of {account} is gone"
    assert all(it in left for it in items if it.standing is UNKNOWN)
    for it in items:
        if it.standing is BAD and it not in left:
            others = last_good.values() if it.account is None else [last_good[it.account]]
            assert any(good is not None and good.name > it.name for good in others), "no good newer one"

    safe = [it for it in left if it in last_good.values() or it.standing is not GOOD]
    assert sum(it.size for it in left) <= policy.max_bytes or len(safe) == len(left), "too much, and some could go"
    if sum(it.size for it in items) <= policy.max_bytes:
        for account in accounts:
            good = sorted((it for it in items if it.account == account and it.standing is GOOD), key=lambda it: it.name)
            assert set(good[-policy.keep :]) <= set(left), "one of the newest is gone although there is room"


@given(items, policies)
def test_a_second_look_deletes_nothing_more(items: list[Item], policy: VaultPolicy) -> None:
    left = kept(items, policy)
    assert kept(left, policy) == left


@given(items, policies, st.randoms())
def test_the_order_of_the_listing_does_not_matter(items: list[Item], policy: VaultPolicy, random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert expendable(shuffled, policy, NOW) == expendable(items, policy, NOW)


@given(items, policies)
def test_what_is_bad_changes_nothing_for_what_is_good(items: list[Item], policy: VaultPolicy) -> None:
    unlimited = VaultPolicy(keep=policy.keep, max_bytes=1 << 60)
    good = [it for it in items if it.standing is GOOD]
    assert kept(good, unlimited) == [it for it in kept(items, unlimited) if it.standing is GOOD]
