"""The host: starts workers, hears them, ends them. Runs in the daemon's event loop and never loads the Go library.

The contract with whoever listens (the reconciler):

- :meth:`WorkerHost.launch` either raises, and then nothing runs and nothing will be reported; or returns the pid, and
  then exactly one :class:`~wakit.whatsapp.port.WorkerExited` follows, once the process is reaped and after every
  report of its sessions. The first reports of its sessions may come before :meth:`WorkerHost.launch` returns.
- A worker is sealed: its sessions are fixed at launch. To change anything, end it and launch another.
- The callbacks are called in the event loop and must not block. What they raise is shown by the loop's exception
  handler and disturbs no worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import ParamSpec

from wakit.errors import WorkerError
from wakit.whatsapp.port import AccountHold, Dial, SessionStart, WorkerBeat, WorkerLaunch, WorkerReport
from wakit.worker.bounds import Limits, Outlets, WorkerInfo
from wakit.worker.link import WorkerLink
from wakit.worker.placement import LocalPlacer, Placer

_Told = ParamSpec("_Told")


def _now() -> datetime:
    return datetime.now(UTC)


class WorkerHost:
    """Every worker of one daemon.

    Args:
        on_report: Told every event of every session, and every worker's end.
        permit: Awaited before each dial of a session, its library's own redials included; pacing lives behind it.
            Cancelled when the dial is given up.
        on_dial: Told of each dial that goes out with such a permit.
        on_unused: Told whose permit will not be used.
        on_log: Told every line as ``(session or worker id, line)``; already scrubbed.
        on_beat: Told every heartbeat; must be quick, since they come every five seconds from every worker.
        placer: Where workers run; this machine by default.
        limits: What a worker may do before it is killed; ``silent_after`` is ``[health] stale_after``.
        clock: Monotonic seconds.
        now: Wall-clock time (UTC).

    Example:
        >>> async def unpaced(session: str) -> None: ...
        >>> async def main(launch: WorkerLaunch) -> None:
        ...     host = WorkerHost(on_report=print, permit=unpaced, on_log=print)
        ...     await host.launch(launch)
        ...     await host.close()
    """

    def __init__(
        self,
        *,
        on_report: Callable[[WorkerReport], None],
        permit: Callable[[str], Awaitable[None]],
        on_log: Callable[[str, str], None],
        on_beat: Callable[[WorkerBeat], None] = lambda _beat: None,
        on_dial: Callable[[Dial], None] = lambda _dial: None,
        on_unused: Callable[[str], None] = lambda _session: None,
        placer: Placer | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._placer = LocalPlacer() if placer is None else placer
        self._limits = Limits() if limits is None else limits
        self._outlets = Outlets(
            on_report=_undisturbed(on_report),
            permit=permit,
            on_log=_undisturbed(on_log),
            on_beat=_undisturbed(on_beat),
            on_dial=_undisturbed(on_dial),
            on_unused=_undisturbed(on_unused),
            clock=clock,
            now=now,
        )
        self._links: dict[str, WorkerLink] = {}
        self._launching: set[str] = set()
        self._farewells: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    async def launch(self, launch: WorkerLaunch) -> int:
        """Start a worker and return its pid once it has loaded the library; its sessions start by themselves.

        Raises:
            WorkerError: It could not start, or one of that id runs already. Nothing is left behind.
            EndpointError: The declared endpoint is not on loopback, or cannot be used on this machine.
        """
        name = launch.worker_id
        if self._is_closed():
            raise WorkerError(f"Worker {name} was not started", why="the daemon is ending")
        if name in self._links or name in self._launching:
            raise WorkerError(f"Worker {name} was not started", why="a worker of that id is running")
        self._launching.add(name)
        try:
            link = WorkerLink(launch, await self._placer.place(name), self._outlets, self._limits)
            self._links[name] = link
            if self._is_closed():  # while it was being placed, so close() has not seen it
                link.kill("the daemon is ending", asked=True)
            try:
                await link.greeted()
            except BaseException:
                del self._links[name]
                raise
            self._farewells[name] = asyncio.create_task(self._say_farewell(name, link))
        finally:
            self._launching.discard(name)
        return link.pid

    async def call(self, worker_id: str, start: SessionStart) -> None:
        """Have a worker that was launched on call start one of its sessions.

        Raises:
            WorkerError: No such worker runs, or the session is not of its list.
        """
        self._aboard(worker_id, start.name).call(start)

    async def seal(self, worker_id: str) -> None:
        """End the calls to a worker: from now on it is like any other."""
        link = self._links.get(worker_id)
        if link is not None:
            link.seal()

    async def stop(self, worker_id: str, *, grace: float, why: str = "wakit stopped it") -> None:
        """End a worker: politely for ``grace`` seconds, then by force. Returns when it is reaped and reported."""
        link = self._links.get(worker_id)
        if link is not None:
            await link.shut_down(grace, why)
            await self._reported(worker_id)

    async def kill(self, worker_id: str, *, why: str) -> None:
        """End a worker by force; ``why`` becomes the cause that is reported. Returns when it is reaped and reported."""
        link = self._links.get(worker_id)
        if link is not None:
            link.kill(why, asked=True)
            await link.gone()
            await self._reported(worker_id)

    async def stop_session(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Disconnect one client of a shared worker for good; True once it is off and its credential is free."""
        return (await self._aboard(worker_id, session).request_stop(session, timeout)).ok

    async def logout(self, worker_id: str, session: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Unlink a session's device at WhatsApp; True once WhatsApp has confirmed.

        Raises:
            WorkerError: No such worker runs, or the session is not aboard.
        """
        return (await self._aboard(worker_id, session).request_logout(session, timeout)).ok

    async def ask(self, worker_id: str, session: str, timeout: float) -> str:  # noqa: ASYNC109
        """Have a session ask WhatsApp something; return "" once WhatsApp has answered, else why it has not.

        Raises:
            WorkerError: No such worker runs, or the session is not aboard.
        """
        return (await self._aboard(worker_id, session).request_answer(session, timeout)).why

    async def hold_account(self, worker_id: str, session: str, account: AccountHold) -> None:
        """Have a worker hold the account of a session that was linked just now.

        What comes of it is told: ``AccountHeld`` if another process has the account, nothing if all is well.

        Raises:
            WorkerError: No such worker runs, or the session is not aboard.
        """
        self._aboard(worker_id, session).hold_account(session, account)

    async def cut(self, worker_id: str, session: str) -> None:
        """Close a session's network and refuse its dials until :meth:`uncut`."""
        self._aboard(worker_id, session).set_cut(session, cut=True)

    async def uncut(self, worker_id: str, session: str) -> None:
        """Let a session's dials through again."""
        self._aboard(worker_id, session).set_cut(session, cut=False)

    def dismiss(self) -> None:
        """End workers that were made ready beforehand and are not needed."""
        self._placer.dismiss()

    def renew(self) -> None:
        """Start the next workers from what is installed now."""
        self._placer.renew()

    def workers(self) -> Mapping[str, WorkerInfo]:
        """Every worker that said hello and is not reaped yet, by id."""
        return MappingProxyType({name: self._links[name].info for name in self._farewells if name in self._links})

    async def close(self, *, grace: float = 1.0) -> None:
        """End every worker, those still starting included, all at once; nothing can be launched afterwards."""
        self._closed = True
        self._placer.dismiss()
        for name in self._links.keys() - self._farewells.keys():
            self._links[name].kill("the daemon is ending", asked=True)
        names = list(self._links)
        await asyncio.gather(*(self.stop(name, grace=grace, why="the daemon is ending") for name in names))
        await self._placer.close()

    def _is_closed(self) -> bool:
        return self._closed

    def _aboard(self, worker_id: str, session: str) -> WorkerLink:
        link = self._links.get(worker_id)
        if link is None or session not in link.info.sessions:
            raise WorkerError(f"Session {session} is not aboard worker {worker_id}", why="it ended, or never was")
        return link

    async def _say_farewell(self, name: str, link: WorkerLink) -> None:
        exited = await link.gone()
        del self._links[name]
        self._outlets.on_report(exited)
        del self._farewells[name]

    async def _reported(self, name: str) -> None:
        farewell = self._farewells.get(name)
        if farewell is not None:
            await asyncio.shield(farewell)


def _undisturbed(listener: Callable[_Told, None]) -> Callable[_Told, None]:
    """Return the listener in a form that never raises: its fault must not take a worker down."""

    def tell(*told: _Told.args, **named: _Told.kwargs) -> None:
        try:
            listener(*told, **named)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is shown
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a listener to worker reports failed", "exception": error}
            )

    return tell
