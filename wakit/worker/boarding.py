"""How a session comes aboard: its credential is locked, its client made, and started by the gate on its own thread."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from wakit.errors import HeldError
from wakit.whatsapp.port import ClientEnded, CredentialBad, News, SessionStart, WorkerLaunch
from wakit.whatsapp.translation import Ear
from wakit.worker.aboard import Aboard, Client
from wakit.worker.custody import LOCK_PATIENCE, take
from wakit.worker.relay import Relay
from wakit.worker.starting import Start, StartGate

Library: TypeAlias = Callable[[SessionStart, str, Ear], Client]
"""Makes a client out of its order, the URL of its proxy and who listens to it."""


class Boarding:
    """Brings the sessions of one worker aboard.

    Args:
        library: The client class.
        aboard: Where they come to be.
        relay: Their way to WhatsApp.
        gate: Starts them.
        post: Calls in the loop, from any thread.
        tell: Tells the host ``(session, event)``.
        log: Tells the host ``(session, line)``.
    """

    def __init__(
        self,
        library: Library,
        aboard: Aboard,
        relay: Relay,
        gate: StartGate,
        *,
        post: Callable[..., None],
        tell: Callable[[str, News], None],
        log: Callable[[str, str], None],
    ) -> None:
        self._library, self._aboard, self._relay, self._gate = library, aboard, relay, gate
        self._post, self._tell, self._log = post, tell, log
        self._calls: asyncio.Queue[SessionStart | None] = asyncio.Queue()

    def call(self, order: SessionStart) -> None:
        """Start a session of a worker that was launched on call."""
        self._calls.put_nowait(order)

    def seal(self) -> None:
        """Nobody is called any more."""
        self._calls.put_nowait(None)

    async def run(self, launch: WorkerLaunch) -> None:
        """Start every session that is to start here; returns when nothing more will be started."""
        if launch.on_call:
            await self._start_called()
        else:
            await self._start_everybody(launch)
        self._aboard.started.set()

    async def _start_called(self) -> None:
        """Start each session when it is called, one after the other, until the worker is sealed.

        Commands into the library wait until then, as they wait for the last start of any worker: what they read, a
        start writes.
        """
        while (order := await self._calls.get()) is not None:
            begin = await self._board(order, time.monotonic() + LOCK_PATIENCE)
            if begin is not None:
                await self._gate.start_all([begin])

    async def _start_everybody(self, launch: WorkerLaunch) -> None:
        patience_until = time.monotonic() + LOCK_PATIENCE
        starts: list[Start] = []
        for order in launch.sessions:
            begin = await self._board(order, patience_until)
            if begin is not None:
                starts.append(begin)
        await self._gate.start_all(starts)

    async def _board(self, order: SessionStart, patience_until: float) -> Start | None:
        """Lock one session's credential and make its client; None if it cannot be had, which is told."""
        name = order.name
        start = Start(session=name, run=lambda: None, called=self._relay.called(name))
        try:
            # On a thread: it may wait, and the heartbeat must not.
            patience = max(0.0, patience_until - time.monotonic())
            self._aboard.custody[name] = await asyncio.to_thread(take, order, patience=patience)
            client = self._library(order, self._relay.proxy_url(name), self._ear(name, start))
        except HeldError as error:
            self._tell(name, ClientEnded(why=str(error)))  # the holder will end: no verdict, another try
            return None
        except OSError as error:
            self._tell(name, ClientEnded(why=f"the credential's folder cannot be used now: {error.strerror}"))
            return None
        except ValueError as error:
            self._tell(name, CredentialBad(why=f"the credential's folder cannot be used: {error}"))
            return None
        self._aboard.clients[name] = client
        thread = threading.Thread(target=self._run_client, args=(name, client, start), name=name, daemon=True)
        start.run = thread.start
        return start

    def _ear(self, name: str, start: Start) -> Ear:
        return Ear(
            tell=partial(self._post, self._tell, name),
            log=partial(self._post, self._log, name),
            settled=partial(self._post, start.settled.set),
            last_dial=partial(self._relay.last_dial, name),
        )

    def _run_client(self, name: str, client: Client, start: Start) -> None:
        """Run on the client's own thread until it ends, if it does."""
        try:
            client.run()
        except Exception:  # noqa: BLE001 - one client's end must not pass in silence, nor end the others
            traceback.print_exc()
            self._post(self._tell, name, ClientEnded(why="the client's thread failed; see the worker's log"))
        self._post(start.called.set)
        self._post(start.settled.set)
