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
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wakit.control.client import Client, SyncClient
from wakit.control.schemas import Disconnected, LiveFrame, PlanInfo
from wakit.errors import NotConvergedError, UnknownSessionError
from wakit.notebook.boards import Boards
from wakit.notebook.chronicle import Chronicle
from wakit.notebook.ending import wait_for_end
from wakit.notebook.history import History
from wakit.notebook.kernel import as_cell, marimo_cell, running_kernel
from wakit.notebook.link import Link
from wakit.notebook.session import Session
from wakit.notebook.snapshot import Snapshot
from wakit.notebook.words import fleet_html, fleet_text, plan_html, plan_text

if TYPE_CHECKING:
    import duckdb

    from wakit.notebook.declaring import Declared
    from wakit.notebook.widgets.board import Board
    from wakit.notebook.widgets.pairing import Pairing

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class NoSuchSessionError(UnknownSessionError, KeyError):
    """No session of that name; also a KeyError, because that is what a mapping promises."""


class Plan:
    """What the loop would do now. Its truth is whether there is anything to do.

    Attributes:
        info: The plan as the control API gives it.
    """

    def __init__(self, info: PlanInfo) -> None:
        self.info = info

    def __bool__(self) -> bool:
        return bool(self.info.actions)

    def __repr__(self) -> str:
        return plan_text(self.info)

    def _repr_html_(self) -> str:
        return plan_html(self.info)


class Fleet(Chronicle, Mapping[str, Session]):
    """The sessions of one sessions.toml and the daemon that keeps them. Made by :func:`wakit.connect`.

    Args:
        config: The declaration's file.
        state_dir: The state directory of the daemon.
        socket: Its control socket, if it is known.

    Raises:
        NoDaemonError: No daemon serves that state directory.
    """

    def __init__(self, config: Path, state_dir: Path, *, socket: Path | None = None) -> None:
        self.config = config
        self.state_dir = state_dir
        self._client = SyncClient(state_dir, socket=socket)
        self._async_client = Client(state_dir, socket=socket)
        status = self._client.status()
        sessions = {session.name: session for session in status.sessions}
        self._link = Link(self._async_client, Snapshot(sessions, status.daemon, reachable=True))
        self._history: History | None = None
        self._boards = Boards(self._make_board)

    def __getitem__(self, name: str) -> Session:
        if name not in self._link.snapshot.sessions:
            try:
                self._client.session(name)  # the file may be newer than what the stream has told
            except UnknownSessionError:
                near = get_close_matches(name, self._link.snapshot.sessions, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"fleet.declare({name!r}) declares one"
                raise NoSuchSessionError(f"No session is called {name!r}", hint=hint) from None
        return Session(name, self._link, self._client, self)

    def __iter__(self) -> Iterator[str]:
        return iter(self._link.snapshot.sessions)

    def __len__(self) -> int:
        return len(self._link.snapshot.sessions)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def board(self) -> Board:
        """Return the live board; one a kernel (in marimo one a cell), shown as often as you like."""
        return self._boards.here()

    def plan(self) -> Plan:
        """Return what the daemon's loop would do now, and what it waits for."""
        return Plan(self._client.plan())

    def apply(self, *, confirm: bool = False) -> Plan:
        """Run the loop once now; ``confirm`` releases held retirements. Return what was carried out."""
        return Plan(self._client.apply(confirm=confirm))

    def declare(self, name: str, *, dry_run: bool = False, **keys: Any) -> Declared:
        """Write a session into sessions.toml, or change its keys; comments and order of the file are kept.

        Saving the file is what makes it so: the daemon sees it and acts. The plan, the file's difference and the
        daemon's word on it are returned, and show themselves. The commit is left to you.

        Args:
            name: The session; declared if it is not.
            dry_run: Only say what would follow.
            keys: Keys of ``[sessions.NAME]``, such as ``pairing="code"`` or ``labels={"team": "emea"}``. None takes a
                key out.

        Raises:
            DeclarationError: The file would not be a declaration any more; it is left as it was.

        Example:
            ``fleet.declare("fieldwork", labels={"team": "emea"})``
        """
        from wakit.notebook.declaring import declare  # noqa: PLC0415

        return declare(self.config, self._link, name, keys, dry_run=dry_run)

    def retire(self, name: str, *, dry_run: bool = False) -> Declared:
        """Take a session out of sessions.toml; its credential goes where ``retire`` in the file says.

        Args:
            name: The session.
            dry_run: Only say what would follow.

        Raises:
            DeclarationError: The file does not declare it, or cannot be written.
        """
        from wakit.notebook.declaring import retire  # noqa: PLC0415

        return retire(self.config, self._link, name, dry_run=dry_run)

    def sql(self, query: str, params: Mapping[str, Any] | list[Any] | None = None) -> duckdb.DuckDBPyRelation:
        """Ask the journal; the answer is a DuckDB relation with ``.df()``, ``.pl()``, ``.arrow()`` and more.

        The question is answered by a local copy that is brought up to date first, so it may name frames of your own
        notebook and costs the daemon nothing. Without a daemon its file is read.

        Args:
            query: SQL. The journal's tables are ``events`` and ``declarations``, its views ``sessions_now``,
                ``intervals``, ``uptime_daily``, ``pairings``, ``reconnects``, ``incidents``.
            params: Values for ``?`` or ``$name``.

        Raises:
            QueryError: The query is wrong.
            JournalError: The journal cannot be read.

        Example:
            ``fleet.sql("SELECT session, state FROM sessions_now").df()``
        """
        return self._journal().sql(query, params)

    async def watch(self, since: int | None = None) -> AsyncIterator[LiveFrame | Disconnected]:
        """Stream what happens, from now on, on the loop that asks; a restart of the daemon does not end it.

        Args:
            since: Also the journal's events after this ``seq``.

        Example:
            ``async for frame in fleet.watch(): print(frame.type)``
        """
        async with aclosing(self._async_client.watch(since=since)) as frames:
            async for frame in frames:
                yield frame

    async def wait(self, *wanted: str, timeout: float = 60.0) -> Self:  # noqa: ASYNC109 - people think in seconds
        """Wait until every enabled session is in one of these states, as :meth:`Session.wait` does for one."""
        enabled = [self[name] for name, info in self._link.snapshot.sessions.items() if info.enabled]
        await asyncio.gather(*(session.wait(*wanted, timeout=timeout) for session in enabled))
        return self

    async def until(self, holds: Callable[[Snapshot], bool], timeout: float = 60.0) -> Snapshot:  # noqa: ASYNC109
        """Wait until what is known of the fleet is as wanted; widgets move on meanwhile.

        Args:
            holds: Judges a :class:`~wakit.notebook.snapshot.Snapshot`, at once and after each change; must not block.
            timeout: Seconds.

        Raises:
            NotConvergedError: It was not so in time.

        Example:
            ``await fleet.until(lambda now: "shop" in now.sessions)``
        """
        try:
            return await asyncio.wrap_future(self._link.when(holds, timeout))
        except TimeoutError:
            raise NotConvergedError(
                f"The fleet is not as wanted after {timeout:g} s",
                why=fleet_text(self._link.snapshot, datetime.now(UTC)).partition("\n")[0],
                hint="`fleet.plan()` says what the daemon waits for",
            ) from None

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
