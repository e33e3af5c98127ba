"""Phones: remembered in session.json, missed only where they used to show themselves."""

from __future__ import annotations

from datetime import timedelta

from fakes import START, Fleet

from wakit.control.schemas import PairRequest
from wakit.core.phone import PhoneMemory
from wakit.vault.record import read_record
from wakit.whatsapp.port import PhoneSeen

DAY = timedelta(days=1)
HABIT = PhoneMemory(START - 9 * DAY, days=6, pause=86_400.0)


def record(fleet: Fleet, name: str = "a") -> PhoneMemory | None:
    return read_record(fleet.vault.folder(name)).phone


def known(fleet: Fleet, memory: PhoneMemory) -> None:
    """An earlier daemon left this."""
    fleet.vault.update("a", phone=memory)
    fleet.restart()
    fleet.advance(2)
    assert fleet.tracked("a").handset == memory


def look(fleet: Fleet) -> None:
    async def now() -> None:
        fleet.reconciler.handsets.look()

    fleet.run(now())


def told(fleet: Fleet) -> list[str | None]:
    return [record.code for record in fleet.ledger.told("warning", "a")]


def test_a_link_is_a_sign_of_the_phone(fleet: Fleet) -> None:
    fleet.paired("a")
    seen_at = fleet.info("a").phone_seen_at
    assert seen_at is not None
    assert record(fleet) == PhoneMemory(seen_at)


def test_signs_are_kept_once_an_hour_and_outlive_the_daemon(fleet: Fleet) -> None:
    fleet.paired("a")
    linked = fleet.info("a").phone_seen_at
    assert linked is not None
    fleet.workers.tell("a", PhoneSeen(at=linked + timedelta(minutes=59)))
    fleet.advance(1)
    assert record(fleet) == PhoneMemory(linked)
    fleet.workers.tell("a", PhoneSeen(at=linked + 2 * DAY))
    fleet.advance(1)
    assert record(fleet) == PhoneMemory(linked + 2 * DAY, days=2, pause=2 * 86_400.0)
    fleet.restart(kill=True)
    assert fleet.info("a").phone_seen_at == linked + 2 * DAY


def test_a_new_link_begins_anew(fleet: Fleet) -> None:
    fleet.paired("a")
    known(fleet, HABIT)
    fleet.workers.unlink("a")
    fleet.advance(1)
    fleet.workers.asked.add("a")
    fleet.run(fleet.desk.pair("a", PairRequest()))
    fleet.advance(1)
    fleet.workers.scan("a", "34655500000")
    fleet.advance(2)
    memory = fleet.tracked("a").handset
    assert memory is not None
    assert memory.days == 1
    assert record(fleet) == memory


def test_one_that_used_to_show_itself_is_missed_once_a_day(fleet: Fleet) -> None:
    fleet.paired("a")
    known(fleet, HABIT)
    look(fleet)
    assert not fleet.info("a").needs_person
    watching = fleet.loop.create_task(fleet.reconciler.handsets.run())
    fleet.advance(86_400 + 700)
    info = fleet.info("a")
    assert (info.state, info.needs_person) == ("connected", True)
    assert info.reason.startswith("logged in; nothing was heard of its phone for 10 days")
    assert told(fleet) == ["phone_quiet"]
    fleet.advance(2 * 86_400)
    assert told(fleet) == ["phone_quiet"] * 3
    assert "for 12 days" in fleet.info("a").reason

    fleet.workers.tell("a", PhoneSeen(at=fleet.now()))
    fleet.advance(1)
    info = fleet.info("a")
    assert (info.reason, info.needs_person) == ("logged in", False)
    assert told(fleet)[-1] == "phone_seen"
    watching.cancel()


def test_a_phone_without_a_past_is_never_missed(fleet: Fleet) -> None:
    fleet.paired("a")
    known(fleet, PhoneMemory(START - 30 * DAY))
    look(fleet)
    assert told(fleet) == []
    assert not fleet.info("a").needs_person


def test_who_is_out_of_the_file_is_not_warned_of(fleet: Fleet) -> None:
    fleet.paired("a", "b", "c")
    known(fleet, PhoneMemory(START - 12 * DAY, days=6, pause=86_400.0))
    fleet.declare(*(fleet.declaration.sessions[name] for name in ("b", "c")))  # type: ignore[union-attr]
    fleet.advance(3)
    look(fleet)
    assert told(fleet) == []
