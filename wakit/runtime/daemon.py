"""The daemon: every room opened in the order in which it is needed, and closed in the opposite one.

The order matters. The lock comes first, so that a second daemon changes nothing before it leaves. The journal opens
before anything can happen that belongs into it, and closes after the last worker is gone. The socket is served once the
sessions are known, so that nobody sees an empty fleet.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from filelock import FileLock, Timeout

from wakit import __version__, coredumps
from wakit.control.address import (
    DaemonRecord,
    SocketAddress,
    process_started,
    read_record,
    remove_record,
    socket_address,
    write_record,
)
from wakit.control.refusals import trace
from wakit.control.schemas import DaemonInfo
from wakit.control.server import create_app, serve_unix
from wakit.core.declaration import Declaration
from wakit.core.release import Release
from wakit.declare import load, read_source
from wakit.declare.following import Broken, Loaded
from wakit.declare.watching import Watcher
from wakit.errors import HeldError, WakitError
from wakit.journal import Journal
from wakit.reconciler import Reconciler
from wakit.reconciler.desk import Desk
from wakit.reconciler.feed import Feed
from wakit.reconciler.logbook import Logbook
from wakit.reconciler.ports import Ports
from wakit.reconciler.roster import Roster
from wakit.reconciler.telling import DaemonFacts
from wakit.reconciler.upkeep import Upkeep
from wakit.runtime.bookkeeping import JournalLedger
from wakit.runtime.ending import Ending, wind_down
from wakit.runtime.pace import Outside, Pace
from wakit.runtime.place import Place
from wakit.runtime.rehearsal import Phones, rehearsed
from wakit.runtime.release import installed_release
from wakit.runtime.staffing import Staff
from wakit.sim.endpoint import running_sim
from wakit.vault import Registry, Vault, open_accounts
from wakit.vault.layout import Layout, open_layout
from wakit.vault.privacy import mend
from wakit.whatsapp.port import Dial, SessionReport, WorkerReport
from wakit.worker.bounds import Limits
from wakit.worker.host import WorkerHost

_PRUNE_EVERY: Final = 24 * 3600.0
_WELL_AGAIN: Final = 60.0  # seconds a part must have run for its next failure to be a first one again
_LONGEST_PAUSE: Final = 60.0
_TRIES: Final = 20
_SETTLE: Final = 0.05  # seconds between two reads of the file that have to agree
_log = logging.getLogger("wakit.daemon")
_FIXED: Final = ("state_dir", "strategy", "endpoint", "health")
Adapt: TypeAlias = Callable[[Declaration], Declaration]


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """How a daemon is run.

    Attributes:
        on_ready: Called once with the desk, when the control socket answers.
        on_change: Called with the name of each session that changed.
        ending: Told how far its end is.
    """

    on_ready: Callable[[Desk], None] = lambda _desk: None
    on_change: Callable[[str], None] = lambda _name: None
    ending: Ending = field(default_factory=Ending)


def _now() -> datetime:
    return datetime.now(UTC)


def _asleep() -> float:
    """Return how long the machine has slept since it was started, where the system counts that."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


async def serve(place: Place, *, stop: asyncio.Event, options: DaemonOptions | None = None) -> None:
    """Run the daemon of a place until ``stop`` is set; everything it started is gone when this returns.

    Raises:
        HeldError: Another daemon serves this state directory; the message names it.
        DeclarationError: The file is no declaration, and no daemon runs that would have an earlier one.
        StateDirectoryError: The state directory cannot be used safely.
        JournalError: The journal cannot be opened.
    """
    chosen = options or DaemonOptions()
    _keep_private()
    declaration = await _settled(place.config)
    layout = open_layout(place.state_dir)
    with _only_one(layout):
        async with AsyncExitStack() as stack:
            journal = Journal.open(layout.journal)
            stack.push_async_callback(journal.close)
            if place.sim:
                sim = await stack.enter_async_context(running_sim(place.state_dir / "whatsapp"))
                endpoint = await sim.endpoint()
                adapt: Adapt = lambda found: rehearsed(found, endpoint, place.state_dir)  # noqa: E731
            else:
                sim, adapt = None, _fixing(declaration)
            release = await asyncio.to_thread(installed_release)
            daemon = _join(
                place, layout, journal, declaration=adapt(declaration), release=release, stop=stop, options=chosen
            )
            if sim is not None and not place.phones_by_hand:
                phones = Phones(daemon.roster, sim)
                stack.push_async_callback(phones.close)
                daemon.watchers.append(phones.look)
            await _run(daemon, place, _Following(adapt, declaration), stop=stop, options=chosen)
    chosen.ending.closed()


def _keep_private() -> None:
    """Make every file of this process its owner's only, and no core dump of a process that holds codes and numbers."""
    os.umask(0o077)  # DuckDB makes its write-ahead log under the process's umask
    coredumps.forbid()


async def _settled(config: Path) -> Declaration:
    """Load the file once two reads agree: `wakit up` may be typed while an editor is still writing."""
    before = read_source(config)
    for _ in range(_TRIES):
        await asyncio.sleep(_SETTLE)
        now = read_source(config)
        if now == before:
            break
        before = now
    return load(config)


def _only_one(layout: Layout) -> AbstractContextManager[object]:
    """Hold the daemon's lock, or say who holds it."""
    try:
        return FileLock(layout.daemon_lock, mode=0o600).acquire(blocking=False)
    except Timeout:
        record = read_record(layout.root)
        who = "another process"
        if record is not None and record.alive:
            who = f"the daemon with pid {record.pid}, since {record.started_at:%Y-%m-%d %H:%M:%S} UTC,"
        raise HeldError(
            f"The state directory {layout.root} is in use",
            why=f"{who} holds it",
            hint="look with `wakit status`, or end it with `wakit down`",
        ) from None


def _fixing(first: Declaration) -> Adapt:
    """Return what keeps the keys that a running daemon cannot change, and says so."""

    def adapt(found: Declaration) -> Declaration:
        kept = {key: getattr(first.fleet, key) for key in _FIXED}
        changed = [key for key in _FIXED if getattr(found.fleet, key) != kept[key]]
        if not changed:
            return found
        told = f"{', '.join(changed)}: changed in the file; takes effect when the daemon is started anew"
        return replace(found, fleet=replace(found.fleet, **kept), warnings=(*found.warnings, told))

    return adapt


@dataclass(frozen=True, slots=True)
class _Following:
    """The file's first declaration, and what becomes of each before it is put into force."""

    adapt: Adapt
    first: Declaration


@dataclass(slots=True)
class _Daemon:
    """The joined rooms."""

    roster: Roster
    reconciler: Reconciler
    feed: Feed
    desk: Desk
    host: WorkerHost
    journal: Journal
    ledger: JournalLedger
    address: SocketAddress
    upkeep: Upkeep
    watchers: list[Callable[[str], None]]


def _join(
    place: Place,
    layout: Layout,
    journal: Journal,
    *,
    declaration: Declaration,
    release: Release,
    stop: asyncio.Event,
    options: DaemonOptions,
) -> _Daemon:
    """Join the rooms; nothing runs yet."""
    fleet, run_id = declaration.fleet, uuid.uuid4().hex[:12]
    logbook = Logbook(layout.logs, _now)
    chance = random.SystemRandom()
    pace = Pace(
        Outside(
            rate=lambda: _in_force(roster, declaration).fleet.pacing.dials_per_second,
            place=lambda name: roster.standing(name),  # noqa: PLW0108
            clock=time.monotonic,
            chance=chance.random,
            waits=lambda name, waits: roster.queue(name, waits),  # noqa: PLW0108
        )
    )

    def heard(report: WorkerReport) -> None:
        pace.forget((report.session,) if isinstance(report, SessionReport) else report.sessions)
        reconciler.take(report)

    def dialled(dial: Dial) -> None:
        pace.dialled(dial.session)
        roster.dialled(dial)

    # The lambdas reach what is made further down: the rooms know each other only through them.
    host = WorkerHost(
        on_report=heard,
        permit=pace.permit,
        on_dial=dialled,
        on_unused=pace.unused,
        on_log=lambda source, line: logbook.write(source, line, worker=source not in roster.sessions),
        on_beat=lambda beat: reconciler.watch.beat(beat),  # noqa: PLW0108
        limits=Limits(silent_after=fleet.health.stale_after),
    )
    ledger = JournalLedger(journal)
    registry = Registry(open_accounts(layout.root), fleet.endpoint, _now)
    ports = Ports(
        vault=Vault(
            layout,
            fleet.strategy,
            _now,
            registry,
            policy=lambda: _in_force(roster, declaration).fleet.vault,
        ),
        workers=Staff(host, pace),
        ledger=ledger,
        now=_now,
        chance=chance.random,
        new_id=lambda: uuid.uuid4().hex[:12],
        release=lambda: upkeep.installed,
        asleep=_asleep,
    )
    watchers: list[Callable[[str], None]] = [options.on_change]

    def changed(name: str) -> None:
        feed.session(name)
        for watcher in watchers:
            try:
                watcher(name)
            except Exception as error:  # noqa: BLE001 - a terminal that went away must not touch a session
                _log.error("whoever watches failed\n%s", trace(error))

    roster = Roster(ports, run_id, changed)
    reconciler = Reconciler(roster, on_convergence=lambda: feed.daemon())  # noqa: PLW0108
    upkeep = Upkeep(
        reconciler,
        began=release,
        look=partial(asyncio.to_thread, installed_release),
        changed=lambda: feed.daemon(),  # noqa: PLW0108
    )
    address = socket_address(layout.root)
    facts = DaemonFacts(
        pid=os.getpid(),
        run_id=run_id,
        version=__version__,
        started_at=_now(),
        config=str(place.config),
        state_dir=str(layout.root),
        socket=str(address.path),
        sim=place.sim,
    )
    feed = Feed(lambda: desk.daemon(), lambda name: desk.find(name), lambda name: desk.pairing(name))  # noqa: PLW0108
    desk = Desk(reconciler, feed, facts, shutdown=stop.set, read_log=logbook.tail)
    desk.upkeep, desk.waits_for = upkeep, lambda: options.ending.waits_for
    return _Daemon(roster, reconciler, feed, desk, host, journal, ledger, address, upkeep, watchers)


def _in_force(roster: Roster, first: Declaration) -> Declaration:
    return roster.in_force.declaration if roster.in_force else first


async def _run(
    daemon: _Daemon, place: Place, following: _Following, *, stop: asyncio.Event, options: DaemonOptions
) -> None:
    """Serve until asked to stop, then end in order."""
    reconciler, facts = daemon.reconciler, daemon.desk.daemon()
    daemon.roster.log("daemon_start", reason="the daemon starts", detail={"version": __version__, "pid": facts.pid})
    for said in await asyncio.to_thread(mend, place.state_dir):
        daemon.roster.log("warning", reason=f"{said}; mended", code="permissions")
    registry = daemon.roster.ports.vault.registry
    for note in filter(None, (daemon.address.note, registry.note if registry else "")):
        daemon.roster.log("warning", reason=note)
    await reconciler.recall()
    await reconciler.accept(following.adapt(following.first))
    tasks: list[asyncio.Task[None]] = []
    try:
        async with serve_unix(create_app(daemon.desk), daemon.address.path):
            write_record(place.state_dir, _record(facts))
            tasks = [
                asyncio.create_task(_keep_up(daemon, "the reconciler", reconciler.run)),
                asyncio.create_task(_keep_up(daemon, "the live feed", partial(_pump, daemon))),
                asyncio.create_task(
                    _keep_up(daemon, "the watch on the file", partial(_follow, daemon, place, following))
                ),
                asyncio.create_task(_keep_up(daemon, "the journal's pruning", partial(_prune, daemon))),
                asyncio.create_task(_keep_up(daemon, "the watch on the clocks", reconciler.clockwork.run)),
                asyncio.create_task(_keep_up(daemon, "the backups", reconciler.executor.keeper.run)),
                asyncio.create_task(_keep_up(daemon, "the watch on health", reconciler.watch.run)),
                asyncio.create_task(_keep_up(daemon, "the look at the phones", reconciler.handsets.run)),
                asyncio.create_task(_keep_up(daemon, "the upkeep", daemon.upkeep.run)),
            ]
            try:
                options.on_ready(daemon.desk)
                await stop.wait()
            finally:
                daemon.feed.close()
                # While it is served, so that whoever waits for the end is told what it waits for.
                await wind_down(reconciler, daemon.host, options.ending)
    finally:
        remove_record(place.state_dir, facts.run_id)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        daemon.roster.log("daemon_stop", reason="the daemon ends in order")


async def _keep_up(daemon: _Daemon, what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run a part of the daemon; start it again when it fails.

    One part that fails must not end hundreds of sessions. Every part is level-based, so it can begin anew: the loop
    looks at the whole again, the watch reads the file again, the feed tells a gap.
    """
    failures = 0
    while True:
        began = time.monotonic()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told, and the others go on
            failures = 1 if time.monotonic() - began > _WELL_AGAIN else failures + 1
            pause = min(_LONGEST_PAUSE, 0.1 * 2.0 ** min(failures, 20))
            told = f"{what} failed ({type(error).__name__}) and is started again in {pause:.1f} s"
            _log.error("%s\n%s", told, trace(error))
            with suppress(WakitError):
                daemon.roster.log("warning", reason=told)
            await asyncio.sleep(pause)
        else:
            return


async def _pump(daemon: _Daemon) -> None:
    """Bring durable events to the live feed."""
    async for item in daemon.ledger.events():
        if isinstance(item, tuple):
            daemon.feed.gap(*item)
        else:
            daemon.feed.event(item)
    await asyncio.Event().wait()  # the journal was closed; the daemon is about to end


async def _follow(daemon: _Daemon, place: Place, following: _Following) -> None:
    """Bring every change of the file to the reconciler."""
    async with Watcher(place.config, known=following.first) as changes:
        async for change in changes:
            match change:
                case Loaded():
                    await daemon.reconciler.accept(following.adapt(change.declaration))
                case Broken():
                    daemon.reconciler.refuse(change.error)
                case _:
                    assert_never(change)
            daemon.feed.daemon()


async def _prune(daemon: _Daemon) -> None:
    """Forget events older than declared, once a day."""
    while True:
        force = daemon.roster.in_force
        if force is not None:
            await daemon.journal.prune(_now() - timedelta(days=force.declaration.fleet.journal.keep_days))
        await asyncio.sleep(_PRUNE_EVERY)


def _record(facts: DaemonInfo) -> DaemonRecord:
    return DaemonRecord(
        pid=facts.pid,
        process_started=process_started(facts.pid),
        run_id=facts.run_id,
        started_at=facts.started_at,
        version=facts.version,
        sim=facts.sim,
        socket=facts.socket,
    )
