"""Sessions that once had no way out: a person's answer, or the loop's next look, has to help every one of them."""

from __future__ import annotations

import pytest
from fakes import NUMBERS, Fleet, forget_device

from wakit.control.schemas import PairRequest
from wakit.core.declaration import Pairing, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import WorkerError
from wakit.redact import PhoneNumber
from wakit.whatsapp.port import Banned, ClientEnded, SessionEvent


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("unlinked", [False, True])
def test_what_is_damaged_inside_is_linked_anew_if_a_person_asks(fleet: Fleet, unlinked: bool, kill: bool) -> None:
    fleet.paired("a")
    database = fleet.root / ".wakit/sessions/a/shared/creds.db"
    if unlinked:  # on the phone, at the moment when nobody could take a note
        fleet.restart(kill=True)
        forget_device(database)
    else:
        fleet.workers.crash("a")
        database.write_bytes(b"x" * database.stat().st_size)
    fleet.advance(10)
    if kill:
        fleet.restart(kill=True)
        fleet.advance(10)
    assert fleet.state("a") is State.FAILED
    fleet.run(fleet.desk.pair("a", PairRequest()))
    fleet.workers.asked.add("a")
    fleet.advance(2)
    assert fleet.state("a") is State.PAIRING
    assert fleet.workers.scan("a", NUMBERS["a"])
    fleet.advance(2)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.tracked("a").credential is Credential.PRESENT


@pytest.mark.parametrize("word", [ClientEnded(why="the client ended"), Banned(code="101", seconds=60.0)])
def test_a_worker_that_could_not_be_left_is_left_later(fleet: Fleet, word: SessionEvent) -> None:
    fleet.paired("a")
    fleet.workers.release_failures += [WorkerError("It did not let go")] * 2
    client = fleet.workers.client("a")
    assert client is not None
    client.hush()
    fleet.workers.tell("a", word)
    fleet.advance(120)
    assert fleet.state("a") is State.CONNECTED
    assert fleet.workers.client("a") is not client


def test_an_edit_does_not_forget_a_worker_that_could_not_be_left(fleet: Fleet) -> None:
    fleet.declare(SessionSpec("a"))
    fleet.workers.release_failures += [WorkerError("It did not let go")] * 2
    fleet.advance(165)  # until the codes have run out
    fleet.declare(SessionSpec("a", phone=PhoneNumber("+" + NUMBERS["a"]), pairing=Pairing.CODE))
    fleet.advance(30)
    assert fleet.state("a") is State.PAIRING
