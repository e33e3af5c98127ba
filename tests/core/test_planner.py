"""The planner, held to its promises by a model of the world that carries out whatever it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wakit.core.actions import Create, Hold, Park, Plan, Rename, Restart, Restore, Retire, Revive, describe
from wakit.core.declaration import Declaration, FleetSpec, Pacing, RetirePolicy, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential, Observation, Request, SessionObservation
from wakit.core.planner import plan
from wakit.redact import PhoneNumber, Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def declare(*specs: SessionSpec, sha: str = "sha", **fleet: object) -> Declaration:
    return Declaration("/x/sessions.toml", sha, "", FleetSpec("/x/.wakit", **fleet), {s.name: s for s in specs})  # type: ignore[arg-type]


def observe(*seen: SessionObservation, **more: object) -> Observation:
    return Observation({s.name: s for s in seen}, **more)  # type: ignore[arg-type]


def linked(name: str, **more: object) -> SessionObservation:
    """A session that is paired and connected."""
    spec = SessionSpec(name)
    values: dict[str, object] = {
        "state": State.CONNECTED, "credential": Credential.PRESENT, "account": f"account-of-{name}",
        "running": spec.fingerprint(), "paired_at": NOW - timedelta(days=1),
    }  # fmt: skip
    return SessionObservation(name, **(values | more))  # type: ignore[arg-type]


def carry_out(declaration: Declaration, observation: Observation, decided: Plan) -> Observation:
    """What the world looks like after a plan, the library's part (pairing, connecting) included."""
    world = dict(observation.sessions)
    for action in decided.actions:
        name = action.session
        seen = world.get(name) or SessionObservation(name)
        spec = declaration.sessions.get(name)
        match action:
            case Create() | Restore() | Restart():
                spec = spec or seen.last_spec
                assert spec is not None
                account = seen.account or observation.declared_accounts.get(name) or f"account-of-{name}"
                world[name] = replace(
                    seen, state=State.CONNECTED, credential=Credential.PRESENT, account=account,
                    running=spec.fingerprint(), request=None, held=decided.held.get(name), waits_for_person=False,
                    next_try_at=None, paired_at=seen.paired_at or NOW,
                )  # fmt: skip
            case Park():
                world[name] = replace(seen, state=State.PARKED, running=None)
            case Retire():
                kept = action.policy is RetirePolicy.KEEP or seen.credential is Credential.ABSENT
                credential = seen.credential if kept else Credential.ARCHIVED
                world[name] = replace(seen, state=State.RETIRED, running=None, credential=credential, held=None)
            case Revive():
                world[name] = replace(seen, state=State.DECLARED, credential=Credential.PRESENT)
            case Rename():
                source = world.pop(action.source)
                credential = Credential.PRESENT if source.credential is Credential.ARCHIVED else source.credential
                world[name] = replace(source, name=name, running=None, state=State.DECLARED, credential=credential)
            case Hold():
                world[name] = replace(seen, held=action.reason)
    return replace(observation, sessions=world)


def kinds(decided: Plan) -> list[tuple[str, str]]:
    return [(type(action).__name__, action.session) for action in decided.actions]


def test_a_new_session_is_created_and_a_paired_one_restored() -> None:
    decided = plan(declare(SessionSpec("new"), SessionSpec("old")), observe(linked("old", running=None)), NOW)
    assert kinds(decided) == [("Restore", "old"), ("Create", "new")]


def test_what_is_as_it_should_be_needs_nothing() -> None:
    assert not plan(declare(SessionSpec("a")), observe(linked("a")), NOW)


def test_a_session_that_left_is_retired_and_comes_back_without_pairing() -> None:
    wanted, world = declare(SessionSpec("b")), observe(linked("a"), linked("b"))
    decided = plan(wanted, world, NOW)
    assert kinds(decided) == [("Retire", "a")]
    world = carry_out(wanted, world, decided)
    again = declare(SessionSpec("a"), SessionSpec("b"))
    decided = plan(again, world, NOW)
    assert kinds(decided) == [("Revive", "a")]
    decided = plan(again, carry_out(again, world, decided), NOW)
    assert kinds(decided) == [("Restore", "a")]


@pytest.mark.parametrize("policy", list(RetirePolicy))
def test_the_policy_goes_with_the_retirement(policy: RetirePolicy) -> None:
    wanted = declare(SessionSpec("b"), retire=policy)
    decided = plan(wanted, observe(linked("a"), linked("b")), NOW)
    assert decided.actions == (Retire("a", policy, decided.actions[0].reason),)
    assert not plan(wanted, carry_out(wanted, observe(linked("a"), linked("b")), decided), NOW)


def test_a_mass_retirement_waits_for_confirmation() -> None:
    world = observe(*(linked(n) for n in "abcd"))
    wanted = declare(SessionSpec("a"))
    decided = plan(wanted, world, NOW)
    assert kinds(decided) == [("Hold", "b"), ("Hold", "c"), ("Hold", "d")]
    assert "wakit apply --confirm" in decided.held["b"]
    noted = carry_out(wanted, world, decided)
    assert not plan(wanted, noted, NOW), "a hold is noted once"
    assert kinds(plan(wanted, replace(noted, confirmed="sha"), NOW)) == [("Retire", n) for n in "bcd"]
    assert not plan(wanted, replace(noted, confirmed="another"), NOW), "a confirmation is for one declaration only"


@pytest.mark.parametrize("rest", [(), ("a",)])
def test_who_waits_for_a_confirmation_is_brought_back_as_it_was_declared(rest: tuple[str, ...]) -> None:
    crashed = linked("b", running=None, state=State.RECONNECTING, last_spec=SessionSpec("b", priority=3))
    world = observe(*(linked(name) for name in "acd"), crashed)
    wanted = declare(*map(SessionSpec, rest))
    decided = plan(wanted, world, NOW)
    assert ("Restore", "b") in kinds(decided)
    assert "b" in decided.held
    assert not plan(wanted, carry_out(wanted, world, decided), NOW)
    later = NOW + timedelta(seconds=9)
    pausing = plan(wanted, observe(linked("a"), linked("d"), replace(crashed, next_try_at=later)), NOW)
    assert "Restore" not in dict(kinds(pausing))
    assert pausing.wake_at == later, "it keeps its pause, and the loop wakes at its end"
    for unwanted in (
        replace(crashed, last_spec=SessionSpec("b", enabled=False)),
        replace(crashed, parked=True),
        replace(crashed, waits_for_person=True),
        replace(crashed, credential=Credential.UNLINKED),
        replace(crashed, last_spec=None),
    ):
        assert "Restore" not in dict(kinds(plan(wanted, observe(linked("a"), linked("d"), unwanted), NOW)))


def test_half_of_the_fleet_may_go_without_asking() -> None:
    decided = plan(declare(SessionSpec("a"), SessionSpec("b")), observe(*(linked(n) for n in "abcd")), NOW)
    assert kinds(decided) == [("Retire", "c"), ("Retire", "d")]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_file_without_sessions_retires_nothing_by_itself(count: int) -> None:
    decided = plan(declare(), observe(*(linked(str(n)) for n in range(count))), NOW)
    assert {kind for kind, _ in kinds(decided)} == {"Hold"}


def test_a_file_that_looks_cut_off_unlinks_nobody() -> None:
    """A half-written file can be a valid one with fewer sessions; unlinking at WhatsApp could not be undone."""
    world = observe(*(linked(n) for n in "abcd"), cut_off=True)
    wanted = declare(*(SessionSpec(n) for n in "abc"), retire=RetirePolicy.LOGOUT)
    assert kinds(plan(wanted, world, NOW)) == [("Hold", "d")]
    assert kinds(plan(wanted, replace(world, confirmed="sha"), NOW)) == [("Retire", "d")]
    assert kinds(plan(wanted, replace(world, cut_off=False), NOW)) == [("Retire", "d")]
    archived = declare(*(SessionSpec(n) for n in "abc"))
    assert kinds(plan(archived, world, NOW)) == [("Retire", "d")], "what is archived comes back with the rest"


def test_a_rename_moves_the_credential_and_retires_nobody() -> None:
    wanted, world = declare(SessionSpec("sales", renamed_from="ventas")), observe(linked("ventas"))
    decided = plan(wanted, world, NOW)
    assert [describe(a) for a in decided.actions] == ["rename sales from ventas: renamed_from = 'ventas'"]
    world = carry_out(wanted, world, decided)
    decided = plan(wanted, world, NOW)
    assert kinds(decided) == [("Restore", "sales")]
    assert not plan(wanted, carry_out(wanted, world, decided), NOW)


def test_a_renaming_that_is_taken_back_moves_the_credential_back() -> None:
    """As `git revert` does it: the old name is declared again, without a word of the other one."""
    wanted = declare(SessionSpec("sales"))
    for credential in (Credential.PRESENT, Credential.ARCHIVED, Credential.UNLINKED):
        world = observe(replace(linked("shop"), credential=credential, former=("ventas", "sales")))
        assert kinds(plan(wanted, world, NOW)) == [("Rename", "sales")]
    decided = plan(declare(SessionSpec("ventas")), world, NOW)
    assert [describe(a) for a in decided.actions] == [
        "rename ventas from shop: it was renamed to 'shop', which is no longer in the file"
    ]


def test_an_old_name_of_a_session_that_goes_on_is_a_new_session() -> None:
    world = observe(replace(linked("shop"), former=("sales",)))
    assert kinds(plan(declare(SessionSpec("sales"), SessionSpec("shop")), world, NOW))[-1] == ("Create", "sales")


def test_an_old_name_for_another_account_is_a_new_session() -> None:
    shop, phone = replace(linked("shop"), former=("sales",)), PhoneNumber("+34600000001")
    wanted = declare(SessionSpec("sales", phone=phone))
    mine = plan(wanted, observe(shop, declared_accounts={"sales": shop.account or ""}), NOW)
    assert kinds(mine) == [("Rename", "sales")]
    other = plan(wanted, observe(shop, declared_accounts={"sales": "another"}), NOW)
    assert sorted(kinds(other)) == [("Create", "sales"), ("Retire", "shop")]


def test_who_asks_to_pair_an_old_name_gets_a_pairing() -> None:
    shop = linked("shop", credential=Credential.ARCHIVED, state=State.RETIRED, running=None, former=("sales",))
    asked = SessionObservation("sales", request=Request.PAIR)
    assert kinds(plan(declare(SessionSpec("sales")), observe(shop, asked), NOW)) == [("Create", "sales")]


def test_of_two_that_had_a_name_the_later_link_has_it() -> None:
    one = replace(linked("one"), former=("sales",), paired_at=NOW - timedelta(days=2))
    two = replace(linked("two"), former=("sales",), paired_at=NOW - timedelta(days=1))
    for world in (observe(one, two), observe(two, one)):
        actions = plan(declare(SessionSpec("sales")), world, NOW).actions
        assert [action.source for action in actions if isinstance(action, Rename)] == ["two"]


def test_one_credential_goes_back_to_its_last_name_alone() -> None:
    world = observe(linked("c", former=("a", "b")), SessionObservation("a"))
    decided = plan(declare(SessionSpec("a"), SessionSpec("b")), world, NOW)
    assert [(a.session, a.source) for a in decided.actions if isinstance(a, Rename)] == [("b", "c")]
    assert ("Create", "a") in kinds(decided)


def test_a_rename_onto_a_paired_name_loses_neither() -> None:
    wanted = declare(SessionSpec("sales", renamed_from="ventas"))
    decided = plan(wanted, observe(linked("ventas"), linked("sales")), NOW)
    assert kinds(decided) == [("Retire", "ventas")]


def test_parking_stops_the_client_once() -> None:
    wanted, world = declare(SessionSpec("a", enabled=False)), observe(linked("a"))
    decided = plan(wanted, world, NOW)
    assert decided.actions == (Park("a", "enabled = false"),)
    assert not plan(wanted, carry_out(wanted, world, decided), NOW)


def test_a_changed_proxy_restarts_and_a_changed_label_does_not() -> None:
    world = observe(linked("a"), linked("b"))
    decided = plan(
        declare(SessionSpec("a", proxy=Secret("socks5://127.0.0.1:1")), SessionSpec("b", labels={"team": "x"})),
        world,
        NOW,
    )
    assert decided.actions == (Restart("a", "its declaration changed"),)


def test_another_number_on_a_paired_session_is_refused() -> None:
    wanted = declare(SessionSpec("a"))
    decided = plan(wanted, observe(linked("a"), declared_accounts={"a": "another"}), NOW)
    assert kinds(decided) == [("Hold", "a")]
    assert "another number" in decided.held["a"]


def test_one_account_has_one_session() -> None:
    older = linked("z", account="same", paired_at=NOW - timedelta(days=9))
    newer = linked("a", account="same", paired_at=NOW - timedelta(days=1))
    wanted = declare(SessionSpec("a"), SessionSpec("z"))
    decided = plan(wanted, observe(older, newer), NOW)
    assert kinds(decided) == [("Hold", "a"), ("Park", "a")]
    assert not plan(wanted, carry_out(wanted, observe(older, newer), decided), NOW)


def test_who_left_the_file_and_is_held_keeps_its_account() -> None:
    kept = linked("old", account="same", paired_at=NOW - timedelta(days=9))
    world = observe(kept, linked("other"), linked("new", account="same", running=None))
    wanted = declare(SessionSpec("new"))
    decided = plan(wanted, world, NOW)
    assert kinds(decided) == [("Hold", "old"), ("Hold", "other"), ("Hold", "new")]
    assert decided.held["new"] == "its account is linked as 'old' already; one account has one session"
    decided = plan(wanted, replace(world, confirmed="sha"), NOW)
    assert kinds(decided) == [("Retire", "old"), ("Retire", "other")]
    assert decided.waiting["new"] == "waits until 'old' is out of service, which has its account"
    world = carry_out(wanted, replace(world, confirmed="sha"), decided)
    assert kinds(plan(wanted, world, NOW)) == [("Restore", "new")]


@pytest.mark.parametrize("credential", [Credential.ARCHIVED, Credential.PRESENT])
def test_who_comes_back_does_not_displace_who_is_in_service(credential: Credential) -> None:
    back = linked(
        "a", account="same", running=None, state=State.RETIRED, credential=credential, paired_at=NOW - timedelta(days=9)
    )
    world, wanted = observe(back, linked("b", account="same")), declare(SessionSpec("a"), SessionSpec("b"))
    assert kinds(plan(wanted, world, NOW)) == [("Hold", "a")]
    swapped = declare(SessionSpec("a"))
    decided = plan(swapped, world, NOW)
    assert kinds(decided) == [("Retire", "b")]
    after = plan(swapped, carry_out(swapped, world, decided), NOW)
    assert kinds(after) == [("Revive" if credential is Credential.ARCHIVED else "Restore", "a")]


def test_a_session_is_started_once_the_other_of_its_account_has_stopped() -> None:
    older = linked("z", account="same", paired_at=NOW - timedelta(days=9), running=None)
    world, wanted = observe(older, linked("a", account="same")), declare(SessionSpec("a"), SessionSpec("z"))
    decided = plan(wanted, world, NOW)
    assert kinds(decided) == [("Hold", "a"), ("Park", "a")]
    assert decided.waiting["z"] == "waits until 'a' has stopped, which has its account"
    assert kinds(plan(wanted, carry_out(wanted, world, decided), NOW)) == [("Restore", "z")]


def test_an_account_is_not_linked_a_second_time() -> None:
    world = observe(linked("old", account="same"), declared_accounts={"new": "same"})
    assert kinds(plan(declare(SessionSpec("old"), SessionSpec("new")), world, NOW)) == [("Hold", "new")]
    # Once the holder is retired, the new name may have it.
    wanted = declare(SessionSpec("new"))
    world = carry_out(wanted, replace(world, confirmed="sha"), plan(wanted, replace(world, confirmed="sha"), NOW))
    assert kinds(plan(wanted, world, NOW)) == [("Create", "new")]


def test_only_so_many_pair_at_once_and_the_others_say_so() -> None:
    wanted = declare(*(SessionSpec(n) for n in "abcdef"), pacing=Pacing(pairings=4))
    world = observe(SessionObservation("a", State.PAIRING, running=SessionSpec("a").fingerprint()))
    decided = plan(wanted, world, NOW)
    assert kinds(decided) == [("Create", n) for n in "bcd"]
    assert decided.waiting == {"e": "waits for its turn to pair", "f": "waits for its turn to pair"}


def test_a_person_who_asks_goes_first() -> None:
    wanted = declare(SessionSpec("a"), SessionSpec("b"), pacing=Pacing(pairings=1))
    world = observe(
        SessionObservation("a", State.PAIRING, running=SessionSpec("a").fingerprint()),
        SessionObservation("b", waits_for_person=True, request=Request.PAIR),
    )
    assert kinds(plan(wanted, world, NOW)) == [("Create", "b")]


@pytest.mark.parametrize("credential", [Credential.UNLINKED, Credential.DAMAGED, Credential.GIVEN_AWAY])
@pytest.mark.parametrize("waits", [True, False])
def test_what_was_paired_never_pairs_by_itself(credential: Credential, waits: bool) -> None:
    seen = SessionObservation("a", State.LOGGED_OUT, credential, waits_for_person=waits)
    assert not plan(declare(SessionSpec("a")), observe(seen), NOW)
    asked = replace(seen, request=Request.PAIR)
    assert kinds(plan(declare(SessionSpec("a")), observe(asked), NOW)) == [("Create", "a")]
    restart = replace(seen, request=Request.RESTART)
    assert not plan(declare(SessionSpec("a")), observe(restart), NOW)


def test_a_pause_is_kept_and_names_its_end() -> None:
    later = NOW + timedelta(seconds=12)
    seen = linked("a", running=None, state=State.RECONNECTING, next_try_at=later)
    decided = plan(declare(SessionSpec("a")), observe(seen), NOW)
    assert not decided
    assert decided.waiting == {"a": "next try in 12 s"}
    assert decided.wake_at == later
    assert kinds(plan(declare(SessionSpec("a")), observe(seen), later)) == [("Restore", "a")]


# Worlds at random. Names are few on purpose, so that they collide.
names = st.sampled_from(["a", "b", "c", "d", "e"])
moments = st.one_of(st.none(), st.integers(-60, 60).map(lambda s: NOW + timedelta(seconds=s)))
specs = st.builds(
    SessionSpec,
    name=names,
    enabled=st.booleans(),
    proxy=st.one_of(st.none(), st.just(Secret("http://127.0.0.1:1"))),
    renamed_from=st.one_of(st.none(), names),
)
observations = st.builds(
    SessionObservation,
    name=names,
    state=st.sampled_from(State),
    credential=st.sampled_from(Credential),
    account=st.one_of(st.none(), st.sampled_from(["A", "B", "C"])),
    running=st.one_of(st.none(), names.map(lambda n: SessionSpec(n).fingerprint())),
    next_try_at=moments,
    waits_for_person=st.booleans(),
    parked=st.booleans(),
    held=st.one_of(st.none(), st.just("noted")),
    request=st.one_of(st.none(), st.sampled_from(Request)),
    paired_at=moments,
    last_spec=st.one_of(st.none(), st.builds(SessionSpec, name=st.just(""), enabled=st.booleans())),
).map(lambda seen: replace(seen, last_spec=seen.last_spec and replace(seen.last_spec, name=seen.name)))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Declaration, Observation]:
    wanted = declare(
        *draw(st.lists(specs, max_size=5, unique_by=lambda s: s.name)),
        retire=draw(st.sampled_from(RetirePolicy)),
        pacing=Pacing(pairings=draw(st.integers(1, 3))),
    )
    seen = draw(st.lists(observations, max_size=5, unique_by=lambda s: s.name))
    declared = draw(st.dictionaries(names, st.sampled_from(["A", "B", "C"]), max_size=3))
    confirmed = draw(st.sampled_from([None, "sha"]))
    return wanted, observe(*seen, declared_accounts=declared, confirmed=confirmed)


@settings(max_examples=600)
@given(worlds())
def test_a_plan_carried_out_leads_to_an_empty_plan(world: tuple[Declaration, Observation]) -> None:
    wanted, seen = world
    for _ in range(20):
        decided = plan(wanted, seen, NOW)
        if not decided:
            break
        seen = carry_out(wanted, seen, decided)
    assert not plan(wanted, seen, NOW), "the loop does not come to rest"


@settings(max_examples=600)
@given(worlds())
def test_what_no_plan_may_ever_do(world: tuple[Declaration, Observation]) -> None:
    wanted, seen = world
    decided = plan(wanted, seen, NOW)
    acted = [a.session for a in decided.actions if not isinstance(a, Hold)]
    assert len(acted) == len(set(acted)), "one action a session"
    for action in decided.actions:
        before = seen.sessions.get(action.session) or SessionObservation(action.session)
        match action:
            case Create():
                assert before.running is None
                assert before.credential is not Credential.PRESENT, "a paired session was paired anew"
                if before.credential is not Credential.ABSENT:
                    assert before.request is Request.PAIR, "only a person pairs again"
            case Restore():
                assert before.running is None
                assert before.credential is Credential.PRESENT
            case Retire():
                assert action.session not in wanted.sessions
            case Rename():
                assert before.credential is Credential.ABSENT, "a credential was overwritten"
                assert action.source not in wanted.sessions
            case Restart() | Park() | Revive() | Hold():
                pass
        if not isinstance(action, Retire | Hold):
            kept = isinstance(action, Restore | Park) and "--confirm" in decided.held.get(action.session, "")
            assert action.session in wanted.sessions or kept
    if not wanted.sessions and seen.confirmed is None:
        for action in decided.actions:
            if isinstance(action, Retire):
                assert seen.sessions[action.session].credential is not Credential.PRESENT
    started = [seen.sessions[a.session].account for a in decided.actions if isinstance(a, Restore)]
    known = [account for account in started if account is not None]
    assert len(known) == len(set(known)), "two of one account are started"
    linked_ones = [s for s in seen.sessions.values() if s.running is not None and s.credential is Credential.PRESENT]
    assert not set(known) & {s.account for s in linked_ones}, "one is started beside another of its account"
