"""A whole fleet in one process: the real vault on disk, and stand-ins for the workers, WhatsApp, the journal and time.

The workers keep the rules of the real ones and fail the test when theirs are broken: a worker's sessions are fixed at
launch, it locks each credential for its life, two clients never share one, and nobody is asked to pair who was paired
before unless a person asked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from virtual_time import VirtualLoop

from wakit.control.schemas import EventInfo, JournalInfo, SessionInfo
from wakit.core.actions import Action, Retire
from wakit.core.declaration import Declaration, FleetSpec, Pacing, Pairing, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.core.records import DeclarationRecord, EventRecord
from wakit.core.release import Release
from wakit.core.restarts import Failures, Setback
from wakit.errors import CredentialUnreadableError, WorkerError
from wakit.reconciler import Reconciler
from wakit.reconciler.desk import Desk
from wakit.reconciler.feed import Feed
from wakit.reconciler.ports import Ports
from wakit.reconciler.roster import Roster
from wakit.reconciler.telling import DaemonFacts
from wakit.reconciler.tracked import Tracked
from wakit.reconciler.upkeep import Upkeep
from wakit.redact import Secret
from wakit.vault import Registry, Vault, open_accounts
from wakit.vault.layout import Layout, open_layout
from wakit.vault.record import read_record
from wakit.whatsapp.port import (
    AccountHold,
    CodeShown,
    Connected,
    Dial,
    LoggedOut,
    Paired,
    PairingExpired,
    QrShown,
    SessionEvent,
    SessionReport,
    SessionStart,
    WorkerExited,
    WorkerLaunch,
    WorkerReport,
)

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = {name: f"3465550{index:04d}" for index, name in enumerate("abcdefghijklmnopqrstuvwxyz")}
_CODES_LAST = (60.0, 20.0, 20.0, 20.0, 20.0, 20.0)


def store(path: Path, *users: str) -> None:
    """Make a credential database with the columns that matter, as whatsmeow's first migration has them."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS whatsmeow_device (jid TEXT PRIMARY KEY, noise_key bytea)")
        for index, user in enumerate(users):
            connection.execute(
                "INSERT INTO whatsmeow_device VALUES (?, x'00')", (f"{user}:{index + 1}@s.whatsapp.net",)
            )


def forget_device(path: Path) -> None:
    """What the library does to its database when it is logged out."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM whatsmeow_device")


def write_something(path: Path) -> None:
    """What the library does to its database with every message."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS whatsmeow_sessions (n INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO whatsmeow_sessions DEFAULT VALUES")


def in_loop(method: Callable[..., T]) -> Callable[..., T]:
    """Have a test's call happen inside the event loop, as everything in a daemon does."""

    @wraps(method)
    def call(self: FakeWorkers, *args: Any, **kwargs: Any) -> T:
        async def now() -> T:
            return method(self, *args, **kwargs)

        return method(self, *args, **kwargs) if self._loop.is_running() else self._loop.run_until_complete(now())

    return call


class FakeLedger:
    """A journal in memory that refuses secrets."""

    def __init__(self) -> None:
        self.records: list[EventRecord] = []
        self.declarations: list[DeclarationRecord] = []
        self.secrets: set[str] = set()
        self.listeners: list[Callable[[EventInfo], None]] = []
        self.ok = True
        self.unstoppable = 0
        self.well: dict[str, datetime] = {}

    def log(self, record: EventRecord) -> int:
        self.check(repr(record))
        self.records.append(record)
        for listener in self.listeners:
            listener(self._info(len(self.records)))
        return len(self.records)

    def check(self, text: str) -> None:
        leaked = [secret for secret in self.secrets if secret in text]
        assert not leaked, f"a secret was told: {text}"

    async def declare(self, record: DeclarationRecord) -> int:
        self.declarations.append(record)
        return len(self.declarations)

    def text_before(self, sha256: str) -> str | None:
        return next((record.text for record in reversed(self.declarations) if record.sha256 != sha256), None)

    def continues(self, sha256: str) -> bool:
        return bool(self.declarations) and self.declarations[-1].sha256 == sha256

    async def blamed_since(self, moment: datetime) -> dict[str, datetime]:
        blamed = [r for r in self.told("worker_exit") if (r.detail or {}).get("culprit") and r.ts > moment]
        return {record.session or "": record.ts for record in blamed}

    async def last_states(self, names: Collection[str]) -> dict[str, str]:
        return {name: states[-1] for name in names if (states := self.states(name))}

    async def setbacks(self) -> dict[str, Setback]:
        # As the journal answers; what it makes of its own events is tested there (tests/runtime).
        stops = [number for number, record in enumerate(self.records) if record.kind == "daemon_stop"]
        later = [r for r in self.records[stops[-1] if stops else 0 :] if r.kind in ("state", "try_failed")]
        found = {}
        for name in {record.session or "" for record in later if record.kind == "try_failed"}:
            own = [record for record in later if record.session == name]
            tries, states = ([r for r in own if r.kind == kind] for kind in ("try_failed", "state"))
            was_well = "connected" in [record.state_to for record in own[own.index(tries[-1]) :]]
            counted = 0 if was_well else tries[-1].detail["failures"]
            gave_up = (states[-1].state_to, states[-1].code) == ("failed", "restarts")
            failures = Failures(tuple(record.ts for record in tries[len(tries) - counted :]))
            found[name] = Setback(failures, states[-1].reason if gave_up else "", states[-1].ts)
        return found

    def last_healthy(self) -> dict[str, datetime]:
        return dict(self.well)

    async def events(self) -> AsyncIterator[EventInfo | tuple[int, int]]:
        raise NotImplementedError
        yield

    async def events_since(self, seq: int) -> list[EventInfo]:
        return [self._info(number) for number in range(seq + 1, len(self.records) + 1)]

    async def query(self, sql: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        return f"{sql} {params} {seconds} {max_rows}".encode()

    def standing(self, since: int) -> JournalInfo:
        events = [self._info(number) for number in range(since + 1, len(self.records) + 1)]
        return JournalInfo(opening="1", seq=len(self.records), rev=len(self.declarations), pulses={}, events=events)

    def last_seq(self) -> int:
        return len(self.records)

    def healthy(self) -> bool:
        return self.ok

    def stuck(self) -> int:
        return self.unstoppable

    def pending(self) -> int:
        return 0

    def told(self, kind: str, session: str | None = None) -> list[EventRecord]:
        return [r for r in self.records if r.kind == kind and (session is None or r.session == session)]

    def states(self, session: str) -> list[str]:
        return [record.state_to or "" for record in self.told("state", session)]

    def _info(self, number: int) -> EventInfo:
        record = self.records[number - 1]
        return EventInfo(seq=number, ts=record.ts, kind=record.kind, session=record.session, reason=record.reason)


@dataclass
class Client:
    """A client that is alive in a worker."""

    start: SessionStart
    lock: FileLock | None
    linked: bool = False
    shown: Secret | None = None
    hushed: bool = False
    talk: set[asyncio.Task[None]] = field(default_factory=set)

    def leave(self) -> None:
        """End: say nothing more, and let the credential go."""
        self.hush()
        if self.lock is not None:
            self.lock.release()

    def hush(self) -> None:
        for task in self.talk:
            task.cancel()


@dataclass
class Worker:
    """A worker that is alive."""

    worker_id: str
    pid: int
    clients: dict[str, Client]
    on_call: set[str] = field(default_factory=set)
    sealed: bool = True


class FakeWorkers:
    """The worker host, with WhatsApp behind it.

    Attributes:
        launch_takes: Seconds from a launch to its return; the worker lives, and may speak, from the beginning.
        release_takes: Seconds until a worker that is asked to end has ended.
        failures: Raised by the next launches, in order.
        one_may_leave: A session that is released leaves a shared worker alone; otherwise the worker ends for all.
        silent: A client says nothing by itself; the test speaks for it.
        asked: Sessions for which a person asked to pair since they were last linked.
    """

    def __init__(self, loop: VirtualLoop, secrets: set[str]) -> None:
        self._loop = loop
        self._secrets = secrets
        self.on_report: Callable[[WorkerReport], None] = lambda _report: None
        self.on_dial: Callable[[Dial], None] = lambda _dial: None
        self.launch_takes = 0.1
        self.release_takes = 0.05
        self.failures: list[Exception] = []
        self.release_failures: list[Exception] = []
        self.one_may_leave = True
        self.silent = False
        self.can_log_out = True
        self.asked: set[str] = set()
        self.answers: dict[str, str] = {}  # why a session's question is not answered
        self.live: dict[str, Worker] = {}
        self.launches: list[WorkerLaunch] = []
        self.releases: list[tuple[str, str]] = []
        self.logouts: list[str] = []
        self.redials: list[str] = []
        self.holds: list[tuple[str, AccountHold]] = []
        self.calls: list[tuple[str, str]] = []
        self.expected: list[str] = []
        self.forgotten: list[str] = []
        self._pids = count(1000)
        self._payloads = count(1)

    # -- the port ----------------------------------------------------------------------------------------------------

    def expect(self, sessions: Sequence[str]) -> None:
        self.expected.extend(sessions)

    def forget(self, sessions: Sequence[str]) -> None:
        self.forgotten.extend(sessions)

    async def launch(self, launch: WorkerLaunch) -> int:
        self.launches.append(launch)
        boarding = () if launch.on_call else launch.sessions
        try:
            for start in boarding:
                self._judge(start)
        except AssertionError as error:
            self._loop.faults.append(error)  # or it would be taken for a launch that failed
            raise
        worker = Worker(
            launch.worker_id,
            next(self._pids),
            {s.name: Client(s, None, linked=s.pairing is None) for s in boarding},
            {s.name for s in launch.sessions} if launch.on_call else set(),
            sealed=not launch.on_call,
        )
        assert launch.worker_id not in self.live
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            await asyncio.sleep(self.launch_takes)
            raise failure
        self.live[launch.worker_id] = worker
        for client in worker.clients.values():
            self._board(client)
        await asyncio.sleep(self.launch_takes)
        return worker.pid

    async def call(self, worker_id: str, start: SessionStart) -> None:
        worker = self.live.get(worker_id)
        if worker is None:
            raise WorkerError(f"Session {start.name} is not aboard worker {worker_id}", why="it ended, or never was")
        try:
            self._judge(start)
            assert not worker.sealed, "a sealed worker was called"
            assert start.name in worker.on_call, "it is not on the list, or was called before"
        except AssertionError as error:
            self._loop.faults.append(error)
            raise
        self.calls.append((worker_id, start.name))
        worker.on_call.discard(start.name)
        worker.clients[start.name] = Client(start, None, linked=True)
        self._board(worker.clients[start.name])

    async def seal(self, worker_id: str) -> None:
        worker = self.live.get(worker_id)
        if worker is None:
            return
        worker.sealed = True
        if not worker.clients:
            self.end(worker_id, asked=True, cause="nobody came aboard")

    async def release(self, worker_id: str, session: str, *, why: str) -> None:
        self.releases.append((session, why))
        await asyncio.sleep(self.release_takes)
        if self.release_failures:
            raise self.release_failures.pop(0)
        worker = self.live.get(worker_id)
        if self.one_may_leave and worker is not None and len(worker.clients) > 1:
            worker.clients.pop(session).leave()
            return
        self.end(worker_id, asked=True, cause=why)

    async def redial(self, worker_id: str, session: str) -> None:
        self.redials.append(session)

    async def hold_account(self, worker_id: str, session: str, account: AccountHold) -> None:
        self.holds.append((session, account))

    async def ask(self, worker_id: str, session: str, timeout: float) -> str:  # noqa: ASYNC109
        await asyncio.sleep(0.02)
        return self.answers.get(session, "")

    async def logout(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        self.logouts.append(session)
        await asyncio.sleep(self.release_takes)
        client = self.client(session)
        if client is None or not self.can_log_out:
            return False
        forget_device(Path(client.start.directory, "creds.db"))
        return True

    # -- what tests do -----------------------------------------------------------------------------------------------

    def client(self, session: str) -> Client | None:
        return next((w.clients[session] for w in self.live.values() if session in w.clients), None)

    def worker_of(self, session: str) -> Worker | None:
        return next((w for w in self.live.values() if session in w.clients), None)

    @in_loop
    def tell(self, session: str, event: SessionEvent, worker_id: str | None = None) -> None:
        """Report an event of the worker that a session is aboard of, or was aboard of last."""
        said_by = worker_id or self._newest_worker(session)
        at = START + timedelta(seconds=self._loop.time())
        self.on_report(SessionReport(worker_id=said_by, session=session, at=at, event=event))

    def _newest_worker(self, session: str) -> str:
        if (worker := self.worker_of(session)) is not None:
            return worker.worker_id
        for launch in reversed(self.launches):
            # Who is on call is not aboard before it was called.
            came_aboard = not launch.on_call or (launch.worker_id, session) in self.calls
            if came_aboard and any(start.name == session for start in launch.sessions):
                return launch.worker_id
        return "nobody"

    @in_loop
    def dial(self, session: str) -> None:
        """The relay lets a dial of the session's client through."""
        if (worker := self.worker_of(session)) is not None:
            self.on_dial(Dial(session=session, pid=worker.pid, waited=0.0))

    def write(self, session: str) -> None:
        """The library writes to its database, as with every message."""
        client = self.client(session)
        assert client is not None
        write_something(Path(client.start.directory, "creds.db"))

    @in_loop
    def crash(self, session: str, cause: str = "it was killed", *, code: int = -9) -> bool:
        worker = self.worker_of(session)
        if worker is not None:
            self.end(worker.worker_id, asked=False, cause=cause, code=code)
        return worker is not None

    @in_loop
    def end(self, worker_id: str, *, asked: bool, cause: str, tell: bool = True, code: int = -9) -> None:
        worker = self.live.pop(worker_id, None)
        if worker is None:
            return
        for client in worker.clients.values():
            client.leave()
        if tell:
            code = 0 if asked else code
            names = tuple(worker.clients)
            self.on_report(
                WorkerExited(
                    worker_id=worker_id, pid=worker.pid, sessions=names, asked=asked, cause=cause, exit_code=code
                )
            )

    @in_loop
    def scan(self, session: str, user: str) -> bool:
        """A phone uses the code that is shown."""
        client = self.client(session)
        if client is None or client.shown is None:
            return False
        self.link(session, user)
        self._speak(client, self._come_online(session, 0.3))
        return True

    @in_loop
    def link(self, session: str, user: str, *, tell: bool = True) -> None:
        """The library writes the device row; with ``tell`` the report of it is not lost."""
        client = self.client(session)
        assert client is not None
        client.shown, client.linked = None, True
        client.hush()
        self._write_device(client, user)
        if tell:
            self.asked.discard(session)
            self.tell(session, Paired(account=Secret(user)))

    def _write_device(self, client: Client, user: str) -> None:
        store(Path(client.start.directory, "creds.db"), user)

    @in_loop
    def unlink(self, session: str) -> bool:
        """The phone unlinks the device: the library deletes its row and tells."""
        client = self.client(session)
        if client is None or not client.linked:
            return False
        client.linked = False
        forget_device(Path(client.start.directory, "creds.db"))
        self.tell(session, LoggedOut(code="device_removed"))
        return True

    # -- inside ------------------------------------------------------------------------------------------------------

    def _judge(self, start: SessionStart) -> None:
        folder = Path(start.directory)
        used = [
            c.start.name for w in self.live.values() for c in w.clients.values() if c.start.directory == str(folder)
        ]
        assert not used, f"two clients on the credential of {used}"
        assert self.client(start.name) is None, f"two clients of {start.name}"
        record = read_record(folder)
        assert record.epoch == start.epoch, "the epoch of the order is not the credential's"
        if start.pairing is None:
            assert record.paired_at is not None, f"{start.name} is restored and was never paired"
            return
        assert not (folder / "creds.db").exists(), f"{start.name} would pair onto a credential"
        if record.paired_at is not None:
            assert start.name in self.asked, f"{start.name} was paired once, and nobody asked to pair it again"

    def _board(self, client: Client) -> None:
        start = client.start
        lock = FileLock(Path(start.directory, "lock"), mode=0o600)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            self._loop.faults.append(AssertionError(f"the credential of {start.name} is in use"))
            raise
        client.lock = lock
        if not self.silent:
            talk = self._come_online(start.name, 0.2) if start.pairing is None else self._show_codes(client)
            self._speak(client, talk)

    def _speak(self, client: Client, talk: Awaitable[None]) -> None:
        task = asyncio.ensure_future(talk)
        client.talk.add(task)
        task.add_done_callback(client.talk.discard)  # type: ignore[arg-type]

    async def _come_online(self, session: str, after: float) -> None:
        self.dial(session)
        await asyncio.sleep(after)
        self.tell(session, Connected())

    def _secret(self, text: str) -> Secret:
        self._secrets.add(text)
        return Secret(text)

    async def _show_codes(self, client: Client) -> None:
        name = client.start.name
        await asyncio.sleep(0.2)
        for lasts in _CODES_LAST:
            until = START + timedelta(seconds=self._loop.time() + lasts)
            if client.start.pairing is Pairing.QR:
                client.shown = self._secret(f"https://wa.me/settings/linked_devices#ref{next(self._payloads)},secret")
                self.tell(name, QrShown(payload=client.shown, expires_at=until))
            elif client.shown is None:  # one code, good for as long as there would be QRs
                client.shown = self._secret(f"QRST-{next(self._payloads):04d}")
                self.tell(name, CodeShown(code=client.shown, expires_at=until + timedelta(seconds=100)))
            await asyncio.sleep(lasts)
        client.shown = None
        self.tell(name, PairingExpired())


class FaultyVault(Vault):
    """The real vault, whose disk fails when told to."""

    def __init__(
        self,
        layout: Layout,
        now: Callable[[], datetime],
        faults: list[Exception],
        unreadable: set[str],
        registry: Registry,
    ) -> None:
        super().__init__(layout, "shared", now, registry)
        self._faults, self._unreadable = faults, unreadable

    def find(self, name: str) -> Any:
        if name in self._unreadable:
            raise CredentialUnreadableError(f"The credential of {name} cannot be read", why="permission denied")
        return super().find(name)

    def settle(self, name: str) -> Any:
        self.find(name)
        return super().settle(name)

    def _fail(self) -> None:
        if self._faults:
            raise self._faults.pop(0)

    def prepare_pairing(self, name: str) -> Any:
        self._fail()
        return super().prepare_pairing(name)

    def prepare_restore(self, name: str) -> Any:
        self._fail()
        return super().prepare_restore(name)

    def retire(self, name: str, *, keep: bool) -> None:
        self._fail()
        super().retire(name, keep=keep)

    def revive(self, name: str) -> None:
        self._fail()
        super().revive(name)

    def rename(self, source: str, target: str) -> None:
        self._fail()
        super().rename(source, target)


class Fleet:
    """A daemon's inside on a state directory, in virtual time; it can be killed and started again.

    Example:
        >>> fleet = Fleet(tmp_path)
        >>> fleet.declare(SessionSpec("a"))
        >>> fleet.advance(1)
        >>> fleet.state("a")
        <State.PAIRING: 'pairing'>
    """

    def __init__(self, root: Path, *, state_home: Path | None = None) -> None:
        self.root = root
        self.state_home = state_home or root / "state"
        self.loop = VirtualLoop()
        self.ledger = FakeLedger()
        self.ledger.secrets |= {*NUMBERS.values(), "s.whatsapp.net"}
        self.disk_faults: list[Exception] = []
        self.unreadable: set[str] = set()
        self.chance = 0.5
        self.declaration: Declaration | None = None
        self.looks = 0
        self.begun: Counter[str] = Counter()
        self._ids = count(1)
        self.installed = Release("0.1.0", "0.5.2", "first")
        self._boot()

    def _boot(self) -> None:
        self.workers = self._hire()
        self.layout = open_layout(self.root / ".wakit")
        self.vault = self._open_vault()
        ports = Ports(
            vault=self.vault,
            workers=self.workers,
            ledger=self.ledger,
            now=self.now,
            chance=lambda: self.chance,
            new_id=lambda: f"w{next(self._ids)}",
            release=lambda: self.upkeep.installed,
        )
        told = lambda name: self.feed.session(name)  # noqa: PLW0108, E731 - made below
        self.roster = Roster(ports, f"run{next(self._ids)}", told, told)
        self.reconciler = Reconciler(self.roster)
        self.executor = self.reconciler.executor
        self.upkeep = Upkeep(self.reconciler, began=self.installed, look=self._look_at_release)
        self.workers.on_report, self.workers.on_dial = self.reconciler.take, self.roster.dialled
        self.feed = Feed(
            lambda: self.desk.daemon(),  # noqa: PLW0108 - made below, as in the runtime
            lambda name: self.desk.find(name),  # noqa: PLW0108
            lambda name: self.desk.pairing(name),  # noqa: PLW0108
        )
        self.ledger.listeners = [self.feed.event]
        facts = DaemonFacts(
            1, self.roster.run_id, "0", START, "/x/sessions.toml", str(self.layout.root), "/x/s", sim=False
        )
        self.stopped = False
        self.desk = Desk(
            self.reconciler, self.feed, facts, shutdown=self._stop, read_log=lambda name, lines: [f"{name} {lines}"]
        )
        self._watch()
        self.run(self.reconciler.recall())
        if self.declaration is not None:
            self.run(self.reconciler.accept(self.declaration))
        self.main = self.loop.create_task(self.reconciler.run())
        self.keeping_up = self.loop.create_task(self.upkeep.run())

    async def _look_at_release(self) -> Release:
        return self.installed

    def _hire(self) -> FakeWorkers:
        return FakeWorkers(self.loop, self.ledger.secrets)

    def _open_vault(self) -> Vault:
        accounts = open_accounts(self.layout.root, environ={"XDG_STATE_HOME": str(self.state_home)})
        registry = Registry(accounts, None, self.now)
        return FaultyVault(self.layout, self.now, self.disk_faults, self.unreadable, registry)

    def _watch(self) -> None:
        """Count the loop's looks, and see what it begins."""
        decide, carry_out = self.reconciler.decide, self.executor.carry_out

        def counted() -> Any:
            self.looks += 1
            return decide()

        def seen(actions: Sequence[Action]) -> list[Action]:
            begun = carry_out(actions)
            self.begun.update(type(action).__name__ for action in begun)
            for action in begun:
                self._judge(action)
            return begun

        self.reconciler.decide = counted  # type: ignore[method-assign]
        self.executor.carry_out = seen  # type: ignore[method-assign]

    def _judge(self, action: Action) -> None:
        force = self.roster.in_force
        assert force is not None
        if isinstance(action, Retire):
            assert action.session not in force.declaration.sessions
            # One that was given away leaves its memory behind wherever it lies; there is nothing else to lose.
            harmless = (Credential.ABSENT, Credential.ARCHIVED, Credential.GIVEN_AWAY)
            lost = self.roster.get(action.session).credential not in harmless
            confirmed = self.roster.confirmed == force.declaration.sha256
            assert force.declaration.sessions or confirmed or not lost, "an empty file retired a credential"

    def _stop(self) -> None:
        self.stopped = True

    # -- time --------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.time())

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)  # type: ignore[arg-type]

    def advance(self, seconds: float) -> None:
        """Let time pass; the loop must neither fail nor spin meanwhile."""
        before = self.looks
        self.loop.advance(seconds)
        spent = self.looks - before
        assert spent <= 60 + 40 * seconds, f"the loop looked {spent} times in {seconds} s"
        self.check()

    def check_loop(self) -> None:
        """Nothing failed that nobody waits for."""
        assert not self.loop.faults, self.loop.faults
        assert not self.main.done() or self.main.exception() is None, self.main.exception()
        assert not self.keeping_up.done() or self.keeping_up.cancelled(), self.keeping_up

    def check(self) -> None:
        """What holds once everything that can happen at this moment has happened."""
        self.check_loop()
        for tracked in self.roster.sessions.values():
            if tracked.busy:
                assert not self.executor.jobs.idle(), f"{tracked.name} is busy and nothing is under way"
                continue
            worker = self.workers.worker_of(tracked.name)
            assert (worker.worker_id if worker else None) == tracked.worker_id, tracked
            assert (tracked.running is None) == (tracked.worker_id is None), tracked
            assert tracked.leaving is None, tracked
            assert tracked.worker_id is None or tracked.state is not State.RETIRED, tracked
        shown = repr([self.roster.sessions, [t.info(self.now()) for t in self.roster.sessions.values()]])
        self.ledger.check(shown)

    # -- people ------------------------------------------------------------------------------------------------------

    def declare(self, *specs: SessionSpec, masked: str = "", **fleet: Any) -> Declaration:
        """Put a file into force; ``masked`` is its text as the journal keeps it."""
        sessions = {spec.name: spec for spec in specs}
        text = repr([(s, s.phone and s.phone.reveal(), s.proxy and s.proxy.reveal()) for s in specs])
        sha = sha256((text + repr(sorted(fleet.items()))).encode()).hexdigest()
        self.declaration = Declaration(
            "/x/sessions.toml", sha, masked, FleetSpec(str(self.layout.root), **fleet), sessions
        )
        self.run(self.reconciler.accept(self.declaration))
        return self.declaration

    def paired(self, *names: str, **fleet: Any) -> None:
        """Declare sessions and have each linked and connected."""
        self.declare(*(SessionSpec(name) for name in names), **{"pacing": Pacing(pairings=26), **fleet})
        self.advance(1)
        for name in names:
            if self.workers.client(name) is not None and self.state(name) is State.PAIRING:
                assert self.workers.scan(name, NUMBERS[name])
        self.advance(2)
        assert {self.state(name) for name in names} == {State.CONNECTED}

    def tracked(self, name: str) -> Tracked:
        return self.roster.sessions[name]

    def state(self, name: str) -> State:
        return self.tracked(name).state

    def info(self, name: str) -> SessionInfo:
        return self.tracked(name).info(self.now())

    def launches(self, name: str) -> list[SessionStart]:
        return [start for launch in self.workers.launches for start in launch.sessions if start.name == name]

    # -- ends --------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the daemon in order, as the runtime does."""
        self.reconciler.halt()
        self.run(self._end_workers())
        self.run(self.executor.jobs.drain())
        self.run(self.main)
        self.keeping_up.cancel()
        self.roster.log("daemon_stop", reason="the daemon ends in order")

    async def _end_workers(self) -> None:
        for worker_id in list(self.workers.live):
            self.workers.end(worker_id, asked=True, cause="the daemon is ending")

    def kill(self) -> None:
        """kill -9: what was under way is cut off, workers die with their parent, memory is gone."""
        self.workers.on_report = self.workers.on_dial = lambda _told: None
        for worker_id in list(self.workers.live):
            self.workers.end(worker_id, asked=False, cause="", tell=False)
        self.loop.cancel_everything()

    def restart(self, *, kill: bool = False) -> None:
        """A new daemon on the same state directory."""
        asked = self.workers.asked
        if kill:
            self.kill()
        else:
            self.stop()
        for worker_id in list(self.workers.live):  # a launch that was under way when the daemon ended
            self.workers.end(worker_id, asked=True, cause="", tell=False)
        self._boot()
        self.workers.asked = asked

    def close(self) -> None:
        self.kill()
        self.loop.close()
