"""The fleet in the notebook: a mapping of names to sessions that shows itself as a live board.

Example, as cells of a notebook::

    fleet = wakit.connect()
    fleet                                   # the board
    fleet["sales"].pair()                   # the pairing widget
    fleet.declare("fieldwork", pairing="code")
    fleet.timeline(since="2026-11-17")      # who was what when, and why
    fleet.sql("SELECT session, count(*) FROM reconnects GROUP BY ALL").df()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from wakit.control.client import Client, SyncClient
from wakit.errors import NotConvergedError, UnknownSessionError
from wakit.notebook.boards import Boards
from wakit.notebook.chronicle import Chronicle
from wakit.notebook.editing import Editing
from wakit.notebook.ending import wait_for_end
from wakit.notebook.history import History
from wakit.notebook.kernel import as_cell, marimo_cell, running_kernel
from wakit.notebook.link import Link
from wakit.notebook.names import NoSuchSessionError, no_such_session
from wakit.notebook.planning import Plan
from wakit.notebook.session import Session
from wakit.notebook.snapshot import Snapshot
from wakit.notebook.watching import Watch
from wakit.notebook.words import fleet_html, fleet_text

__all__ = ["Fleet", "NoSuchSessionError", "Plan"]

if TYPE_CHECKING:
    from wakit.notebook.answer import Answer
    from wakit.notebook.widgets.board import Board
    from wakit.notebook.widgets.pairing import Pairing

_LISTED: Final = "list(fleet) lists them"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Fleet(Chronicle, Editing, Mapping[str, Session]):
    """The sessions of one sessions.toml and the daemon that keeps them. Made by :func:`wakit.connect`.

    Args:
        config: The declaration's file.
        state_dir: The state directory of the daemon.
        socket: Its control socket, if it is known.

    Raises:
        NoDaemonError: No daemon serves that state directory.

    Example:
        >>> list(fleet), "sales" in fleet, fleet["sales"].state
        (['sales', 'support'], True, 'connected')
    """

    def __init__(self, config: Path, state_dir: Path, *, socket: Path | None = None) -> None:
        self.config = config
        self.state_dir = state_dir
        self._client = SyncClient(state_dir, socket=socket)
        self._async_client = Client(state_dir, socket=socket)
        status = self._client.status()
        sessions = {session.name: session for session in status.sessions}
        self._link = Link(self._async_client, Snapshot(sessions, status.daemon, reachable=True))
        self._sessions: dict[str, Session] = {}
        self._history: History | None = None
        self._boards = Boards(self._make_board)

    def __getitem__(self, name: str) -> Session:
        if not isinstance(name, str):
            raise no_such_session(name, self, listed=_LISTED)
        if name not in self._link.snapshot.sessions:
            try:
                self._client.session(name)  # the file may be newer than what the stream has told
            except UnknownSessionError:
                declaring = f"fleet.declare({name!r}) declares one"
                raise no_such_session(name, self, listed=_LISTED, otherwise=declaring) from None
        return self._sessions.setdefault(name, Session(name, self._link, self._client, self))

    def __iter__(self) -> Iterator[str]:
        return iter(self._link.snapshot.sessions)

    def __len__(self) -> int:
        return len(self._link.snapshot.sessions)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def board(self) -> Board:
        """Return the live board; one a kernel (in marimo one a cell), shown as often as you like.

        Example:
            >>> type(fleet.board()).__name__
            'Board'
        """
        return self._boards.here()

    def plan(self) -> Plan:
        """Return what the daemon's loop would do now, what it waits for, what is held, and what ends a hold.

        Example:
            >>> fleet.plan()
            Nothing to do: the sessions are as declared.
        """
        return Plan(self._client.plan())

    def apply(self, *, confirm: bool = False) -> Plan:
        """Run the loop once now; ``confirm`` releases held retirements. Return what was carried out.

        Example:
            >>> fleet.apply()
            Nothing to do: the sessions are as declared.
        """
        return Plan(self._client.apply(confirm=confirm))

    def sql(
        self,
        query: str,
        params: Mapping[str, Any] | list[Any] | None = None,
        *,
        names: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Ask the journal; the answer is a DuckDB relation with ``.df()``, ``.pl()``, ``.arrow()`` and more.

        The question is answered by a local copy that is brought up to date first, so it costs the daemon nothing and
        may name frames of your own notebook: a pandas or Polars frame, an Arrow table, or an earlier answer. Names of
        the journal come first. Without a daemon its file is read.

        Args:
            query: SQL. The journal's tables are ``events`` and ``declarations``, its views ``sessions_now``,
                ``intervals``, ``uptime_daily``, ``pairings``, ``reconnects``, ``incidents``.
            params: Values for ``?`` or ``$name``.
            names: Where frames are looked for; the variables of whoever calls if None.

        Raises:
            QueryError: The query is wrong.
            JournalError: The journal cannot be read.

        Example:
            >>> import pyarrow as pa
            >>> owners = pa.table({"session": ["sales"], "owner": ["Ana"]})
            >>> fleet.sql("SELECT owner, state FROM sessions_now JOIN owners USING (session)").fetchall()
            [('Ana', 'connected')]
        """
        return self._journal().sql(query, params, names)

    def watch(self, since: int | None = None) -> Watch:
        """Stream what happens, from now on, for ``async for`` and for ``for``; a restart of the daemon does not end it.

        The first frame is a :class:`~wakit.control.schemas.Hello` with everything as it is, then each change comes as
        one (``docs/control-api.md`` lists them); a :class:`~wakit.control.schemas.Disconnected` says that the daemon is
        away. Leaving the loop ends the connection.

        Args:
            since: Also the journal's events after this ``seq``.

        Example:
            >>> for frame in fleet.watch():
            ...     print(frame.type)
            ...     break
            hello
        """
        return Watch(self._client, self._async_client, since)

    async def wait(self, *wanted: str, timeout: float = 60.0) -> Self:  # noqa: ASYNC109 - people think in seconds
        """Wait until every enabled session is in one of these states, as :meth:`Session.wait` does for one.

        Example:
            >>> asyncio.run(fleet.wait("connected", timeout=20))["sales"].state
            'connected'
        """
        await asyncio.gather(*(session.wait(*wanted, timeout=timeout) for session in self._enabled()))
        return self

    def wait_blocking(self, *wanted: str, timeout: float = 60.0) -> Self:
        """Wait like :meth:`wait` where nothing can be awaited.

        Example:
            >>> fleet.wait_blocking("connected", timeout=20)["sales"].state
            'connected'
        """
        deadline = time.monotonic() + timeout
        for session in self._enabled():
            session.wait_blocking(*wanted, timeout=max(deadline - time.monotonic(), 0.001))
        return self

    async def until(self, holds: Callable[[Snapshot], bool], timeout: float = 60.0) -> Snapshot:  # noqa: ASYNC109
        """Wait until what is known of the fleet is as wanted; widgets move on meanwhile.

        Args:
            holds: Judges a :class:`~wakit.notebook.snapshot.Snapshot`, at once and after each change; must not block.
            timeout: Seconds.

        Raises:
            NotConvergedError: It was not so in time.

        Example:
            >>> len(asyncio.run(fleet.until(lambda now: "sales" in now.sessions)).sessions)
            2
        """
        try:
            return await asyncio.wrap_future(self._link.when(holds, timeout))
        except TimeoutError:
            raise self._too_late(timeout) from None

    def until_blocking(self, holds: Callable[[Snapshot], bool], timeout: float = 60.0) -> Snapshot:
        """Wait like :meth:`until` where nothing can be awaited.

        Example:
            >>> len(fleet.until_blocking(lambda now: "sales" in now.sessions).sessions)
            2
        """
        future: Future[Snapshot] = self._link.when(holds, timeout)
        try:
            return future.result()
        except TimeoutError:
            raise self._too_late(timeout) from None
        finally:
            future.cancel()  # after an interrupt nobody waits any more

    def shutdown(self, timeout: float = 15.0) -> None:
        """End the daemon in order, as ``wakit down`` does, and wait until its process is gone; closes the fleet, too.

        Credentials stay where they are: the next start brings every paired session back without a phone.

        Raises:
            NotConvergedError: It has not ended in time.
        """
        ending = self._client.shutdown()
        self.close()
        wait_for_end(ending.pid, timeout)

    def close(self) -> None:
        """End the live connection and its thread; the daemon goes on."""
        self._boards.close()
        self._link.close()
        if self._history is not None:
            self._history.close()

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._link.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return fleet_text(self._link.snapshot, datetime.now(UTC))

    def _repr_html_(self) -> str:
        return fleet_html(self._link.snapshot, datetime.now(UTC))

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if running_kernel() is None:
            return bundle, {}
        # The richest form a place can show wins: the live board, or the table where no kernel lives.
        shown = self.board()._repr_mimebundle_()
        assert shown is not None  # None is for widgets without a view
        live, metadata = shown
        return bundle | {WIDGET_VIEW: live[WIDGET_VIEW]}, metadata

    def _enabled(self) -> list[Session]:
        return [self[name] for name, info in self._link.snapshot.sessions.items() if info.enabled]

    def _declared(self) -> Iterable[str]:
        return self._link.snapshot.sessions

    def _too_late(self, seconds: float) -> NotConvergedError:
        return NotConvergedError(
            f"The fleet is not as wanted after {seconds:g} s",
            why=fleet_text(self._link.snapshot, datetime.now(UTC)).partition("\n")[0],
            hint="`fleet.plan()` says what the daemon waits for",
        )

    def _display_(self) -> Board:
        """Show the live board in marimo, which asks for this before any HTML."""
        return self.board()

    def _make_board(self) -> Board:
        from wakit.notebook.widgets.board import Board  # noqa: PLC0415 - ipywidgets only where a widget is made

        return Board(self._link, partial(self._begin_pairing, cell=marimo_cell()))

    def _begin_pairing(self, name: str, *, cell: str | None = None) -> Pairing:
        info = self[name].info
        with as_cell(cell):
            return self[name].pair(None if info.state == "pairing" else info.pairing)

    def _journal(self) -> History:
        if self._history is None:
            self._history = History(self.state_dir / "journal.duckdb", self._client)
        return self._history
