"""When many troubles are one, who is the probe, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakit.core.breaker import (
    DISPUTED,
    PROBES,
    SPAN,
    Evidence,
    Headcount,
    Outage,
    Outlook,
    Trouble,
    evidence_of,
    is_busy,
    silence_of,
    trouble_of,
)
from wakit.core.silence import Over
from wakit.whatsapp.port import DialFailure

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def failure(
    session: str, cause: DialFailure = DialFailure.NAME_LOOKUP, *, after: float = 0.0, proxied: bool = False
) -> Evidence:
    at = NOON + timedelta(seconds=after)
    found = evidence_of(session, at, cause=cause.value, detail="name look-up failed", proxied=proxied)
    assert found is not None
    return found


def told(*failures: Evidence, wanted: int, down: int | None = None) -> Outlook:
    outlook = Outlook()
    for each in failures:
        outlook = outlook.failed(each, Headcount(wanted, wanted if down is None else down), 0.5)
    return outlook


def opened(trouble: Trouble = Trouble.NETWORK) -> tuple[Outlook, Outage]:
    if trouble is Trouble.OUTDATED:
        outlook = Outlook().failed(Evidence("a", NOON, trouble, "405"), Headcount(3, 1), 0.5)
    else:
        cause = DialFailure.TLS if trouble is Trouble.SERVICE else DialFailure.NAME_LOOKUP
        outlook = told(failure("a", cause), failure("b", cause), wanted=3)
    assert outlook.outage is not None
    assert outlook.outage.trouble is trouble
    return outlook, outlook.outage


def test_every_cause_of_a_failed_dial_is_weighed_or_left_to_its_session() -> None:
    own = {cause for cause in DialFailure if trouble_of(cause.value) is None}
    assert own == {DialFailure.PROXY_DENIED, DialFailure.NOT_ALLOWED}
    assert evidence_of("a", NOON, cause="proxy_denied", detail="", proxied=True) is None


def test_two_that_do_not_get_out_mean_that_nobody_does() -> None:
    outlook = told(failure("a"), wanted=12)
    assert outlook.outage is None
    outlook = outlook.failed(failure("b", after=3), Headcount(12, 2), 0.5)
    assert outlook.outage is not None
    assert outlook.outage.since == NOON
    assert outlook.outage.sessions == {"a", "b"}
    assert "the network is lost since 2026-01-01 12:00:00 UTC: name look-up failed" in outlook.outage.words()


def test_who_is_renamed_is_still_one() -> None:
    outlook = told(failure("a"), failure("x"), wanted=500).renamed("a", "x")
    assert [each.session for each in outlook.evidence] == ["x"]
    outlook, _ = opened()
    probed = outlook.probed_by("a", NOON).renamed("a", "x").outage
    assert probed is not None
    assert (probed.sessions, probed.probing) == ({"x", "b"}, "x")
    refused, _ = opened(Trouble.OUTDATED)
    disputed = refused.logged_in("c", NOON, NOON, 0.5).renamed("c", "x").outage
    assert disputed is not None
    assert (disputed.sessions, disputed.disputed_by) == ({"a"}, "x")


def test_a_rename_forgets_no_outage_that_is_over() -> None:
    over = Over(NOON, NOON, dialled=True)
    assert told(failure("a"), wanted=500).ended(over).renamed("a", "x").over == over
    assert opened()[0].ended(over).renamed("a", "x").over == over


def test_one_that_fails_twice_is_still_one() -> None:
    assert told(failure("a"), failure("a", after=1), wanted=12).outage is None


def test_two_of_hundreds_are_not_everybody() -> None:
    assert told(failure("a"), failure("b"), wanted=500, down=2).outage is None
    crowd = [failure(f"s{number}") for number in range(50)]
    assert told(*crowd[:-1], wanted=500).outage is None
    assert told(*crowd, wanted=500).outage is not None


def test_failures_that_are_far_apart_are_not_one_incident() -> None:
    late = SPAN.total_seconds() + 1
    assert told(failure("a"), failure("b", after=late), wanted=5).outage is None


def test_somebody_who_gets_through_takes_the_evidence_away() -> None:
    outlook = told(failure("a"), wanted=5).reached("c")
    assert outlook.failed(failure("b", after=1), Headcount(5, 2), 0.5).outage is None


def test_a_broken_proxy_is_no_lost_network() -> None:
    down = DialFailure.PROXY_UNREACHABLE
    assert told(*(failure("a", down, after=n, proxied=True) for n in range(9)), wanted=1).outage is None
    assert told(failure("a", down, proxied=True), failure("b", down, proxied=True), wanted=9, down=2).outage is None
    # All that should be connected are down, and none gets out of any proxy.
    all_of_them = [failure(name, down, proxied=True) for name in "abc"]
    assert told(*all_of_them, wanted=3).outage is not None


@pytest.mark.parametrize(("cause", "tries"), [(DialFailure.UNREACHABLE, 1), (DialFailure.TIMEOUT, 3)])
def test_a_fleet_of_one_believes_this_machine_at_once_and_the_far_end_after_a_while(
    cause: DialFailure, tries: int
) -> None:
    failures = [failure("a", cause, after=20 * number) for number in range(tries)]
    assert told(*failures[:-1], wanted=1).outage is None
    assert told(*failures, wanted=1).outage is not None


def test_one_that_is_outdated_is_an_alarm_for_all_whatever_else_is_wrong() -> None:
    lost, _ = opened()
    outlook = lost.failed(Evidence("c", NOON, Trouble.OUTDATED, "405"), Headcount(500, 1), 0.5)
    assert outlook.outage is not None
    assert outlook.outage.trouble is Trouble.OUTDATED
    assert outlook.outage.sessions == {"c"}
    assert "upgrade wakit" in outlook.outage.words()


def test_only_who_was_refused_shows_that_the_version_is_accepted_again() -> None:
    outlook, _ = opened(Trouble.OUTDATED)
    assert outlook.reached("b") is outlook
    assert outlook.reached("a").outage is None
    assert outlook.probed_by("b", NOON).reached("b").outage is None


@pytest.mark.parametrize("trouble", [Trouble.NETWORK, Trouble.SERVICE])
def test_anybody_who_gets_through_ends_the_others(trouble: Trouble) -> None:
    assert opened(trouble)[0].reached("z") == Outlook()


def test_a_probe_that_fails_is_followed_by_a_longer_pause() -> None:
    outlook, outage = opened()
    ceilings = []
    now = outage.probe_at
    for _ in range(60):
        outlook = outlook.probed_by("c", now)
        assert outlook.outage is not None
        assert outlook.outage.probing == "c"
        outlook = outlook.failed(failure("c", after=(now - NOON).total_seconds()), Headcount(3, 3), 1.0)
        assert outlook.outage is not None
        assert outlook.outage.probing is None
        ceilings.append((outlook.outage.probe_at - now).total_seconds())
        now = outlook.outage.probe_at
    assert ceilings == sorted(ceilings)
    assert ceilings[0] > PROBES[Trouble.NETWORK].first
    assert ceilings[-1] == PROBES[Trouble.NETWORK].cap
    # Drawn at their ceilings, each is a twentieth longer than the one before: so is what has gone, times twenty.
    for number, ceiling in enumerate(ceilings[:40], 1):
        assert ceiling == pytest.approx(4 * 1.05 + 0.05 * sum(ceilings[: number - 1]))
    assert outlook.outage.sessions == {"a", "b", "c"}


def test_a_probe_that_tells_nothing_is_given_up() -> None:
    outlook, outage = opened()
    trying = outlook.probed_by("c", outage.probe_at)
    assert trying.outage is not None
    assert trying.outage.probe_at > outage.probe_at
    over = trying.probe_over(trying.outage.probe_at, 0.5)
    assert over.outage is not None
    assert (over.outage.probing, over.outage.probes) == (None, 1)


def test_without_an_outage_there_is_nothing_to_probe() -> None:
    nothing = Outlook()
    assert nothing.probed_by("a", NOON) == nothing.probe_over(NOON, 0.5) == nothing.due(NOON) == nothing


def test_an_outdated_client_is_probed_seldom() -> None:
    _, outage = opened(Trouble.OUTDATED)
    assert outage.probe_at - NOON >= timedelta(minutes=30)


# -- logins of others while one is told that the client is outdated --------------------------------------------------


def login(
    outlook: Outlook, session: str, at: datetime, *, dialled: float | None = 0.0, chance: float = 0.999
) -> Outlook:
    """A login that is told at a moment, of a dial that went out so many seconds before."""
    return outlook.logged_in(session, None if dialled is None else at - timedelta(seconds=dialled), at, chance)


def outage_of(outlook: Outlook) -> Outage:
    assert outlook.outage is not None
    return outlook.outage


def refused_again(outlook: Outlook, session: str, at: datetime, chance: float = 0.999) -> Outlook:
    told = Evidence(session, at, Trouble.OUTDATED, "405")
    return outlook.probed_by(session, at).failed(told, Headcount(9, 9), chance)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_login_of_another_session_brings_the_next_probe_forward_and_closes_nothing(chance: float) -> None:
    outlook, planned = opened(Trouble.OUTDATED)
    at = NOON + timedelta(minutes=4)
    outage = outage_of(login(outlook, "b", at, chance=chance))
    assert timedelta(seconds=30) <= outage.probe_at - at <= timedelta(seconds=60)
    assert (outage.probes, outage.probing, outage.sessions, outage.since) == (0, None, {"a"}, planned.since)
    assert "but b logged in with it meanwhile" in outage.words()
    assert "upgrade wakit" in outage.words()


def test_a_probe_that_is_due_sooner_stays_as_it_was_planned() -> None:
    outlook, planned = opened(Trouble.OUTDATED)
    at = planned.probe_at - timedelta(seconds=5)
    assert outage_of(login(outlook, "b", at)).probe_at == planned.probe_at


def test_a_probe_under_way_is_left_alone_and_the_next_one_follows_soon() -> None:
    outlook, planned = opened(Trouble.OUTDATED)
    trying = outlook.probed_by("a", planned.probe_at)
    at = planned.probe_at + timedelta(seconds=3)
    disputed = login(trying, "b", at, chance=0.0)
    assert (outage_of(disputed).probing, outage_of(disputed).probe_at) == ("a", outage_of(trying).probe_at)
    after = disputed.failed(Evidence("a", at, Trouble.OUTDATED, "405"), Headcount(9, 9), 0.999)
    assert timedelta(seconds=60) < outage_of(after).probe_at - at <= timedelta(seconds=120)


def test_a_dispute_that_comes_late_has_the_question_asked_within_a_minute_all_the_same() -> None:
    outlook, planned = opened(Trouble.OUTDATED)
    at = planned.probe_at
    for _ in range(5):
        outlook = outlook.probed_by("a", at).failed(Evidence("a", at, Trouble.OUTDATED, "405"), Headcount(9, 9), 0.5)
        at = outage_of(outlook).probe_at
    at -= timedelta(minutes=30)
    disputed = login(outlook, "b", at, chance=0.999)
    assert timedelta(seconds=30) <= outage_of(disputed).probe_at - at <= timedelta(seconds=60)
    assert outage_of(disputed).probes == 5


def test_only_what_was_dialled_since_the_alarm_says_anything_about_it() -> None:
    outlook, _ = opened(Trouble.OUTDATED)
    at = NOON + timedelta(seconds=8)
    assert login(outlook, "b", at, dialled=9.0) is outlook
    assert login(outlook, "b", at, dialled=None) is outlook
    assert login(outlook, "b", at, dialled=8.0) is not outlook


@pytest.mark.parametrize("trouble", [Trouble.NETWORK, Trouble.SERVICE])
def test_of_other_troubles_a_login_is_the_end_and_nothing_else(trouble: Trouble) -> None:
    outlook, _ = opened(trouble)
    assert login(outlook, "z", NOON + timedelta(seconds=9)) is outlook
    assert login(Outlook(), "z", NOON) == Outlook()


def test_an_account_that_stays_refused_while_others_log_in_is_tried_after_pauses_that_double_up_to_an_hour() -> None:
    outlook, _ = opened(Trouble.OUTDATED)
    at = NOON + timedelta(seconds=1)
    outlook = login(outlook, "b", at)
    pauses = []
    for _ in range(10):
        pauses.append(round((outage_of(outlook).probe_at - at).total_seconds() / 60))
        at = outage_of(outlook).probe_at
        outlook = refused_again(outlook, "a", at)
        for name in "bcd":
            outlook = login(outlook, name, at + timedelta(seconds=1))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_who_logged_in_and_is_refused_later_speaks_no_more_against_the_alarm() -> None:
    outlook, _ = opened(Trouble.OUTDATED)
    outlook = login(outlook, "b", NOON + timedelta(seconds=1))
    at = outage_of(outlook).probe_at
    outlook = outlook.failed(Evidence("b", at, Trouble.OUTDATED, "405"), Headcount(9, 9), 0.999)
    assert (outage_of(outlook).disputed_by, outage_of(outlook).sessions) == (None, {"a", "b"})
    outlook = refused_again(outlook, "a", at)
    assert outage_of(outlook).probe_at - at >= timedelta(minutes=30)
    assert login(outlook, "b", at) is outlook
    assert outage_of(login(outlook, "c", at)).disputed_by == "c"


def test_a_dial_that_fails_is_no_refusal_so_its_session_does_not_end_the_alarm() -> None:
    outlook, _ = opened(Trouble.OUTDATED)
    outlook = outlook.failed(failure("b", after=5), Headcount(9, 9), 0.5)
    assert outage_of(outlook).sessions == {"a"}
    assert outlook.reached("b") is outlook


@given(st.lists(st.tuples(st.sampled_from("bcdef"), st.floats(0, 3600), st.floats(0, 0.999)), min_size=1, max_size=60))
def test_a_hundred_logins_say_no_more_than_one(logins: list[tuple[str, float, float]]) -> None:
    at, (name, _, chance) = NOON, logins[0]
    first = login(opened(Trouble.OUTDATED)[0], name, at, chance=chance)
    for name, pause, chance in logins:
        at += timedelta(seconds=pause)
        assert login(first, name, at, chance=chance) is first


def test_codes_that_mean_that_nobody_is_served() -> None:
    assert [code for code in ("401", "405", "500", "503", "") if is_busy(code)] == ["500", "503"]


events = st.one_of(
    st.tuples(
        st.just("failed"),
        st.sampled_from("abcdef"),
        st.sampled_from([cause for cause in DialFailure if trouble_of(cause.value)]),
        st.booleans(),
    ),
    st.tuples(st.just("outdated"), st.sampled_from("abcdef")),
    st.tuples(st.just("reached"), st.sampled_from("abcdef")),
    st.tuples(st.just("logged in"), st.sampled_from("abcdef"), st.floats(0, 60)),
    st.tuples(st.just("probed"), st.sampled_from("abcdef")),
    st.tuples(st.just("over")),
    st.tuples(st.just("moved"), st.integers(-7200, 7200)),
)


@given(st.lists(st.tuples(events, st.floats(0, 60)), max_size=40), st.integers(1, 9), st.floats(0, 0.999))
def test_whatever_is_told_there_is_a_probe_to_come_and_somebody_hit(
    history: list[tuple[tuple[object, ...], float]], wanted: int, chance: float
) -> None:
    outlook, now = Outlook(), NOON
    for (what, *rest), pause in history:
        now += timedelta(seconds=pause)
        name = str(rest[0]) if rest else ""
        if what == "failed":
            cause = DialFailure(rest[1])
            found = evidence_of(name, now, cause=cause.value, detail="x", proxied=bool(rest[2]))
            assert found is not None
            outlook = outlook.failed(found, Headcount(wanted, wanted), chance)
        elif what == "outdated":
            outlook = outlook.failed(Evidence(name, now, Trouble.OUTDATED, "405"), Headcount(wanted, wanted), chance)
            assert outlook.outage is not None
            assert outlook.outage.trouble is Trouble.OUTDATED
        elif what == "reached":
            outlook = outlook.reached(name)
            assert outlook.outage is None or outlook.outage.trouble is Trouble.OUTDATED
        elif what == "logged in":
            before = outlook
            outlook = login(before, name, now, dialled=float(str(rest[1])), chance=chance)
            if before.outage is None:
                assert outlook is before
            elif outlook is not before:
                assert outage_of(outlook).probing == before.outage.probing
                assert outage_of(outlook).probe_at <= before.outage.probe_at
                soonest = now + timedelta(seconds=DISPUTED.floor)
                assert outage_of(outlook).probe_at >= min(soonest, before.outage.probe_at)
        elif what == "probed":
            outlook = outlook.probed_by(name, now)
        elif what == "over":
            outlook = outlook.probe_over(now, chance)
        else:
            by = timedelta(seconds=int(name))
            later = partial(add, by)
            outlook, now = outlook.moved(later, later), now + by
        outage = outlook.outage
        if outage is None:
            assert len({each.session for each in outlook.evidence}) <= 6
            continue
        assert not outlook.evidence
        assert outage.sessions
        assert outage.since <= now
        assert outage.probe_at - now <= timedelta(hours=12)
        assert outage.disputed_by not in outage.sessions
        assert outage.words()


# -- connections that fall silent ------------------------------------------------------------------------------------


def silence(session: str, *, told: float, heard: float, proxied: bool = False) -> Evidence:
    told_at, heard_at = (NOON + timedelta(seconds=seconds) for seconds in (told, heard))
    return silence_of(session, told_at, silent_since=heard_at, proxied=proxied)


def fell_silent(*silent: Evidence, wanted: int, heard: float | None = None, outlook: Outlook | None = None) -> Outlook:
    heard_at = None if heard is None else NOON + timedelta(seconds=heard)
    found = outlook or Outlook()
    for each in silent:
        found = found.failed(each, Headcount(wanted, 0, heard_at), 0.5)
    return found


def test_a_proxy_that_dies_in_silence_is_not_the_network() -> None:
    two = [silence(name, told=10.0 + 8 * at, heard=0.5, proxied=True) for at, name in enumerate("pq")]
    assert fell_silent(*two, wanted=3).outage is None, "the third, which dials directly, is between two pings"
    assert fell_silent(*two, wanted=2).outage is not None
    assert fell_silent(*two, silence("d", told=20, heard=1), wanted=3).outage is not None


def test_a_tenth_that_falls_silent_while_nobody_is_heard_is_an_outage_since_the_last_byte() -> None:
    crowd = [silence(f"s{n}", told=10 + n / 4, heard=n / 4 - 25) for n in range(12)]
    assert fell_silent(*crowd[:-1], wanted=117, heard=-0.5).outage is None
    outage = fell_silent(*crowd, wanted=117, heard=-0.5).outage
    assert outage is not None
    assert (outage.trouble, outage.since) == (Trouble.NETWORK, NOON - timedelta(seconds=0.5))
    assert outage.sessions == {each.session for each in crowd}


def test_somebody_who_is_heard_meanwhile_refutes_silence_but_no_failed_dial() -> None:
    crowd = [silence(f"s{n}", told=10 + n, heard=n - 25) for n in range(12)]
    assert fell_silent(*crowd, wanted=117, heard=15).outage is None
    assert fell_silent(*crowd, wanted=117, heard=0.5).outage is not None
    dials = [failure(f"s{n}", after=n) for n in range(12)]
    assert fell_silent(*dials, wanted=117, heard=11).outage is not None


def test_one_silent_session_is_its_own_matter_however_small_the_fleet() -> None:
    assert fell_silent(*(silence("a", told=40 * n, heard=40 * n - 20) for n in range(5)), wanted=1).outage is None
    assert fell_silent(silence("a", told=10, heard=0), silence("a", told=20, heard=0), wanted=2).outage is None


def test_silence_that_was_told_over_a_minute_is_no_one_moment() -> None:
    assert fell_silent(silence("a", told=10, heard=0), silence("b", told=60, heard=40), wanted=3).outage is None
    assert fell_silent(silence("a", told=10, heard=0), silence("b", told=50, heard=5), wanted=3).outage is not None


def test_something_that_comes_ends_what_silence_told_and_not_what_dials_did() -> None:
    outlook = fell_silent(silence("a", told=10, heard=-5), silence("b", told=14, heard=-1), wanted=3)
    assert outlook.outage is not None
    assert outlook.heard(NOON + timedelta(seconds=4)) is outlook, "it came before the last ping that was not answered"
    assert outlook.heard(NOON + timedelta(seconds=15)) == Outlook()
    dials, _ = opened()
    assert dials.heard(NOON + timedelta(seconds=15)) is dials


def test_who_fell_silent_in_an_outage_that_is_over_says_nothing_about_the_time_since() -> None:
    over = Over(NOON, NOON + timedelta(seconds=20), dialled=True)
    old = [silence(name, told=35, heard=-5) for name in "abc"]
    assert fell_silent(*old, wanted=3, outlook=Outlook(over=over)) == Outlook(over=over)
    new = [silence(name, told=65, heard=21) for name in "abc"]
    assert fell_silent(*new, wanted=3, outlook=Outlook(over=over)).outage is not None


def test_dials_and_silence_are_weighed_together_and_the_first_dial_dates_it() -> None:
    silent = [silence(f"s{n}", told=12, heard=-3 - n) for n in range(6)]
    failed = [failure(f"d{n}", after=1 + n) for n in range(6)]
    outage = fell_silent(*silent, *failed, wanted=117, heard=0.9).outage
    assert outage is not None
    assert (outage.since, outage.unanswered_since) == (NOON + timedelta(seconds=0.9), None)


def test_time_that_did_not_pass_excuses_silence_and_no_dial() -> None:
    outlook = fell_silent(silence("a", told=10, heard=0), wanted=12)
    outlook = outlook.failed(failure("b", after=11), Headcount(30, 1), 0.5)
    assert [each.session for each in outlook.excused().evidence] == ["b"]


def test_what_is_known_of_silence_moves_with_the_clock() -> None:
    hour = timedelta(hours=1)
    outlook = fell_silent(
        silence("a", told=10, heard=0), wanted=12, outlook=Outlook(over=Over(NOON, NOON, dialled=True))
    )
    assert outlook.evidence == ()
    outlook = fell_silent(
        silence("a", told=10, heard=1), wanted=12, outlook=Outlook(over=Over(NOON, NOON, dialled=True))
    )
    moved = outlook.moved(lambda at: at + hour, lambda at: at + hour)
    assert moved.over == Over(NOON + hour, NOON + hour, dialled=True)
    assert moved.evidence == (silence("a", told=3610, heard=3601),)
    silent = fell_silent(silence("a", told=10, heard=0), silence("b", told=10, heard=0), wanted=3)
    moved = silent.moved(lambda at: at + hour, lambda at: at + hour)
    assert moved.outage is not None
    assert (moved.outage.since, moved.outage.unanswered_since) == (NOON + hour, NOON + hour + timedelta(seconds=1))
