"""Links many sessions in shared workers, before a daemon knows of them.

A daemon gives each session that pairs a worker of its own, which is right and slow: hundreds cost minutes. A credential
that lies in its folder without a note is what a crash between a link and its note leaves, and a daemon adopts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wakit.core.declaration import Endpoint, Pairing
from wakit.redact import PhoneNumber
from wakit.sim.client import SimClient
from wakit.sim.endpoint import SimEndpoint
from wakit.vault.layout import open_layout, private_folder
from wakit.whatsapp.port import (
    Connected,
    QrShown,
    SessionReport,
    SessionStart,
    WorkerExited,
    WorkerLaunch,
    WorkerReport,
)
from wakit.worker.host import WorkerHost

_AT_ONCE = 25  # a QR lasts a minute, and they are scanned one after the other
_PATIENCE = 300.0


@dataclass(frozen=True)
class Unlinked:
    """A session that is to be linked.

    Attributes:
        name: Of the session.
        number: The phone that scans.
        folder: Where its credential is to lie; made 0700 if it is missing, its parent exists.
    """

    name: str
    number: str
    folder: Path


def link(whatsapp: SimEndpoint, sessions: Sequence[Unlinked]) -> None:
    """Link sessions with phones of a sim, some at a time; no client runs afterwards.

    Raises:
        RuntimeError: A worker ended by itself, with its cause.
    """
    asyncio.run(link_on(whatsapp, sessions))


def link_fleet(whatsapp: SimEndpoint, state: Path, numbers: Mapping[str, str]) -> None:
    """Link the sessions of a state directory that no daemon has been started on, by name their phones' numbers."""
    layout = open_layout(state)
    folders = {name: layout.session(name, "shared") for name in numbers}
    for folder in folders.values():
        private_folder(folder.parent)
    link(whatsapp, [Unlinked(name, number, folders[name]) for name, number in numbers.items()])


async def link_on(whatsapp: SimEndpoint, sessions: Sequence[Unlinked]) -> None:
    """Do the same on a loop that runs."""
    async with SimClient(whatsapp.admin) as sim:
        for start in range(0, len(sessions), _AT_ONCE):
            await _link_some(whatsapp, sim, sessions[start : start + _AT_ONCE])


async def _link_some(whatsapp: SimEndpoint, sim: SimClient, sessions: Sequence[Unlinked]) -> None:
    reports: asyncio.Queue[WorkerReport] = asyncio.Queue()

    async def unpaced(_session: str) -> None:
        return

    host = WorkerHost(on_report=reports.put_nowait, permit=unpaced, on_log=lambda _source, _line: None)
    endpoint = Endpoint(whatsapp.proxy, str(whatsapp.ca_file), whatsapp.noise_root_key)
    orders = tuple(map(_order, sessions))
    left, scanned = {each.name: each for each in sessions}, set[str]()
    await host.launch(WorkerLaunch(worker_id="linking", sessions=orders, endpoint=endpoint))
    try:
        async with asyncio.timeout(_PATIENCE):
            while left:
                match await reports.get():
                    case SessionReport(session=name, event=QrShown(payload=payload)) if name not in scanned:
                        scanned.add(name)
                        await sim.scan(PhoneNumber(left[name].number), payload.reveal())
                    case SessionReport(session=name, event=Connected()):
                        del left[name]
                    case WorkerExited(cause=cause):
                        raise RuntimeError(cause)
                    case _:
                        pass
    finally:
        await host.close(grace=5)


def _order(session: Unlinked) -> SessionStart:
    session.folder.mkdir(mode=0o700, exist_ok=True)
    return SessionStart(name=session.name, directory=str(session.folder), epoch=1, pairing=Pairing.QR)
