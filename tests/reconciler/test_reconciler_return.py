"""The network returns and a whole fleet waits: everybody dials again, at the declared rate and not above it."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import pytest
from fakes import Fleet

from wakit.core.declaration import Pacing, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.runtime.pace import Outside, Pace
from wakit.whatsapp.port import ClientEnded, Connected, ConnectionLost, DialFailed, DialFailure

RATE = 5.0
NO_WAY = DialFailed(cause=DialFailure.UNREACHABLE, detail="there is no network")
GAVE_UP = ClientEnded(why="there is no network", cause=DialFailure.UNREACHABLE)


class Network:
    """What is between the workers and WhatsApp: each dial waits for its permit, and fails while it is gone."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.there = fleet, True
        chance = Random(0)
        self.pace = Pace(
            Outside(
                rate=lambda: RATE,
                place=fleet.roster.standing,
                clock=fleet.loop.time,
                chance=chance.random,
                waits=fleet.roster.queue,
            )
        )
        self.dials: list[float] = []
        fleet.workers._come_online = self.dial  # type: ignore[method-assign]

    async def dial(self, session: str, after: float) -> None:
        del after
        await self.pace.permit(session)
        self.pace.dialled(session)
        self.dials.append(self.fleet.loop.time())
        if self.there:
            self.fleet.workers.tell(session, Connected())
        else:
            self.fleet.workers.tell(session, NO_WAY)
            self.fleet.workers.tell(session, GAVE_UP)

    def most_within(self, seconds: float) -> int:
        """The most dials in any stretch of so many seconds."""
        return max(bisect_left(self.dials, start + seconds) - index for index, start in enumerate(self.dials))


@pytest.mark.parametrize("count", [16, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_all_who_wait_come_back_as_fast_as_the_bucket_lets_them_and_no_faster(fleet: Fleet, count: int) -> None:
    names = [f"s{number:03d}" for number in range(count)]
    fleet.declare(*(SessionSpec(name) for name in names), pacing=Pacing(dials_per_second=RATE, pairings=100))
    for _ in range(3 * count):
        if all(fleet.tracked(name).credential is Credential.PRESENT for name in names):
            break
        fleet.advance(0.5)
        for number, name in enumerate(names):
            fleet.workers.scan(name, f"3465551{number:04d}")
    fleet.advance(120)
    assert {fleet.state(name) for name in names} == {State.CONNECTED}

    network = Network(fleet)
    network.there = False
    for name in names:
        fleet.workers.tell(name, ConnectionLost(why="the connection dropped"))
        fleet.workers.tell(name, NO_WAY)
        fleet.workers.tell(name, GAVE_UP)
    fleet.advance(300)
    assert len(network.dials) <= 300 / 6, "only probes dial"
    assert {fleet.state(name) for name in names} == {State.RECONNECTING}

    network.there = True
    fleet.advance(31)
    back = fleet.ledger.told("outage_over")
    assert len(back) == 1
    fleet.advance(count / RATE + 5)
    assert {fleet.state(name) for name in names} == {State.CONNECTED}
    for seconds in (1.0, 10.0, 60.0):
        assert network.most_within(seconds) <= RATE + RATE * seconds + 1
    assert all(fleet.info(name).attempt == 0 for name in names)
