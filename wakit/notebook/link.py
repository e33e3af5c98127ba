"""The one background thread of a notebook: it owns the live connection, so that a busy cell loses nothing.

A kernel runs its cells on its own event loop, and a cell that computes for a minute stops that loop for a minute. So
the live stream is read by an event loop of our own, in a thread of its own. It folds every frame into
:attr:`Link.snapshot` (a frozen value any thread may read) and tells the listeners, which do no more than post to their
outboxes. Waiting is done there too: a blocking wait holds the cell, never the connection.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final, Literal, TypeVar

from wakit.control.client import Client
from wakit.control.schemas import Disconnected, EventLogged, Gap, Hello, LiveFrame, SessionInfo
from wakit.errors import NoDaemonError, WakitError
from wakit.notebook.past import Past, hour_before, recall
from wakit.notebook.snapshot import Snapshot, follow, lost
from wakit.redact import PhoneNumber

T = TypeVar("T")
_CATCHING_UP: Final = 1.0  # seconds the stream may lag behind an answer
_PAUSE: Final = 2.0  # seconds before a stream the daemon refused is asked for again


class Link:
    """Follows a daemon from a thread of its own until :meth:`close`.

    Args:
        client: The asynchronous client; used only in the link's thread.
        opening: What is known before the stream says anything.
    """

    def __init__(self, client: Client, opening: Snapshot) -> None:
        self.snapshot = opening
        self.past = Past()
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._moved = asyncio.Condition()
        self._greeted = asyncio.Event()  # the stream has begun: nothing is missed from now on
        self._forgetful = asyncio.Event()  # the past has to be asked for anew
        self._remembering = False
        self._listeners: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="wakit-live", daemon=True)
        self._thread.start()
        self._submit(self._follow())
        # A loop that is still running while the interpreter tears itself down writes confusing warnings.
        atexit.register(self.close)

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` in the link's thread whenever the snapshot is a new one; return what ends that.

        It must return at once and not raise; :meth:`wakit.notebook.outbox.Outbox.post` is made for it.
        """
        with self._lock:
            self._listeners.add(listener)

        def stop() -> None:
            with self._lock:
                self._listeners.discard(listener)

        return stop

    def remember(self) -> None:
        """Keep :attr:`past` from now on; until the journal has answered, it is empty. Safe to call again."""
        with self._lock:
            if self._remembering:
                return
            self._remembering = True
        self._submit(self._remember())

    def stream(self, session: str, take: Callable[[LiveFrame | Disconnected], None]) -> Callable[[], None]:
        """Stream one session's QRs and codes to ``take``, in the link's thread; return what ends it."""
        future = self._submit(self._stream(session, take))

        def stop() -> None:
            future.cancel()

        return stop

    def restart(self, session: str) -> Future[SessionInfo]:
        """Order a restart from a thread that must not block, like the kernel's while it answers the browser."""
        return self._submit(self._client.restart(session))

    def park(self, session: str) -> Future[SessionInfo]:
        """Order that its client stops until it is resumed, likewise."""
        return self._submit(self._client.park(session))

    def resume(self, session: str) -> Future[SessionInfo]:
        """Undo :meth:`park`, likewise."""
        return self._submit(self._client.resume(session))

    def pair(self, session: str, method: Literal["qr", "code"], phone: PhoneNumber | None) -> Future[SessionInfo]:
        """Order a pairing, likewise."""
        return self._submit(self._client.pair(session, method=method, phone=phone))

    def when(self, holds: Callable[[Snapshot], bool], seconds: float) -> Future[Snapshot]:
        """Promise the first snapshot for which ``holds``; a ``TimeoutError`` after ``seconds``."""
        return self._submit(self._when(holds, seconds))

    def session_when(self, name: str, holds: Callable[[SessionInfo], bool], seconds: float) -> Future[SessionInfo]:
        """Promise the session once ``holds``, judged by what the daemon answers, not by the stream.

        The stream may be a moment behind an order just given: whoever restarts a session and then waits for "connected"
        must not be told about the connection that was.
        """
        return self._submit(self._session_when(name, holds, seconds))

    def close(self) -> None:
        """End the connection and the thread; safe to call twice, and from any thread but the link's own."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._listeners.clear()
        atexit.unregister(self.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        if self._closed:
            coroutine.close()
            raise NoDaemonError(
                "This connection was closed", why="fleet.close() was called", hint="call wakit.connect() again"
            )
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _follow(self) -> None:
        while True:
            try:
                async with aclosing(self._client.watch()) as frames:
                    async for frame in frames:
                        self._note(frame)
                        if isinstance(frame, Disconnected):
                            await self._move(lost(self.snapshot, frame.reason))
                        else:
                            await self._move(follow(self.snapshot, frame))
            except WakitError as error:  # it serves and refuses, as a daemon of another version may
                await self._move(lost(self.snapshot, str(error)))
            await asyncio.sleep(_PAUSE)

    async def _move(self, snapshot: Snapshot) -> None:
        if snapshot is self.snapshot:
            return
        async with self._moved:
            self.snapshot = snapshot
            self._moved.notify_all()
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def _note(self, frame: LiveFrame | Disconnected) -> None:
        match frame:
            case EventLogged(event=event) if self._remembering:
                self.past.happened(event)
            case Hello():
                self._greeted.set()
                if not self.snapshot.reachable:
                    self._forgetful.set()
            case Gap():
                self._forgetful.set()
            case Disconnected():
                self.past.lost(datetime.now(UTC))
            case _:
                pass

    async def _remember(self) -> None:
        await asyncio.to_thread(import_module, "pyarrow")  # 100 ms in which the stream need not stand still
        await self._greeted.wait()
        while True:
            self._forgetful.clear()
            self.past.asked()
            since = hour_before(datetime.now(UTC))
            try:
                rows = await recall(self._client.sql, since)
            except WakitError:  # no daemon, or a journal that cannot be asked now: what is known without it
                rows = []
            self.past.answered(rows, since, self.snapshot.sessions.values())
            self._tell()
            await asyncio.sleep(_PAUSE)  # a stream that has one gap may have many
            await self._forgetful.wait()

    async def _stream(self, session: str, take: Callable[[LiveFrame | Disconnected], None]) -> None:
        async with aclosing(self._client.watch(pairing=session)) as frames:
            async for frame in frames:
                take(frame)

    async def _when(self, holds: Callable[[Snapshot], bool], seconds: float) -> Snapshot:
        async with asyncio.timeout(seconds), self._moved:
            await self._moved.wait_for(lambda: holds(self.snapshot))
            return self.snapshot

    async def _session_when(self, name: str, holds: Callable[[SessionInfo], bool], seconds: float) -> SessionInfo:
        async with asyncio.timeout(seconds):
            while True:
                before = self.snapshot
                try:
                    info = await self._client.session(name)
                except NoDaemonError:
                    info = None  # it may come back within the time there is
                if info is not None and holds(info):
                    break
                async with self._moved:
                    await self._moved.wait_for(lambda before=before: self._differs(before, name))  # type: ignore[misc]
        # The next line of the cell reads the snapshot: let it know, too. (If the session has moved on, it never will.)
        with suppress(TimeoutError):
            await self._when(lambda now: (told := now.sessions.get(name)) is not None and holds(told), _CATCHING_UP)
        return info

    def _differs(self, before: Snapshot, name: str) -> bool:
        now = self.snapshot
        return now.reachable != before.reachable or now.sessions.get(name) is not before.sessions.get(name)
