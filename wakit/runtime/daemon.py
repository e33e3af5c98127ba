"""The daemon: every room joined to the others, opened in the order in which it is needed, closed in the opposite one.

The order matters. The lock is held already (:mod:`wakit.runtime.serving`). The journal opens before anything can
happen that belongs into it, and closes after the last worker is gone. The socket is served once the sessions are known,
so that nobody sees an empty fleet.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Final, assert_never

from wakit import __version__
from wakit.control.address import (
    DaemonRecord,
    SocketAddress,
    process_started,
    remove_record,
    socket_address,
    write_record,
)
from wakit.control.refusals import trace
from wakit.control.schemas import DaemonInfo
from wakit.core.declaration import Declaration
from wakit.core.release import Release
from wakit.declare.following import Broken, Loaded
from wakit.declare.watching import Watcher
from wakit.errors import WakitError
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
from wakit.runtime.ending import wind_down
from wakit.runtime.pace import Outside, Pace
from wakit.runtime.release import Installed
from wakit.runtime.serving import Opened
from wakit.runtime.staffing import Staff
from wakit.vault import Registry, Vault, open_accounts
from wakit.vault.privacy import mend
from wakit.whatsapp.port import Dial, SessionReport, WorkerReport
from wakit.worker.bounds import Limits
from wakit.worker.host import WorkerHost

_SESSIONS_FIRST: Final = 1.5  # seconds that the control socket waits for sessions that are starting
_PRUNE_EVERY: Final = 24 * 3600.0
_WELL_AGAIN: Final = 60.0  # seconds a part must have run for its next failure to be a first one again
_LONGEST_PAUSE: Final = 60.0
_log = logging.getLogger("wakit.daemon")


def _now() -> datetime:
    return datetime.now(UTC)


def _asleep() -> float:
    """Return how long the machine has slept since it was started, where the system counts that."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


async def run(opened: Opened) -> None:
    """Run a daemon until it is asked to end; everything it started is gone when this returns.

    Raises:
        JournalError: The journal cannot be opened.
        StateDirectoryError: The vault cannot be opened.
    """
    async with AsyncExitStack() as stack:
        installed = Installed()
        release = asyncio.create_task(asyncio.to_thread(installed.look))
        journal = await asyncio.shield(opened.journal)  # the thread that opens it cannot be called back
        daemon = _join(opened, journal, installed, await release)
        if opened.sim is not None and not opened.place.phones_by_hand:
            from wakit.runtime.rehearsal import Phones  # noqa: PLC0415 - the simulator only where one is asked for

            phones = Phones(daemon.roster, opened.sim)
            stack.push_async_callback(phones.close)
            daemon.watchers.append(phones.look)
        await _run(daemon, opened)


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


def _join(opened: Opened, journal: Journal, installed: Installed, release: Release) -> _Daemon:
    """Join the rooms; nothing runs yet."""
    place, layout, options = opened.place, opened.layout, opened.options
    declaration, run_id = opened.adapt(opened.first), uuid.uuid4().hex[:12]
    fleet = declaration.fleet
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
        placer=opened.placer,
        limits=Limits(silent_after=fleet.health.stale_after),
    )
    ledger = JournalLedger(journal)
    registry = Registry(open_accounts(layout.root, loopback=fleet.endpoint is not None), fleet.endpoint, _now)
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

    roster = Roster(ports, run_id, changed, seen=lambda name: feed.session(name))  # noqa: PLW0108

    def converged() -> None:
        host.dismiss()  # everybody has the worker they wanted
        feed.daemon()

    reconciler = Reconciler(roster, on_convergence=converged)
    upkeep = Upkeep(
        reconciler,
        began=release,
        look=partial(asyncio.to_thread, installed.look),
        changed=lambda: feed.daemon(),  # noqa: PLW0108
        renewed=host.renew,
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
    desk = Desk(reconciler, feed, facts, shutdown=opened.stop.set, read_log=logbook.tail, adapt=opened.adapt)
    desk.upkeep, desk.waits_for = upkeep, lambda: options.ending.waits_for
    return _Daemon(roster, reconciler, feed, desk, host, journal, ledger, address, upkeep, watchers)


def _in_force(roster: Roster, first: Declaration) -> Declaration:
    return roster.in_force.declaration if roster.in_force else first


async def _run(daemon: _Daemon, opened: Opened) -> None:
    """Serve until asked to stop, then end in order."""
    place, options = opened.place, opened.options
    reconciler, facts = daemon.reconciler, daemon.desk.daemon()
    daemon.roster.log("daemon_start", reason="the daemon starts", detail={"version": __version__, "pid": facts.pid})
    for said in await asyncio.to_thread(mend, place.state_dir):
        daemon.roster.log("warning", reason=f"{said}; mended", code="permissions")
    registry = daemon.roster.ports.vault.registry
    for note in filter(None, (daemon.address.note, registry.note if registry else "")):
        daemon.roster.log("warning", reason=note)
    await reconciler.recall()
    await reconciler.accept(opened.adapt(opened.first))
    tasks = [
        asyncio.create_task(_keep_up(daemon, "the reconciler", reconciler.run)),
        asyncio.create_task(_keep_up(daemon, "the live feed", partial(_pump, daemon))),
        asyncio.create_task(_keep_up(daemon, "the watch on the file", partial(_follow, daemon, opened))),
        asyncio.create_task(_keep_up(daemon, "the journal's pruning", partial(_prune, daemon))),
        asyncio.create_task(_keep_up(daemon, "the watch on the clocks", reconciler.clockwork.run)),
        asyncio.create_task(_keep_up(daemon, "the backups", reconciler.executor.keeper.run)),
        asyncio.create_task(_keep_up(daemon, "the watch on health", reconciler.watch.run)),
        asyncio.create_task(_keep_up(daemon, "the look at the phones", reconciler.handsets.run)),
        asyncio.create_task(_keep_up(daemon, "the upkeep", daemon.upkeep.run)),
    ]
    try:
        async with AsyncExitStack() as served:
            try:
                # The sessions first: to load the web server takes as long as to have a hundred of them log in.
                await reconciler.started(_SESSIONS_FIRST)
                server = await asyncio.to_thread(import_module, "wakit.control.server")
                await served.enter_async_context(server.serve_unix(server.create_app(daemon.desk), daemon.address.path))
                write_record(place.state_dir, _record(facts))
                options.on_ready(daemon.desk)
                gc.enable()  # it had nothing to find while all of this was loaded
                await opened.stop.wait()
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


async def _follow(daemon: _Daemon, opened: Opened) -> None:
    """Bring every change of the file to the reconciler."""
    async with Watcher(opened.place.config, known=opened.first) as changes:
        async for change in changes:
            match change:
                case Loaded():
                    await daemon.reconciler.accept(opened.adapt(change.declaration))
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
