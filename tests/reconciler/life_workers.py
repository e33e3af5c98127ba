"""Workers and their post for a simulation: slow and crashing; what they report comes late, twice or in disorder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

from fakes import START, Client, FakeWorkers, in_loop
from memory_vault import Drawer, MemoryVault
from virtual_time import VirtualLoop

from wakit.redact import Secret
from wakit.whatsapp.port import (
    AccountHeld,
    AccountHold,
    Banned,
    ClientEnded,
    Connected,
    ConnectionLost,
    CredentialBad,
    DialFailed,
    DialFailure,
    LoggedOut,
    Outdated,
    Paired,
    PairingFailed,
    PasskeyAsked,
    QrShown,
    Refused,
    Replaced,
    SessionEvent,
    SessionReport,
    SessionStart,
    WorkerLaunch,
    WorkerReport,
)

BANNED_FOR = 120.0


class Post:
    """Brings reports: each worker's in order unless told otherwise, those of several workers as chance has it.

    Attributes:
        late: At most so many seconds a report takes.
        doubled: The share of reports that come twice, the second time much later.
        swapped: The share of reports that are overtaken by the next one.
    """

    def __init__(self, loop: VirtualLoop, chance: Random, take: Callable[[WorkerReport], None]) -> None:
        self._loop = loop
        self._chance = chance
        self._take = take
        self._free_at: dict[str, float] = {}
        self.late = self.doubled = self.swapped = 0.0
        self._closed = False

    def close(self) -> None:
        """Lose what is on its way: the daemon it was meant for is gone."""
        self._closed = True

    def calm(self) -> None:
        self.late = self.doubled = self.swapped = 0.0

    def take(self, report: WorkerReport) -> None:
        now = self._loop.time()
        at = max(now, self._free_at.get(report.worker_id, 0.0)) + self.late * self._chance.random()
        self._free_at[report.worker_id] = at
        if isinstance(report, SessionReport):
            if self._chance.random() < self.swapped:
                at += 0.05 + self.late
            if self._chance.random() < self.doubled:
                self._loop.call_at(at + 20 * self._chance.random(), self._deliver, report)
        if at <= now:
            self._deliver(report)
        else:
            self._loop.call_at(at, self._deliver, report)

    def _deliver(self, report: WorkerReport) -> None:
        if not self._closed:
            self._take(report)


class MemoryWorkers(FakeWorkers):
    """Workers whose credentials lie in a :class:`MemoryVault`.

    Attributes:
        slow: Launches and releases may take long.
        mute: Whose clients say nothing by themselves.
    """

    vault: MemoryVault

    def __init__(self, loop: VirtualLoop, secrets: set[str], chance: Random) -> None:
        self._chance = chance
        self.slow = False
        self.mute: Collection[str] = ()
        self._at_work: dict[str, str] = {}
        self._lived: set[str] = set()
        super().__init__(loop, secrets)
        self._pids = count(1000)

    @property
    def launch_takes(self) -> float:
        return self._chance.choice([0.05, 0.3, 4.0, 30.0] if self.slow else [0.05, 0.1, 0.4])

    @launch_takes.setter
    def launch_takes(self, _seconds: float) -> None: ...

    @property
    def release_takes(self) -> float:
        return self._chance.choice([0.0, 0.5, 6.0] if self.slow else [0.0, 0.05])

    @release_takes.setter
    def release_takes(self, _seconds: float) -> None: ...

    # -- the port ----------------------------------------------------------------------------------------------------

    async def launch(self, launch: WorkerLaunch) -> int:
        # Whoever is on call runs elsewhere until it is called.
        names = [] if launch.on_call else [start.name for start in launch.sessions]
        self._begin("launch", names)
        try:
            pid = await super().launch(launch)
            self._lived.add(launch.worker_id)
            return pid
        finally:
            self._end_work(names)

    async def release(self, worker_id: str, session: str, *, why: str) -> None:
        self._begin("release", [session])
        try:
            await super().release(worker_id, session, why=why)
        finally:
            self._end_work([session])

    async def logout(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        self.logouts.append(session)
        await asyncio.sleep(self.release_takes)
        client = self.client(session)
        if client is None or not client.linked:
            return False
        self.vault.drawer(client.start.directory).database = ""
        client.linked = False
        return True

    async def hold_account(self, worker_id: str, session: str, account: AccountHold) -> None:
        worker = self.live.get(worker_id)
        client = worker.clients.get(session) if worker else None
        if client is None or not client.linked:
            return
        clients = [other for worker in self.live.values() for other in worker.clients.values()]
        if any(other.linked and other is not client and self._user(other) == self._user(client) for other in clients):
            self._end_client(client, AccountHeld(why="another session has it"), linked=True)

    def _begin(self, what: str, names: list[str]) -> None:
        for name in names:
            if name in self._at_work:
                self._fault(f"{what} of {name} while a {self._at_work[name]} of it is under way")
            self._at_work[name] = what

    def _end_work(self, names: list[str]) -> None:
        for name in names:
            self._at_work.pop(name, None)

    def _fault(self, what: str) -> None:
        self._loop.faults.append(AssertionError(what))

    def _judge(self, start: SessionStart) -> None:
        drawer = self.vault.drawer(start.directory)
        clients = [client for worker in self.live.values() for client in worker.clients.values()]
        used = [
            c.start.name
            for c in clients
            if self.vault.drawer(c.start.directory) is drawer or c.start.name == start.name
        ]
        assert not used, f"two clients on the credential of {used}"
        assert drawer.record.epoch == start.epoch, "the epoch of the order is not the credential's"
        if start.pairing is not None:
            assert drawer.database is None, f"{start.name} would pair onto a credential"
            assert drawer.record.paired_at is None or start.name in self.asked, (
                f"{start.name} was paired once, and nobody asked to pair it again"
            )
            return
        assert drawer.record.paired_at is not None, f"{start.name} is restored and was never paired"
        twins = [
            c.start.name for c in clients if c.linked and self._user(c) == drawer.database and self._known(c, drawer)
        ]
        assert not twins, f"{start.name} is started beside {twins}, which has its account"

    def _known(self, client: Client, starts: Drawer) -> bool:
        """Whether the link was noted when the start was allowed; one that was not told of yet is met by nobody."""
        record = self.vault.drawer(client.start.directory).record
        noted_at = record.paired_at if record.account is not None else None
        return noted_at is not None and starts.allowed_at is not None and noted_at < starts.allowed_at

    def _user(self, client: Client) -> str | None:
        return self.vault.drawer(client.start.directory).database

    def _board(self, client: Client) -> None:
        drawer = self.vault.drawer(client.start.directory)
        if drawer.held:
            self._fault(f"the credential of {client.start.name} is in use")
        drawer.held = True
        client.lock = _Held(drawer)  # type: ignore[assignment]
        if client.start.name in self.mute:
            return
        talk = self._come_online(client.start.name, 0.2) if client.start.pairing is None else self._show_codes(client)
        self._speak(client, talk)

    async def _come_online(self, session: str, after: float) -> None:
        self.dial(session)
        await asyncio.sleep(after)
        if (client := self.client(session)) is not None and client.linked:
            self.tell(session, Connected())

    # -- what happens to clients -------------------------------------------------------------------------------------

    def _write_device(self, client: Client, user: str) -> None:
        self.vault.drawer(client.start.directory).database = user

    @in_loop
    def unlink(self, session: str) -> bool:
        client = self.client(session)
        if client is None or not client.linked:
            return False
        self._end_client(client, LoggedOut(code="device_removed"))
        self.vault.drawer(client.start.directory).database = ""
        return True

    @in_loop
    def crash_while_linking(self, session: str, user: str) -> None:
        """The library writes the device row, and nobody hears of it."""
        client = self.client(session)
        if client is not None and client.shown is not None:
            self.link(session, user, tell=False)
            self.crash(session)

    def lose_the_line(self, session: str, seconds: float) -> None:
        client = self.client(session)
        if client is None or not client.linked:
            return

        async def redial() -> None:
            self.tell(session, ConnectionLost(why="the connection dropped"))
            await asyncio.sleep(seconds / 2)
            self.tell(session, DialFailed(cause=DialFailure.REFUSED, detail="the dial was refused"))
            await self._come_online(session, seconds / 2)

        self._in_loop(lambda: self._speak(client, redial()))

    def say_how_it_is(self, session: str) -> None:
        """What came in the wrong order is put right by the library's next word."""
        client = self.client(session)
        if client is not None and client.linked and not client.hushed:
            self.tell(session, Connected())

    def last_words(self, session: str, word: str) -> None:
        client = self.client(session)
        event: SessionEvent = {
            "ended": ClientEnded(why="the client ended"),
            "replaced": Replaced(),
            "banned": Banned(code="101", seconds=BANNED_FOR),
            "outdated": Outdated(),
            "refused": Refused(code="409", why="refused"),
            "bad": CredentialBad(why="the stored device is gone"),
            "pairing failed": PairingFailed(why="refused by the phone"),
            "passkey": PasskeyAsked(),
        }[word]
        only_linked = isinstance(event, Replaced)
        only_pairing = isinstance(event, PairingFailed | PasskeyAsked)
        if client is None or client.hushed or (only_pairing if client.linked else only_linked):
            return
        self._end_client(client, event, linked=client.linked)

    def echo(self, session: str, word: str) -> None:
        """A worker that is long gone still says something."""
        event: SessionEvent = {
            "connected": Connected(account=Secret("34655599999")),
            "lost": ConnectionLost(),
            "unlinked": LoggedOut(code="401"),
            "qr": QrShown(payload=self._secret("https://wa.me/old"), expires_at=START + timedelta(days=1)),
            "paired": Paired(account=Secret("34655599999")),
            "ended": ClientEnded(),
            "banned": Banned(code="1"),
        }[word]
        # One whose launch is still under way, and will fail, is not gone.
        gone = [each.worker_id for each in self.launches if each.worker_id in self._lived - self.live.keys()]
        self.tell(session, event, gone[-1] if gone else "w0")

    def _end_client(self, client: Client, event: SessionEvent, *, linked: bool = False) -> None:
        client.linked, client.shown, client.hushed = linked, None, True
        client.hush()
        self.tell(client.start.name, event)

    def _in_loop(self, work: Callable[[], Any]) -> None:
        async def now() -> None:
            work()

        self._loop.run_until_complete(now())


class _Held:
    """The lock of a drawer."""

    def __init__(self, drawer: Any) -> None:
        self._drawer = drawer

    def release(self) -> None:
        self._drawer.held = False
