"""Everything at once, in an order that chance decides: what must hold at every moment, and what must hold at rest.

People edit, ask and park; phones link and unlink; workers crash, launches fail, disks fill up, reports come late or
from workers that are gone; daemons are stopped and killed. Hypothesis chooses and shrinks; a failure prints the steps
that lead to it. The fake workers assert what a real fleet could not survive (two clients on one credential, a session
that was paired and is asked to pair again though nobody wanted it); :meth:`Fleet.check` what holds at every moment.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from fakes import NUMBERS, Fleet
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from wakit.control.schemas import PairRequest
from wakit.core.declaration import Pacing, Pairing, RetirePolicy, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.core.release import Release
from wakit.errors import ControlError, DeclarationError, Location, WorkerError
from wakit.redact import PhoneNumber, Secret
from wakit.whatsapp.port import (
    Banned,
    ClientEnded,
    Connected,
    ConnectionLost,
    CredentialBad,
    DialFailed,
    DialFailure,
    HearsAgain,
    Outdated,
    PairingExpired,
    PairingFailed,
    PasskeyAsked,
    Refused,
    Replaced,
    SessionEvent,
    WentDeaf,
)

NAMES = "abcd"
names = st.sampled_from(NAMES)
specs = st.builds(
    SessionSpec,
    name=names,
    phone=st.sampled_from([None, None, None, "own", "another's"]),
    pairing=st.sampled_from(Pairing),
    proxy=st.sampled_from([None, None, Secret("socks5://user:hunter2@127.0.0.1:1")]),
    enabled=st.sampled_from([True, True, True, False]),
    labels=st.sampled_from([{}, {"team": "x"}]),
    renamed_from=st.sampled_from([None, None, None, *NAMES]),
)
files = st.lists(specs, max_size=4, unique_by=lambda spec: spec.name)
# What a client may say of itself at any time, in whatever state it is believed to be.
utterances = st.sampled_from(
    [
        Connected(),
        ConnectionLost(why="the connection dropped"),
        WentDeaf(errors=2),
        HearsAgain(),
        DialFailed(cause=DialFailure.NAME_LOOKUP, detail="the name could not be looked up"),
    ]
)
# After these a client says nothing more, and never dials again.
last_words = st.sampled_from(
    [
        ClientEnded(why="the client ended"),
        Replaced(),
        Banned(code="101", seconds=120.0),
        Outdated(),
        Refused(code="409", why="refused"),
        CredentialBad(why="the stored device is gone"),
        PairingFailed(why="refused by the phone"),
        PairingExpired(),
        PasskeyAsked(),
    ]
)
_PAIRING_ONLY = (PairingFailed, PairingExpired, PasskeyAsked)
_LINKED_ONLY = (Replaced,)


class World(RuleBasedStateMachine):
    """The fleet, and everybody who pulls at it."""

    def __init__(self) -> None:
        super().__init__()
        self._no_fsync = mock.patch("os.fsync", return_value=None)
        self._no_fsync.start()
        self._folder = tempfile.TemporaryDirectory(prefix="wk")
        self.fleet = Fleet(Path(self._folder.name))

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            self.fleet.close()
            self._no_fsync.stop()
            self._folder.cleanup()

    @initialize(file=files)
    def first(self, file: list[SessionSpec]) -> None:
        self.edit(file, retire=RetirePolicy.ARCHIVE, pairings=2, shared=False)
        self.fleet.advance(1)
        for name in NAMES:
            self.fleet.workers.scan(name, NUMBERS[name])
        self.fleet.advance(1)

    # -- the file ----------------------------------------------------------------------------------------------------

    @rule(file=files, retire=st.sampled_from(RetirePolicy), pairings=st.integers(1, 3), shared=st.booleans())
    def edit(self, file: list[SessionSpec], retire: RetirePolicy, pairings: int, shared: bool) -> None:
        made = [
            SessionSpec(**{f: getattr(spec, f) for f in SessionSpec.__slots__} | self._phone(spec)) for spec in file
        ]
        self.fleet.declare(
            *made, retire=retire, pacing=Pacing(pairings=pairings), sessions_per_worker=4 if shared else "auto"
        )

    @staticmethod
    def _phone(spec: SessionSpec) -> dict[str, Any]:
        whose: Any = spec.phone
        if whose is None and spec.pairing is Pairing.QR:
            return {"phone": None}
        other = NAMES[(NAMES.index(spec.name) + 1) % len(NAMES)]
        return {"phone": PhoneNumber("+" + NUMBERS[other if whose == "another's" else spec.name])}

    @rule()
    def break_the_file(self) -> None:
        self.fleet.reconciler.refuse(DeclarationError("It is no TOML", location=Location("sessions.toml", 1, 1)))

    # -- people ------------------------------------------------------------------------------------------------------

    @rule(name=names, code=st.booleans())
    def ask_to_pair(self, name: str, code: bool) -> None:
        request = PairRequest(method="code", phone="+" + NUMBERS[name]) if code else PairRequest()
        with suppress(ControlError):
            self.fleet.run(self.fleet.desk.pair(name, request))
            self.fleet.workers.asked.add(name)

    @rule(name=names)
    def ask_to_restart(self, name: str) -> None:
        with suppress(ControlError):
            self.fleet.run(self.fleet.desk.restart(name))

    @rule(name=names, parked=st.booleans())
    def park(self, name: str, parked: bool) -> None:
        with suppress(ControlError):
            self.fleet.run(self.fleet.desk.park(name) if parked else self.fleet.desk.resume(name))

    @rule(confirm=st.booleans())
    def apply(self, confirm: bool) -> None:
        self.fleet.run(self.fleet.desk.apply(confirm=confirm))

    @rule(name=names)
    def scan(self, name: str) -> None:
        self.fleet.workers.scan(name, NUMBERS[name])

    @rule(name=names, whose=names)
    def scan_with_a_wrong_phone(self, name: str, whose: str) -> None:
        self.fleet.workers.scan(name, NUMBERS[whose])

    @rule(name=names)
    def unlink(self, name: str) -> None:
        self.fleet.workers.unlink(name)

    # -- trouble -----------------------------------------------------------------------------------------------------

    @rule(name=names)
    def crash(self, name: str) -> None:
        self.fleet.workers.crash(name)

    @rule(name=names)
    def crash_while_linking(self, name: str) -> None:
        client = self.fleet.workers.client(name)
        if client is not None and client.shown is not None:
            self.fleet.workers.link(name, NUMBERS[name], tell=False)
            self.fleet.workers.crash(name)

    @rule(name=names, event=utterances)
    def utter(self, name: str, event: SessionEvent) -> None:
        client = self.fleet.workers.client(name)
        if client is not None and (client.linked or not isinstance(event, Connected)):
            self.fleet.workers.tell(name, event)

    @rule(name=names, event=last_words)
    def end(self, name: str, event: SessionEvent) -> None:
        client = self.fleet.workers.client(name)
        if client is None:
            return
        if isinstance(event, _PAIRING_ONLY if client.linked else _LINKED_ONLY):
            return
        client.hush()
        client.shown = None
        self.fleet.workers.tell(name, event)

    @rule(name=names, event=st.one_of(utterances, last_words))
    def echo(self, name: str, event: SessionEvent) -> None:
        """A worker that is long gone still says something."""
        self.fleet.workers.tell(name, event, "w0")

    @rule(name=names, event=st.one_of(utterances, last_words))
    def babble(self, name: str, event: SessionEvent) -> None:
        """What comes at the end of a client's life may come in any order."""
        if (tracked := self.fleet.roster.sessions.get(name)) is not None and tracked.waits_for_person:
            self.fleet.workers.tell(name, event)

    @rule(
        error=st.sampled_from([WorkerError("It did not start"), OSError(11, "no more processes")]),
        often=st.integers(1, 3),
    )
    def launches_fail(self, error: Exception, often: int) -> None:
        self.fleet.workers.failures += [error] * often

    @rule(often=st.integers(1, 3))
    def the_disk_fails(self, often: int) -> None:
        self.fleet.disk_faults += [OSError(28, "no space left on device")] * often

    @rule(
        launch=st.sampled_from([0.0, 0.1, 30.0]),
        release=st.sampled_from([0.0, 0.05, 2.0]),
        disk=st.sampled_from([0.001, 0.5]),
    )
    def everything_takes(self, launch: float, release: float, disk: float) -> None:
        self.fleet.workers.launch_takes, self.fleet.workers.release_takes = launch, release
        self.fleet.loop.work_takes = lambda: disk

    @rule(alone=st.booleans())
    def workers_are_left(self, alone: bool) -> None:
        self.fleet.workers.one_may_leave = alone

    @rule(kill=st.booleans())
    def restart_the_daemon(self, kill: bool) -> None:
        self.fleet.restart(kill=kill)

    @rule(number=st.integers(0, 3))
    def upgrade(self, number: int) -> None:
        """wakit is upgraded, and a person has the workers replaced."""
        self.fleet.installed = Release(f"1.{number}.0", "0.5.2", f"{number}")
        self.fleet.run(self.fleet.upkeep.replace())

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.3, 1.0, 5.0, 30.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.fleet.advance(seconds)

    # -- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        self.fleet.check_loop()

    def come_to_rest(self) -> None:
        """Leave the fleet alone for hours; then nothing is left to do, and whoever can be connected is."""
        fleet = self.fleet
        fleet.disk_faults.clear()
        fleet.workers.failures.clear()
        self.everything_takes(0.1, 0.05, 0.001)
        self.workers_are_left(alone=True)
        fleet.advance(3600)
        for _ in range(48):  # small workers become one, if that went wrong before, after a day at the latest
            if fleet.upkeep.merger() is None:
                break
            fleet.advance(3600)
        fleet.looks = 0
        fleet.advance(600)
        assert fleet.looks <= 25, "at rest only the resync looks"
        assert fleet.executor.jobs.idle()
        left = fleet.reconciler.decide().actions
        assert not left, (left, [record.reason for record in fleet.ledger.records[-3:]])
        force = fleet.roster.in_force
        declared = force.declaration.sessions if force else {}
        for name, tracked in fleet.roster.sessions.items():
            spec = declared.get(name)
            assert not tracked.busy
            assert tracked.request is None or tracked.held, (name, tracked)
            client = fleet.workers.client(name)
            if tracked.state in (State.STARTING, State.PAIRING, State.PAIRED, State.CONNECTED, State.DEGRADED):
                assert client is not None, (name, tracked)
            if spec is None:
                assert tracked.held or (client is None and tracked.state is State.RETIRED), (name, tracked)
                continue
            if tracked.held is not None or not spec.enabled or tracked.parked:
                continue
            assert tracked.state not in (State.PARKED, State.RETIRED, State.HELD), (name, tracked)
            if fleet.info(name).needs_person:
                assert client is None, (name, tracked)
                assert tracked.reason, (name, tracked)
                continue
            assert tracked.credential is Credential.PRESENT, (name, tracked)
            assert client is not None, (name, tracked)
            assert tracked.running == spec.fingerprint()


# Explaining a failure traces every line, which takes minutes here; the shortest way to it says enough.
_QUICK = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


def test_whatever_happens_the_fleet_comes_to_rest() -> None:
    run_state_machine_as_test(World, settings=_QUICK)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_whatever_happens_the_fleet_comes_to_rest_at_length() -> None:
    run_state_machine_as_test(World, settings=settings(_QUICK, max_examples=1000, stateful_step_count=60))
