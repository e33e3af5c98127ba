"""A large fleet that is linked already, without a worker for each: all pair in one, and the daemon adopts them."""

from __future__ import annotations

import asyncio

from harness import Fleet
from support.whatsapp import LoopbackWhatsApp, fresh_number

from wakit.core.declaration import Endpoint, Pairing
from wakit.sim.client import SimClient
from wakit.whatsapp.port import Connected, QrShown, SessionReport, SessionStart, WorkerLaunch, WorkerReport
from wakit.worker.host import WorkerHost


def link_all(fleet: Fleet, whatsapp: LoopbackWhatsApp, names: list[str]) -> dict[str, str]:
    """Link every session with a phone of its own; no daemon runs meanwhile. Returns the numbers."""
    numbers = {name: fresh_number() for name in names}
    asyncio.run(_Linking(fleet, whatsapp, numbers).run())
    return numbers


class _Linking:
    def __init__(self, fleet: Fleet, whatsapp: LoopbackWhatsApp, numbers: dict[str, str]) -> None:
        self.fleet, self.whatsapp, self.numbers = fleet, whatsapp, numbers
        self.scans: set[asyncio.Task[None]] = set()
        self.scanned: set[str] = set()
        self.connected: set[str] = set()
        self.changed = asyncio.Event()

    async def run(self) -> None:
        found = self.whatsapp.endpoint
        endpoint = Endpoint(found.proxy, str(found.ca_file), found.noise_root_key)
        host = WorkerHost(on_report=self.take, permit=self.permit, on_log=lambda _source, _line: None)
        async with SimClient(found.admin) as self.sim, asyncio.timeout(60 + len(self.numbers)):
            orders = tuple(self.order(name) for name in self.numbers)
            await host.launch(WorkerLaunch(worker_id="linking", sessions=orders, endpoint=endpoint))
            while self.connected != self.numbers.keys():
                self.changed.clear()
                await self.changed.wait()
            await host.close(grace=5)

    def order(self, name: str) -> SessionStart:
        folder = self.fleet.state / "sessions" / name / "shared"
        for each in (self.fleet.state, folder.parent.parent, folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        return SessionStart(name=name, directory=str(folder), epoch=1, pairing=Pairing.QR)

    async def permit(self, _session: str) -> None:
        return

    def take(self, report: WorkerReport) -> None:
        match report:
            case SessionReport(session=name, event=QrShown(payload=payload)) if name not in self.scanned:
                self.scanned.add(name)
                self.scans.add(asyncio.create_task(self.scan(name, payload.reveal())))
            case SessionReport(session=name, event=Connected()):
                self.connected.add(name)
        self.changed.set()

    async def scan(self, name: str, payload: str) -> None:
        await self.sim.scan(self.numbers[name], payload)
