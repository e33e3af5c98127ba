"""The asyncio face of a followed file: one thread behind it, one slot between them.

The slot holds the newest change only. A consumer that was busy gets the state as it is now, not a backlog of states
that have passed: the reconciler is level-based and has no use for those.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from wakit.core.declaration import Declaration
from wakit.declare.following import Change, Follower, Timing


class Watcher:
    r"""Yields :class:`Loaded` or :class:`Broken` whenever the content of a file, its ``.env`` or its commit changes.

    Use it as an asynchronous context manager: entering starts the watch, leaving ends it and its thread, however it is
    left. Between two changes nothing is lost: what happened while nobody asked is told by the next one, newest only.

    Args:
        path: The file; it need not exist.
        known: The declaration already in force. Only what differs from it is told, including what changed between its
            loading and now. Without it, the first change tells the present state.
        environ: The environment of every load; the process's own, as it is now, by default.
        timing: How long things may take; ``Timing(resync=…)`` is the period of the look without an event, in seconds.
        polling: True never uses inotify; it is also done without where inotify is not available.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "sessions.toml"
        >>> async def first():
        ...     async with Watcher(file, environ={}) as changes:
        ...         _ = file.write_text("[sessions.support]\n")
        ...         async for change in changes:
        ...             return list(change.declaration.sessions)
        >>> asyncio.run(first())
        ['support']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        known: Declaration | None = None,
        environ: Mapping[str, str] | None = None,
        timing: Timing | None = None,
        polling: bool = False,
    ) -> None:
        environ = dict(os.environ) if environ is None else environ
        self._follower = Follower(path, environ, self._tell, known=known, timing=timing, polling=polling)
        self._thread = threading.Thread(target=self._run, name="wakit-declare", daemon=True)
        self._pending: Change | None = None
        self._failure: BaseException | None = None
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._follower.stop()
        try:
            await self._finished.wait()
        finally:
            # Over within some 0.1 s, also when this wait itself is cancelled: no thread stays behind.
            self._thread.join()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        await self._ready.wait()
        if self._failure is not None:
            raise self._failure
        if self._pending is None:  # the watch has ended
            raise StopAsyncIteration
        change, self._pending = self._pending, None
        if not self._finished.is_set():
            self._ready.clear()
        return change

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            self._follower.run()
        except BaseException as error:  # noqa: BLE001 - it is raised again where somebody can handle it
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._finish, failure)

    def _tell(self, change: Change) -> None:
        self._loop.call_soon_threadsafe(self._put, change)

    def _put(self, change: Change) -> None:
        self._pending = change
        self._ready.set()

    def _finish(self, failure: BaseException | None) -> None:
        self._failure = failure
        self._ready.set()
        self._finished.set()
