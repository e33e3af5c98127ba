"""Two fleets of one user on one machine: a credential goes on in one of them, and people are told where."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import NUMBERS, Fleet

from wakit.core.declaration import SessionSpec
from wakit.core.lifecycle import State
from wakit.errors import ControlError, HeldError
from wakit.redact import Secret
from wakit.whatsapp.port import AccountHeld, Paired

NUMBER = NUMBERS["a"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Fleet]]:
    """Start fleets in folders of this name, on one machine."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    made: list[Fleet] = []

    def begin(name: str) -> Fleet:
        (tmp_path / name).mkdir(exist_ok=True)
        made.append(Fleet(tmp_path / name, state_home=tmp_path / "state"))
        return made[-1]

    yield begin
    for fleet in made:
        fleet.close()


def declared(fleet: Fleet, name: str = "a") -> None:
    fleet.declare(SessionSpec(name))
    fleet.advance(5)


def copied(fleet: Fleet, to: str) -> None:
    shutil.copytree(fleet.root, fleet.root.parent / to)


def test_a_link_is_noted_and_its_worker_holds_the_account(start: Callable[[str], Fleet]) -> None:
    one = start("one")
    one.paired("a")
    ((session, account),) = one.workers.holds
    assert session == "a"
    assert Path(account.note).exists()
    one.restart()
    one.advance(5)
    (order,) = one.launches("a")
    assert order.account is not None
    assert order.account.lock == account.lock
    assert order.account.token != account.token


def test_a_lost_report_of_the_link_costs_nothing(start: Callable[[str], Fleet]) -> None:
    one = start("one")
    one.declare(SessionSpec("a"))
    one.advance(1)
    one.workers.link("a", NUMBER, tell=False)
    one.restart(kill=True)
    one.advance(5)
    assert one.state("a") is State.CONNECTED
    assert one.launches("a")[0].account is not None


def test_a_copied_fleet_is_refused_until_a_person_decides(start: Callable[[str], Fleet]) -> None:
    one = start("one")
    one.paired("a")
    copied(one, "two")
    two = start("two")
    declared(two)
    info = two.info("a")
    assert (info.state, info.needs_person, info.paired) == ("conflict", True, True)
    assert str(one.layout.session("a", "shared")) in info.reason
    assert "`wakit restart a --take-over`" in info.reason
    assert not two.launches("a"), "the library never got it"

    # A mere restart asks again, and is refused again.
    two.run(two.desk.restart("a"))
    two.advance(60)
    assert two.state("a") is State.CONFLICT
    assert not two.launches("a")
    assert two.tracked("a").request is None

    one.stop()
    two.run(two.desk.restart("a", take_over=True))
    two.advance(5)
    assert two.state("a") is State.CONNECTED
    warnings = [record.reason for record in two.ledger.told("warning", "a")]
    assert any("a person took 'a' over" in reason for reason in warnings)
    one = start("one")
    declared(one)
    assert one.state("a") is State.CONFLICT


@pytest.mark.parametrize("while_it_ran", [False, True])
def test_a_copy_whose_original_is_gone_goes_on_if_it_is_as_new(
    start: Callable[[str], Fleet], while_it_ran: bool
) -> None:
    one = start("one")
    one.paired("a")
    one.run(one.desk.restart("a"))
    one.advance(5)
    if while_it_ran:
        copied(one, "two")
    one.stop()
    if not while_it_ran:
        copied(one, "two")
    two = start("two")
    declared(two)
    assert two.state("a") is State.CONFLICT
    shutil.rmtree(one.root)
    two.restart()
    two.advance(5)
    if while_it_ran:
        assert two.state("a") is State.CONFLICT
        assert "this copy did not see the end of that start" in two.info("a").reason
    else:
        assert two.state("a") is State.CONNECTED
        assert any("which is gone" in record.reason for record in two.ledger.told("warning", "a"))


def test_a_running_session_is_not_taken_over_but_restarted(start: Callable[[str], Fleet]) -> None:
    one = start("one")
    one.paired("a")
    one.run(one.desk.restart("a", take_over=True))
    one.advance(5)
    assert one.state("a") is State.CONNECTED
    assert not one.ledger.told("warning", "a")


def test_what_cannot_be_taken_over_now_is_told(start: Callable[[str], Fleet], monkeypatch: pytest.MonkeyPatch) -> None:
    one = start("one")
    one.paired("a")
    copied(one, "two")
    two = start("two")
    declared(two)
    with two.vault.registry._held("a", Secret(NUMBER)), pytest.raises(HeldError):  # type: ignore[union-attr]
        two.run(two.desk.restart("a", take_over=True))

    def full(_name: str) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(two.vault, "take_over", full)
    with pytest.raises(ControlError, match="No space left"):
        two.run(two.desk.restart("a", take_over=True))
    assert two.state("a") is State.CONFLICT


def test_a_live_account_is_waited_for(start: Callable[[str], Fleet]) -> None:
    one = start("one")
    one.paired("a")
    with one.vault.registry._held("a", Secret(NUMBER)):  # type: ignore[union-attr]
        one.restart()
        one.advance(5)
        assert one.state("a") is State.RECONNECTING
        assert "in use on this machine" in one.info("a").reason
    one.advance(120)
    assert one.state("a") is State.CONNECTED


def test_an_account_linked_twice_waits_for_a_person(start: Callable[[str], Fleet]) -> None:
    one = start("one")
    one.workers.silent = True
    one.declare(SessionSpec("a"))
    one.advance(1)
    one.workers.link("a", NUMBER)
    one.workers.tell("a", AccountHeld(why="process 4711 on box holds it"))
    one.advance(5)
    info = one.info("a")
    assert (info.state, info.needs_person, info.paired) == ("conflict", True, True)
    assert "process 4711 on box holds it" in info.reason
    assert one.workers.client("a") is None
    one.workers.tell("a", Paired(account=Secret(NUMBER)))  # late: nothing is held any more
    one.advance(5)
    one.restart()
    one.advance(60)
    assert one.state("a") is State.CONFLICT, "another daemon does not try it behind a person's back"
    one.run(one.desk.restart("a"))
    one.advance(5)
    assert one.state("a") is State.CONNECTED


def test_a_renamed_a_retired_and_a_revived_session_goes_on(start: Callable[[str], Fleet]) -> None:
    one = start("one")
    one.paired("a")
    one.declare(SessionSpec("b", renamed_from="a"))
    one.advance(10)
    assert one.state("b") is State.CONNECTED
    one.declare(SessionSpec("c"))
    one.advance(10)
    one.declare(SessionSpec("b"))
    one.advance(10)
    assert one.state("b") is State.CONNECTED
    one.stop()
    one.root.rename(one.root.parent / "two")
    two = start("two")
    declared(two, "b")
    assert two.state("b") is State.CONNECTED
    assert not two.ledger.told("warning", "b")
    assert not one.ledger.told("warning", "b")


def test_an_end_is_noted_before_the_credential_moves(
    start: Callable[[str], Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noted later, it would be written in another session's turn, over what that one's start has written."""
    one = start("one")
    one.paired("a")
    done: list[str] = []
    for what in ("rest", "rename"):
        real = getattr(one.vault, what)

        def seen(*names: str, what: str = what, real: Callable[..., object] = real, **changes: object) -> object:
            done.append(" ".join((what, *names, *changes)))
            return real(*names, **changes)

        monkeypatch.setattr(one.vault, what, seen)
    # What a worker's end sets in motion may begin only after whoever waited for that end has gone on.
    monkeypatch.setattr(one.executor.errands, "note", lambda _tracked, _write: None)
    one.declare(SessionSpec("b", renamed_from="a"))
    one.advance(10)
    assert done == ["rest a", "rename a b"]
    assert one.state("b") is State.CONNECTED


def test_an_end_that_cannot_be_noted_stops_it_all_the_same(
    start: Callable[[str], Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = start("one")
    one.paired("a")

    def full(_name: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(one.vault, "rest", full)
    one.run(one.desk.park("a"))
    one.advance(5)
    assert one.state("a") is State.PARKED
    assert any("No space left" in record.reason for record in one.ledger.told("warning", "a"))
    one.run(one.desk.resume("a"))
    one.advance(5)
    assert one.state("a") is State.CONNECTED, "it was not noted, so nothing is missed"
