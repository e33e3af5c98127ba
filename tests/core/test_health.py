from __future__ import annotations

import doctest
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from wakit.core import health
from wakit.core.declaration import HealthPolicy
from wakit.core.health import PING_ANSWER, PING_EVERY, Health, Signs, judge, lateness

seconds = st.floats(0, 10_000)
some = st.none() | seconds
signs = st.builds(Signs, seconds, some, some, st.integers(0, 20))
policies = st.builds(HealthPolicy, st.floats(1, 1000), st.floats(1, 1000), st.floats(1, 1000))


def test_the_examples() -> None:
    assert doctest.testmod(health).failed == 0


@given(signs, policies)
def test_a_verdict_other_than_healthy_has_a_reason_and_a_cause(found: Signs, policy: HealthPolicy) -> None:
    judgement = judge(found, policy)
    stale = found.heartbeat_age >= policy.stale_after
    silences = [each for each in (found.unheard_for, found.unsent_for) if each is not None]
    deaf = found.keepalive_errors > 0 or any(each >= policy.deaf_after for each in silences)
    assert judgement.health is (Health.STALE if stale else Health.DEGRADED if deaf else Health.HEALTHY)
    assert bool(judgement.reason) is (judgement.health is not Health.HEALTHY)


@given(signs, policies, seconds)
def test_more_silence_never_makes_it_better(found: Signs, policy: HealthPolicy, more: float) -> None:
    order = [Health.HEALTHY, Health.DEGRADED, Health.STALE]
    longer = [
        replace(found, heartbeat_age=found.heartbeat_age + more),
        replace(found, unheard_for=(found.unheard_for or 0) + more),
        replace(found, unsent_for=(found.unsent_for or 0) + more),
        replace(found, keepalive_errors=found.keepalive_errors + 1),
    ]
    before = order.index(judge(found, policy).health)
    assert all(order.index(judge(each, policy).health) >= before for each in longer)


@given(st.floats(0, PING_EVERY), st.floats(0, PING_ANSWER))
def test_a_line_that_only_carries_pings_is_healthy(pause: float, answer: float) -> None:
    """At its quietest: the next ping is due, and its answer takes all the time it may."""
    quiet = Signs(heartbeat_age=4.0, unheard_for=pause + answer, unsent_for=pause + answer)
    assert judge(quiet, HealthPolicy()).health is Health.HEALTHY


@given(signs, policies, seconds)
def test_the_words_stay_while_the_same_is_wrong(found: Signs, policy: HealthPolicy, more: float) -> None:
    """Else every heartbeat would be news."""
    before = judge(found, policy)
    longer = replace(
        found,
        unheard_for=None if found.unheard_for is None else found.unheard_for + more,
        unsent_for=None if found.unsent_for is None else found.unsent_for + more,
    )
    after = judge(longer, policy)
    if before.health is after.health and "sent nothing" not in before.reason:
        assert before.reason == after.reason


@given(seconds, seconds)
def test_only_a_standstill_is_forgiven(due: float, now: float) -> None:
    late = lateness(due, now)
    assert late in (0.0, now - due)
    assert (late > 0) is (now - due > health.STANDSTILL)
