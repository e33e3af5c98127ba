"""What a rehearsal changes of a declaration, and how its virtual phones behave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wakit.core.declaration import Declaration, FleetSpec, Pairing, SessionSpec
from wakit.errors import WakitError
from wakit.reconciler.tracked import Shown, Tracked
from wakit.redact import PhoneNumber, Secret
from wakit.runtime.rehearsal import Phones, number_of, rehearsed
from wakit.sim.answers import SimEndpoint

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PHONE = PhoneNumber("+34600000001")


def test_a_rehearsal_stays_on_this_machine_and_in_its_own_folder() -> None:
    proxied = SessionSpec("a", phone=PHONE, proxy=Secret("socks5://user:pw@203.0.113.1:1080"), labels={"team": "x"})
    real = Declaration("/x/sessions.toml", "sha", "", FleetSpec("/x/.wakit"), {"a": proxied, "b": SessionSpec("b")})
    endpoint = SimEndpoint("http://127.0.0.1:8443", Path("/x/.wakit-sim/ca.pem"), "ab" * 32, Path("/x/admin"))
    played = rehearsed(real, endpoint, Path("/x/.wakit-sim"))
    assert played.fleet.state_dir == "/x/.wakit-sim"
    assert played.fleet.endpoint is not None
    assert (played.fleet.endpoint.proxy, played.fleet.endpoint.noise_root_key) == ("http://127.0.0.1:8443", "ab" * 32)
    assert [spec.proxy for spec in played.sessions.values()] == [None, None]
    assert played.sessions["a"] == replace(proxied, proxy=None), "everything else is as declared"
    assert played.sha256 == real.sha256
    assert real.fleet.endpoint is None


def test_simulated_numbers_are_nobodys_and_everybody_has_another() -> None:
    numbers = [number_of(SessionSpec(f"session-{index}")) for index in range(2_000)]
    assert all(number.reveal().startswith("+999") for number in numbers)
    assert len({number.reveal() for number in numbers}) == len(numbers)
    assert number_of(SessionSpec("session-7")) == numbers[7], "and the same tomorrow"
    assert number_of(SessionSpec("a", phone=PHONE)) == PHONE


@dataclass
class Sim:
    """Notes what phones do; a phone whose code is ``bad`` is refused."""

    done: list[tuple[str, str, str]] = field(default_factory=list)
    some: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def scan(self, number: PhoneNumber, payload: str) -> None:
        await self._use("scan", number, payload)

    async def type_code(self, number: PhoneNumber, code: str) -> None:
        await self._use("type", number, code)

    async def _use(self, how: str, number: PhoneNumber, text: str) -> None:
        await asyncio.sleep(0)
        if text == "hang":
            await asyncio.Event().wait()
        if text == "bad":
            raise WakitError("The code is not known")
        self.done.append((how, number.reveal(), text))
        self.some.release()


@dataclass
class Fleet:
    """As much of a roster as phones look at."""

    sessions: dict[str, Tracked] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    spoke: asyncio.Event = field(default_factory=asyncio.Event)

    def log(self, kind: str, *, reason: str) -> None:
        self.logged.append(f"{kind}: {reason}")
        self.spoke.set()

    def show(self, name: str, kind: Pairing, text: str, **more: Any) -> None:
        shown = Shown(kind, Secret(text), NOW + timedelta(seconds=60))
        self.sessions[name] = Tracked(name, since=NOW, spec=SessionSpec(name), shown=shown, **more)


async def test_each_phone_uses_what_its_session_shows_once() -> None:
    fleet, sim = Fleet(), Sim()
    phones = Phones(fleet, sim)  # type: ignore[arg-type]
    fleet.show("a", Pairing.QR, "qr-1")
    fleet.show("b", Pairing.CODE, "ABCD-1234", phone=PHONE)
    fleet.sessions["c"] = Tracked("c", since=NOW, spec=SessionSpec("c"))
    for name in ("a", "a", "b", "c", "nobody", "a"):
        phones.look(name)
    fleet.show("a", Pairing.QR, "qr-2")
    phones.look("a")
    async with asyncio.timeout(10):
        for _ in range(3):
            await sim.some.acquire()
    number = number_of(SessionSpec("a")).reveal()
    assert sim.done == [
        ("scan", number, "qr-1"), ("type", PHONE.reveal(), "ABCD-1234"), ("scan", number, "qr-2")
    ]  # fmt: skip
    await phones.close()


async def test_a_phone_that_fails_says_so_and_one_that_hangs_is_put_down() -> None:
    fleet, sim = Fleet(), Sim()
    phones = Phones(fleet, sim)  # type: ignore[arg-type]
    fleet.show("a", Pairing.QR, "bad")
    fleet.show("b", Pairing.QR, "hang")
    phones.look("a")
    phones.look("b")
    async with asyncio.timeout(10):
        await fleet.spoke.wait()
    assert fleet.logged == ["warning: a virtual phone could not link: The code is not known"]
    await phones.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
