"""The board's Python side: it sends the browser the difference between two snapshots, coalesced.

What travels is in ``board.js``. Nothing secret is on the board, yet only the ``opening`` trait is synced, once, when
the widget is made: it is what a saved notebook keeps and what is painted first. All that follows are custom messages,
so that a thousand changes leave no trace in the file and cost one message a frame.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, Final, Literal

import anywidget
import traitlets

from wakit.control.schemas import SessionInfo
from wakit.errors import WakitError
from wakit.notebook.kernel import kernel_loop
from wakit.notebook.link import Link
from wakit.notebook.outbox import Outbox
from wakit.notebook.past import Hour, news
from wakit.notebook.snapshot import Snapshot
from wakit.notebook.widgets.bundle import script, style

_NO_NEWS: Final[Mapping[str, Any]] = MappingProxyType({})


def row(session: SessionInfo) -> dict[str, Any]:
    """Give the browser's view of a session; times are milliseconds since 1970."""
    return {
        "name": session.name,
        "state": session.state,
        "status": session.status,
        "since": int(session.since.timestamp() * 1000),
        "seen": int(session.last_seen_at.timestamp() * 1000) if session.last_seen_at else None,
        "stale": session.stale,
        "reason": session.held or session.reason,
        "attempt": session.attempt,
        "next": int(session.next_try_at.timestamp() * 1000) if session.next_try_at else None,
        "worker": session.worker_pid,
        "paired": session.paired,
        "enabled": session.enabled,
        "account": session.account,
        "labels": session.labels,
    }


def head(snapshot: Snapshot) -> dict[str, Any]:
    """Give the browser's view of the daemon."""
    daemon = snapshot.daemon
    return {
        "reachable": snapshot.reachable,
        "trouble": snapshot.trouble,
        "converged": bool(daemon and daemon.converged),
        "error": daemon.declaration.error if daemon else None,
        "hint": daemon.declaration.hint if daemon else None,
    }


def everything(snapshot: Snapshot, now: float, hours: Mapping[str, Hour] = _NO_NEWS) -> dict[str, Any]:
    """Give the whole board as it is ``now`` (seconds since 1970), with the sessions' last hours."""
    rows = [row(session) for session in snapshot.sessions.values()]
    past = {name: told for name, told in news({}, hours).items() if name in snapshot.sessions}
    return {"now": int(now * 1000), "fleet": head(snapshot), "rows": rows, "past": past}


def difference(old: Snapshot, new: Snapshot, now: float, past: Mapping[str, Any] = _NO_NEWS) -> dict[str, Any] | None:
    """Give what changed between two snapshots, or None if the board looks the same.

    Args:
        old: What was sent.
        new: What is to be shown.
        now: Seconds since 1970.
        past: What is new in the sessions' last hours, as :func:`wakit.notebook.past.news` gives it.
    """
    before, after = old.sessions, new.sessions
    # Identity first: sessions that did not change are the same objects (see snapshot.py), and 500 comparisons of equal
    # models at every step would cost more than all the rest.
    rows = [row(s) for name, s in after.items() if (was := before.get(name)) is not s and was != s]
    gone = [name for name in before if name not in after]
    fleet = head(new) if head(new) != head(old) else None
    survivors = [name for name in before if name in after]
    # The browser appends what it does not know; every other order has to be told.
    reordered = list(after) != survivors + [name for name in after if name not in before]
    past = {name: told for name, told in past.items() if name in after}
    if not (rows or gone or fleet or reordered or past):
        return None
    return {
        "type": "changes",
        "now": int(now * 1000),
        "fleet": fleet,
        "rows": rows,
        "gone": gone,
        "past": past,
        "order": list(after) if reordered else None,
    }


class Board(anywidget.AnyWidget):
    """A live table of the fleet's sessions. Made by ``fleet.board()``.

    Args:
        link: The live connection.
        pairing: Makes the pairing widget of a session and begins to pair.
        loop: The loop to write on; the kernel's by default.
        clock: Seconds since 1970.
    """

    _esm = script("board")
    _css = style("board")
    opening = traitlets.Dict().tag(sync=True)
    filter = traitlets.Unicode(help="What the views' filter is set to; each may be changed by hand").tag(sync=True)

    def __init__(
        self,
        link: Link,
        pairing: Callable[[str], anywidget.AnyWidget],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._pairing = pairing
        self._clock = clock
        self._sent = link.snapshot
        self._hours: Mapping[str, Hour] = {}
        self._where = loop or kernel_loop()
        super().__init__(opening=everything(self._sent, clock()))
        self.on_msg(self._receive)
        self._outbox = Outbox(self._where, self._deliver)
        self._deaf = link.listen(self._outbox.post)
        link.remember()

    def close(self) -> None:
        """Take the board off the page and stop following."""
        if hasattr(self, "_deaf"):  # ipywidgets closes a half-made widget, too
            self._deaf()
            self._outbox.close()
        super().close()

    def _deliver(self) -> None:
        snapshot, hours = self._link.snapshot, self._link.past.hours
        message = difference(self._sent, snapshot, self._clock(), news(self._hours, hours))
        self._sent, self._hours = snapshot, hours
        if message is not None:
            self.send(message)

    def _receive(self, _widget: Any, content: Mapping[str, Any], _buffers: Any) -> None:
        """Answer the browser; what it says is checked like any input."""
        match content:
            case {"type": "hello"}:
                self._sent, self._hours = self._link.snapshot, self._link.past.hours
                self.send({"type": "all", **everything(self._sent, self._clock(), self._hours)})
            case {"type": ("restart" | "park" | "resume") as verb, "session": str(name), "id": str(order)}:
                self._order(verb, name, order)
            case {"type": "pair", "session": str(name), "id": str(order)}:
                self._pair(name, order)
            case _:
                pass  # a newer view than this kernel: it shows that nothing came of it

    def _order(self, verb: Literal["restart", "park", "resume"], name: str, order: str) -> None:
        give = {"restart": self._link.restart, "park": self._link.park, "resume": self._link.resume}[verb]
        try:
            future = give(name)
        except WakitError as error:
            self._answer(order, error=error)
            return

        def done(future: Future[Any]) -> None:
            error = None if future.cancelled() else future.exception()
            if self._where is not None:
                self._where.call_soon_threadsafe(lambda: self._answer(order, error=error))

        future.add_done_callback(done)

    def _pair(self, name: str, order: str) -> None:
        try:
            widget = self._pairing(name)
        except WakitError as error:
            self._answer(order, error=error)
        else:
            self._answer(order, widget=f"anywidget:{widget.model_id}")

    def _answer(self, order: str, *, error: BaseException | None = None, widget: str | None = None) -> None:
        said = None if error is None else sentence(error)
        self.send({"type": "answer", "id": order, "error": said, "widget": widget})


def sentence(error: BaseException) -> str:
    """Say an error to a person in a line; one that is not ours says only its kind, its text may hold anything."""
    if not isinstance(error, WakitError):
        return f"It failed inside wakit ({type(error).__name__})"
    return f"{error}. {error.hint[:1].upper()}{error.hint[1:]}" if error.hint else str(error)
