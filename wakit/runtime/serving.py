"""From ``wakit up`` to a daemon: what has to be known before anything is opened, in the order in which it is needed.

The file first, since nothing can be served without it. Then the lock, so that a second daemon changes nothing before it
leaves. Most of the time of a start is spent in loading code: the rooms of the daemon here, the WhatsApp library in each
worker. Both are begun as early as can be, side by side: the rooms in a thread, and as many workers as will be wanted at
once as processes that load their library and wait (:meth:`wakit.worker.placement.LocalPlacer.make_ready`). The journal
is opened as soon as its room is there, for that is the database's work and not the interpreter's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from filelock import FileLock, Timeout

from wakit import coredumps
from wakit.control.address import read_record
from wakit.core.declaration import Declaration
from wakit.core.placement import assign
from wakit.declare import load, read_source
from wakit.errors import HeldError, WakitError
from wakit.runtime.ending import Ending
from wakit.runtime.place import Place
from wakit.vault.folder import DATABASE
from wakit.vault.layout import Layout, open_layout
from wakit.worker.forking import ForkServer
from wakit.worker.placement import LocalPlacer

if TYPE_CHECKING:
    from wakit.journal import Journal
    from wakit.reconciler.desk import Desk
    from wakit.sim.client import SimClient

_TRIES: Final = 20
_SETTLE: Final = 0.05  # seconds between two reads of the file that have to agree
_FIXED: Final = ("state_dir", "strategy", "endpoint", "health")
_MOST_READY: Final = 2 * (os.cpu_count() or 1)  # as many as start side by side
_READY_FOR: Final = 60.0  # seconds until one that was not taken is ended, whatever the fleet is up to

Adapt: TypeAlias = Callable[[Declaration], Declaration]


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """How a daemon is run.

    Attributes:
        on_ready: Called once with the desk, when the control socket answers.
        on_change: Called with the name of each session that changed.
        ending: Told how far its end is.
        forks: What forks its workers, where that was started before.
    """

    on_ready: Callable[[Desk], None] = lambda _desk: None
    on_change: Callable[[str], None] = lambda _name: None
    ending: Ending = field(default_factory=Ending)
    forks: ForkServer | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What a daemon is made of.

    Attributes:
        place: The fleet.
        layout: Its state directory, locked for this process.
        first: The file, as it was read.
        adapt: What becomes of each declaration before it is put into force.
        placer: Where workers run.
        journal: Being opened; closed by who made it.
        sim: The loopback WhatsApp, where that is served.
        stop: Set when the daemon is to end.
        options: How it is run.
    """

    place: Place
    layout: Layout
    first: Declaration
    adapt: Adapt
    placer: LocalPlacer
    journal: asyncio.Task[Journal]
    sim: SimClient | None
    stop: asyncio.Event
    options: DaemonOptions


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
    rooms: asyncio.Task[Any] = asyncio.create_task(asyncio.to_thread(_rooms))
    declaration = await _settled(place.config)
    layout = open_layout(place.state_dir)
    placer = LocalPlacer(chosen.forks)
    with _only_one(layout):
        async with AsyncExitStack() as stack:
            stack.push_async_callback(placer.close)
            sim, adapt = None, _fixing(declaration)
            if place.sim:
                sim, adapt = await _rehearse(place, stack)
            _make_ready(placer, layout, adapt(declaration))
            stack.callback(asyncio.get_running_loop().call_later(_READY_FOR, placer.dismiss).cancel)
            journal = asyncio.create_task(asyncio.to_thread(_open_journal, layout.journal))
            stack.push_async_callback(_closed, journal)
            opened = Opened(place, layout, declaration, adapt, placer, journal, sim, stop, chosen)
            await (await rooms).run(opened)
    chosen.ending.closed()


def _rooms() -> Any:
    import_module("wakit.journal")  # first, for it can be opened while the others are loaded
    return import_module("wakit.runtime.daemon")


def _open_journal(path: Path) -> Journal:
    from wakit.journal import Journal  # noqa: PLC0415 - in a thread, beside the other rooms

    return Journal.open(path)


async def _closed(journal: asyncio.Task[Journal]) -> None:
    """Close the journal if it could be opened; if not, the daemon that waits for it is told.

    Raises:
        JournalError: Something could not be written.
    """
    try:
        opened = await journal
    except WakitError:
        return
    await opened.close()


async def _rehearse(place: Place, stack: AsyncExitStack) -> tuple[SimClient, Adapt]:
    """Run the loopback WhatsApp for as long as the stack lasts; return it, and what points a declaration to it."""
    from wakit.runtime.rehearsal import rehearsed  # noqa: PLC0415 - the simulator only where one is asked for
    from wakit.sim.endpoint import running_sim  # noqa: PLC0415

    sim = await stack.enter_async_context(running_sim(place.state_dir / "whatsapp"))
    endpoint = await sim.endpoint()
    return sim, lambda found: rehearsed(found, endpoint, place.state_dir)


def _make_ready(placer: LocalPlacer, layout: Layout, declaration: Declaration) -> None:
    """Have the workers forked that will be wanted first, for those that were linked and for some that will pair.

    An estimate, for it costs little to be wrong: too few are forked later, too many are ended.
    """
    fleet = declaration.fleet
    wanted = [session.name for session in declaration.sessions.values() if session.enabled]
    linked = [name for name in wanted if (layout.session(name, fleet.strategy) / DATABASE).exists()]
    shares = len(assign(linked, running=0, setting=fleet.sessions_per_worker)) if linked else 0
    pairing = min(len(wanted) - len(linked), fleet.pacing.pairings)
    placer.make_ready(min(shares + pairing, _MOST_READY), fleet.endpoint)


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
