"""A fleet in memory that behaves as the port says: for the tests of the control room and the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from wakit.control.schemas import (
    ActionInfo,
    BackupInfo,
    BackupList,
    BackupTaken,
    Counters,
    DaemonChanged,
    DaemonInfo,
    DeclarationInfo,
    EventInfo,
    EventLogged,
    Hello,
    JournalInfo,
    LiveFrame,
    PairingFrame,
    PairingShown,
    PairRequest,
    PingInfo,
    PlanInfo,
    PlanRequest,
    SessionChanged,
    SessionInfo,
    StatusInfo,
    UpgradeInfo,
)
from wakit.errors import QueryError, UnknownSessionError, WakitError

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAYLOAD = "https://wa.me/settings/linked_devices#2@" + "Ab3+" * 30 + ",x,y,z,1"
BACKUP = BackupInfo(id="20260102T030405000000Z-1f0c9a77", created_at=T0, why="manual", size=163_840)
RECENT = pa.schema(
    {"seq": pa.int64(), "at": pa.int64(), "session": pa.string(), "was": pa.string(), "state": pa.string(),
     "run_id": pa.string()}
)  # fmt: skip
STATUS = {"connected": "connected", "failed": "failed", "reconnecting": "disconnected", "parked": "disconnected"}


def session(name: str, state: str = "connected", **more: Any) -> SessionInfo:
    given = {"status": STATUS.get(state, "pending"), "since": T0, "paired": state == "connected"} | more
    return SessionInfo(name=name, state=state, **given)


class FakeFleet:
    def __init__(self, *sessions: SessionInfo, state_dir: str = "/srv/fleet/.wakit", socket: str = "") -> None:
        self.sessions = {s.name: s for s in sessions}
        self.shown: dict[str, PairingShown] = {}
        self.events: list[EventInfo] = []
        self.orders: list[tuple[str, Any]] = []
        self.refusal: BaseException | None = None
        self.planned: list[ActionInfo] = []
        self.held: dict[str, str] = {}
        self.waiting: dict[str, str] = {}
        self.hints: dict[str, str] = {}
        self.stopped = asyncio.Event()
        self.readers: set[asyncio.Queue[LiveFrame]] = set()
        self.reader_came = asyncio.Condition()
        self.on_pair: Any = None
        self.kept: list[BackupInfo] = []
        self.recent: list[dict[str, Any]] = []  # what the journal says of the last hour, as the board asks for it
        self.recalled = 0  # how often it did
        self.upgrades: list[UpgradeInfo | None] = []  # what is told of an upgrade, one after the other, once asked for
        self.replacing = False
        self.openings = 0
        declaration = DeclarationInfo(path="/srv/fleet/sessions.toml", rev=3, sha256="ab" * 32, git_commit="c0ffee" * 6)
        self.daemon = DaemonInfo(
            pid=4242, run_id="run-1", version="0.1.0", started_at=T0, state_dir=state_dir, socket=socket,
            declaration=declaration,
        )  # fmt: skip

    # What the tests do to it.

    def change(self, name: str, state: str, **more: Any) -> None:
        self.sessions[name] = session(name, state, **more)
        self.tell(SessionChanged(session=self.sessions[name]))

    def change_daemon(self, **more: Any) -> None:
        self.daemon = self.daemon.model_copy(update=more)
        self.tell(DaemonChanged(daemon=self.daemon))

    def log(self, kind: str = "state", **more: Any) -> EventInfo:
        event = EventInfo(seq=len(self.events) + 1, ts=T0 + timedelta(seconds=len(self.events)), kind=kind, **more)
        self.events.append(event)
        self.tell(EventLogged(event=event))
        return event

    def show(self, name: str, *, payload: str | None = PAYLOAD, code: str | None = None, seconds: float = 60) -> None:
        shown = PairingShown(
            session=name,
            event="qr" if payload else "code",
            payload=payload,
            code=code,
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
        )
        self.shown[name] = shown
        self.tell(PairingFrame(session=name, shown=shown))

    def unshow(self, name: str) -> None:
        self.shown.pop(name, None)
        self.tell(PairingFrame(session=name, shown=None))

    def tell(self, frame: LiveFrame) -> None:
        for queue in self.readers:
            queue.put_nowait(frame)

    async def readers_are(self, count: int) -> None:
        async with asyncio.timeout(10), self.reader_came:
            await self.reader_came.wait_for(lambda: len(self.readers) == count)

    # The port.

    def status(self) -> StatusInfo:
        self._maybe_refuse()
        if self.replacing and self.upgrades:
            self.daemon = self.daemon.model_copy(update={"upgrade": self.upgrades.pop(0)})
        return StatusInfo(daemon=self.daemon, sessions=list(self.sessions.values()))

    def session(self, name: str) -> SessionInfo:
        self._maybe_refuse()
        if name not in self.sessions:
            raise UnknownSessionError(f"No session is called {name}", hint="`wakit status` lists them")
        return self.sessions[name]

    def pairing(self, name: str) -> PairingShown | None:
        return self.shown.get(name)

    def plan(self) -> PlanInfo:
        return PlanInfo(
            actions=self.planned,
            waiting=self.waiting,
            held=self.held,
            hints=self.hints,
            declaration=self.daemon.declaration,
        )

    async def plan_of(self, request: PlanRequest) -> PlanInfo:
        self.orders.append(("plan_of", request.path, request.text, request.dotenv))
        draft = DeclarationInfo(path=request.path)
        return self.plan().model_copy(update={"declaration": draft})

    async def apply(self, *, confirm: bool) -> PlanInfo:
        self.orders.append(("apply", confirm))
        return self.plan()

    async def pair(self, name: str, request: PairRequest) -> SessionInfo:
        found = self.session(name)
        self.orders.append(("pair", (name, request)))
        if self.on_pair is not None:
            self.on_pair(name, request)
        return found

    async def restart(self, name: str, *, take_over: bool = False) -> SessionInfo:
        return await self._order("take over" if take_over else "restart", name)

    async def park(self, name: str) -> SessionInfo:
        return await self._order("park", name)

    async def resume(self, name: str) -> SessionInfo:
        return await self._order("resume", name)

    async def ping(self, name: str) -> PingInfo:
        self.session(name)
        return PingInfo(session=name, alive=True, seconds=0.02)

    async def backups(self, name: str) -> BackupList:
        self.session(name)
        return BackupList(session=name, backups=self.kept)

    async def backup(self, name: str) -> BackupTaken:
        await self._order("backup", name)
        return BackupTaken(session=name, new=not self.kept, backup=BACKUP)

    async def restore(self, name: str, backup: str | None) -> SessionInfo:
        found = self.session(name)
        self.orders.append(("restore", (name, backup)))
        return found

    async def replace(self) -> DaemonInfo:
        self._maybe_refuse()
        self.orders.append(("replace", None))
        self.replacing = True
        return self.status().daemon

    async def shutdown(self) -> None:
        self.orders.append(("shutdown", None))
        self.stopped.set()

    async def sql(self, query: str, params: Sequence[Any] | None, *, seconds: float, max_rows: int) -> bytes:
        """Speaks just enough SQL: one query that returns the events, everything else is an error."""
        if "epoch_ms(ts)" in query:  # the board asks for the last hour; nobody ordered that
            self.recalled += 1
            return arrow(pa.Table.from_pylist(self.recent, schema=RECENT))
        self.orders.append(("sql", (query, params, seconds, max_rows)))
        self._maybe_refuse()
        if "from events" not in query.lower():
            raise QueryError("The query was refused", why="only SELECT is allowed", hint="begin with SELECT")
        if "count(*)" in query:
            return arrow(pa.table({"n": [len(self.events)]}))
        rows = [event.model_dump() | {"detail": None} for event in self.events]
        table = pa.Table.from_pylist(rows) if rows else pa.table({"seq": pa.array([], pa.int64())})
        return arrow(table)

    def journal(self, since: int) -> JournalInfo:
        """Has always just been opened, so that a copy asks by SQL."""
        self._maybe_refuse()
        self.openings += 1
        events = [event for event in self.events if event.seq > since]
        return JournalInfo(opening=str(self.openings), seq=len(self.events), rev=3, pulses={}, events=events)

    def counters(self) -> Counters:
        return Counters(events_logged=len(self.events), journal_queue=2)

    def logs(self, name: str, lines: int) -> list[str]:
        self.session(name)
        return [f'{{"n": {n}}}' for n in range(lines)][-3:]

    async def live(self, *, pairing: str | None = None, since: int | None = None) -> AsyncIterator[LiveFrame]:
        queue: asyncio.Queue[LiveFrame] = asyncio.Queue()
        self.readers.add(queue)
        await self._notify()
        try:
            yield Hello(seq=len(self.events), daemon=self.daemon, sessions=list(self.sessions.values()))
            for event in list(self.events) if since is not None else ():
                if event.seq > (since or 0):
                    yield EventLogged(event=event)
            if pairing is not None and pairing in self.shown:
                yield PairingFrame(session=pairing, shown=self.shown[pairing])
            while True:
                frame = await queue.get()
                if not isinstance(frame, PairingFrame) or frame.session == pairing:
                    yield frame
                if isinstance(self.refusal, WakitError):
                    raise self.refusal
        finally:
            self.readers.discard(queue)
            await self._notify()

    async def _notify(self) -> None:
        async with self.reader_came:
            self.reader_came.notify_all()

    async def _order(self, verb: str, name: str) -> SessionInfo:
        found = self.session(name)
        self.orders.append((verb, name))
        return found

    def _maybe_refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal


def arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
